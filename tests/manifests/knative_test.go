package manifests_test

import (
	"bytes"
	"fmt"
	"maps"
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

// inEachOverlay are those of variants that an overlay has a part in.
var inEachOverlay = []string{"as it comes", "other names", "a gateway's identity"}

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
	for _, problem := range manifests.Problems(settings, objects(documents)) {
		t.Error(problem)
	}
	if all := bytes.Join(documents, nil); bytes.Count(all, []byte("image: ")) != bytes.Count(all, []byte(digest)) {
		t.Errorf("not every image is by digest:\n%s", all)
	}
}

// TestEverySettingArrives: a setting that is in no manifest is one that is not read, and in which a site trusts in vain.
func TestEverySettingArrives(t *testing.T) {
	t.Parallel()

	deploys := []string{"OVERLAY", "KAFKA_AUTH", "TOPICS"} // deploy.sh reads these, and the variants have them
	settings := settingsWith(t, manifests.Settings{"TOPICS": "strimzi"})
	marks := map[string]string{}
	for i, name := range slices.Sorted(maps.Keys(settings)) {
		if !slices.Contains(deploys, name) {
			marks[name] = fmt.Sprintf("80%02d08", i) // also a number where there has to be one
			settings[name] += marks[name]
		}
	}
	var all []byte
	for _, settings["OVERLAY"] = range overlays(t) {
		all = slices.Concat(append(rendered(t, settings), all)...)
	}
	for name, mark := range marks {
		if !bytes.Contains(all, []byte(mark)) {
			t.Errorf("%s=%s is in no manifest of any overlay", name, settings[name])
		}
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
			for _, problem := range manifests.ByRule(manifests.Types, nil, objects([][]byte{document})) {
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
