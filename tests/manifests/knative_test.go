package manifests_test

import (
	"os"
	"path/filepath"
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
	"topics of Strimzi":         {"TOPICS": "strimzi", "KAFKA_NAMESPACE": "messages", "KAFKA_CLUSTER": "big", "TOPIC_REPLICATION": "3"},
	"topics of others":          {"TOPICS": "exist"},
}

func TestEverySiteHoldsToTheRules(t *testing.T) {
	t.Parallel()

	overlays, err := os.ReadDir(filepath.Join(knative, "overlays"))
	if err != nil || len(overlays) == 0 {
		t.Fatalf("there are no overlays: %v", err)
	}
	for _, overlay := range overlays {
		for name, changes := range variants {
			t.Run(overlay.Name()+"/"+name, func(t *testing.T) {
				t.Parallel()

				settings := settingsWith(t, manifests.Settings{"OVERLAY": overlay.Name()}, changes)
				for _, problem := range manifests.Problems(settings, rendered(t, settings)) {
					t.Error(problem)
				}
			})
		}
	}
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

func rendered(t *testing.T, settings manifests.Settings) [][]byte {
	t.Helper()
	documents, err := manifests.Render(t.Context(), knative, t.TempDir(), settings)
	if err != nil {
		t.Fatal(err)
	}
	return documents
}
