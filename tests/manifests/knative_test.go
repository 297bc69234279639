package manifests_test

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/insights-onprem/cost-sources/tests/manifests"
)

// knative is the folder that a site gets.
const knative = "../../knative"

// variants are what a site may want other than settings.env has it. What a value could be taken for in YAML is part of it.
var variants = map[string]manifests.Settings{
	"as it comes": {},
	"other names": {
		"NAMESPACE": "costs", "HOST": "costs.example.org", "IMAGE_REPOSITORY": "images.example.org:5000/team/costs", "VERSION": "v2.0.1",
		"KAFKA_BOOTSTRAP": "broker-0.example.org:9093,broker-1.example.org:9093", "TOPIC": "changes", "DEAD_TOPIC": "changes.dead",
	},
	"a version like a number":   {"VERSION": "1.10"},
	"texts like others":         {"TENANT_TEMPLATE_SCHEMA": "null", "OIDC_AUDIENCE": "off", "NAMESPACE": "on"},
	"a gateway's identity":      {"AUTH_MODE": "identity", "OIDC_ISSUER": "", "OIDC_AUDIENCE": "", "RBAC_URL": "http://rbac.example.org:8000"},
	"every function":            {"CREATE_WAIT": "20s", "SOURCE_REF_REQUIRED": "true", "KRUIZE_URL": "http://kruize:8080", "PLAIN_RECORDS": "true"},
	"an API that is kept ready": {"API_MIN_SCALE": "1"},
	"a collector":               {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318", "OTEL_TRACES_SAMPLER_ARG": "0.1"},
	"Kafka by password":         {"KAFKA_AUTH": "sasl"},
	"Kafka by password and TLS": {"KAFKA_AUTH": "sasl-tls"},
	"Kafka by TLS":              {"KAFKA_AUTH": "tls"},
	"Kafka by certificate":      {"KAFKA_AUTH": "mtls"},
	"volumes":                   {"DATABASE_SECRET": "file", "PRIVATE_CA": "true"},
	"logins":                    {"DATABASE_LOGINS": "each"},
	"logins in volumes":         {"DATABASE_LOGINS": "each", "DATABASE_SECRET": "file"},
	"alerts":                    {"MONITORING": "true", "DEAD_TOPIC": "dead.letters"},
	"topics of Strimzi":         {"TOPICS": "strimzi", "KAFKA_NAMESPACE": "messages", "KAFKA_CLUSTER": "big", "TOPIC_REPLICATION": "3"},
	"plain topics of Strimzi":   {"TOPICS": "strimzi", "INTEROP": "true", "CONNECTIONS_NEEDED": "56"},
	"topics of others":          {"TOPICS": "exist"},
	"plain records":             {"INTEROP": "true", "CONNECTIONS_NEEDED": "56", "LEGACY_TOPIC": "plain", "KAFKA_AUTH": "mtls", "DATABASE_LOGINS": "each"},
}

// inEachOverlay are those of variants that an overlay has a part in.
var inEachOverlay = []string{"as it comes", "other names", "a gateway's identity", "plain records"}

func TestEverySiteHoldsToTheRules(t *testing.T) {
	t.Parallel()

	for _, overlay := range overlays(t) {
		for name, changes := range variants {
			// What an overlay leaves alone is looked at once, as each costs a second.
			if overlay != "kourier" && !slices.Contains(inEachOverlay, name) {
				continue
			}
			t.Run(overlay+"/"+name, func(t *testing.T) {
				t.Parallel()

				settings := settingsWith(t, manifests.Settings{"OVERLAY": overlay}, changes)
				for _, problem := range manifests.Problems(settings, objects(rendered(t, settings))) {
					t.Error(problem)
				}
			})
		}
	}
}

// TestSettingsOfOverlays are those that an overlay brings for a site to copy.
func TestSettingsOfOverlays(t *testing.T) {
	t.Parallel()

	for _, overlay := range overlays(t) {
		own, err := manifests.ReadSettings(filepath.Join(knative, "overlays", overlay, "settings.env"))
		if os.IsNotExist(err) {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		if own["OVERLAY"] != overlay {
			t.Errorf("the settings of %s are for %q", overlay, own["OVERLAY"])
		}
		settings := settingsWith(t, own)
		for _, problem := range manifests.Problems(settings, objects(rendered(t, settings))) {
			t.Errorf("%s: %s", overlay, problem)
		}
	}
}

func overlays(t *testing.T) []string {
	t.Helper()
	folders, err := os.ReadDir(filepath.Join(knative, "overlays"))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, folder := range folders {
		names = append(names, folder.Name())
	}
	return names
}

// settingsWith is what settings.env says, with changes.
func settingsWith(t *testing.T, changes ...manifests.Settings) manifests.Settings {
	t.Helper()
	settings, err := manifests.ReadSettings(filepath.Join(knative, "settings", "settings.env"))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range changes {
		if settings, err = settings.With(c); err != nil {
			t.Fatal(err)
		}
	}
	return settings
}

func objects(documents [][]byte) []manifests.Object {
	var read []manifests.Object
	for _, document := range documents {
		read = append(read, manifests.Read(document))
	}
	return read
}

func rendered(t *testing.T, settings manifests.Settings) [][]byte {
	t.Helper()
	documents, err := manifests.Render(t.Context(), knative, t.TempDir(), settings)
	if err != nil {
		t.Fatal(err)
	}
	return documents
}
