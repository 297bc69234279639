package manifests_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
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

// TestImagesByDigest: `deploy.sh images` leaves a file beside the settings that says what it built.
func TestImagesByDigest(t *testing.T) {
	t.Parallel()

	settings := settingsWith(t, manifests.Settings{"IMAGE_REPOSITORY": "images.example.org:5000/costs"})
	work, digest := t.TempDir(), "@sha256:"+strings.Repeat("0a", 32)
	var built strings.Builder
	for _, image := range []string{"sources", "applications", "provisioner", "ros-cleanup", "relay", "preflight", "migrate", "dead-letters"} {
		fmt.Fprintf(&built, "images.example.org:5000/costs/%s%s\n", image, digest)
	}
	if err := os.WriteFile(filepath.Join(work, "images-"+settings["VERSION"]+".txt"), []byte(built.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	documents, err := manifests.Render(t.Context(), knative, work, settings)
	if err != nil {
		t.Fatal(err)
	}
	for _, problem := range manifests.Problems(settings, documents) {
		t.Error(problem)
	}
	if all := bytes.Join(documents, nil); bytes.Count(all, []byte("image: ")) != bytes.Count(all, []byte(digest)) {
		t.Errorf("not every image is by digest:\n%s", all)
	}
}

// TestEverySettingArrives: a setting that changes nothing is one that is not read, and in which a site trusts in vain.
func TestEverySettingArrives(t *testing.T) {
	t.Parallel()

	// What has an effect of its own is among the variants, and read by deploy.sh alone.
	deploys := []string{"OVERLAY", "KAFKA_AUTH"}
	strimzi := manifests.Settings{"TOPICS": "strimzi"}
	settings := settingsWith(t, strimzi)
	before := rendered(t, settings)
	for name := range settings {
		if slices.Contains(deploys, name) || name == "TOPICS" {
			continue
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			value := settings[name] + "7" // also a number where there has to be one
			changed := bytes.Join(rendered(t, settingsWith(t, strimzi, manifests.Settings{name: value})), nil)
			if bytes.Equal(changed, bytes.Join(before, nil)) {
				t.Errorf("%s=%s changes nothing", name, value)
			}
		})
	}
}

// TestFilesForKn: `kn service apply -f` reads the first document of a file only, and so each file of a function has one.
func TestFilesForKn(t *testing.T) {
	t.Parallel()

	files, err := filepath.Glob(filepath.Join(knative, "base", "*.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		documents := manifests.Documents(text)
		if !bytes.Contains(text, []byte("apiVersion: serving.knative.dev/v1\nkind: Service\n")) {
			continue
		}
		found++
		if len(documents) != 1 {
			t.Errorf("%s holds %d documents, of which kn sees the first", file, len(documents))
		}
		for _, document := range documents { // as it is written: not yet patched and without the settings
			for _, problem := range manifests.ByRule(nil, [][]byte{document})[manifests.Types] {
				if strings.Contains(problem, "unknown field") {
					t.Errorf("%s: %s", file, problem)
				}
			}
		}
	}
	if found != 5 {
		t.Errorf("%d files have a function, not 5", found)
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
