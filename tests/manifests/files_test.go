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

// TestImagesByDigest: `deploy.sh images` leaves a file beside the settings that says what it built.
func TestImagesByDigest(t *testing.T) {
	t.Parallel()

	settings := settingsWith(t, manifests.Settings{"IMAGE_REPOSITORY": "images.example.org:5000/costs"})
	work, digest := t.TempDir(), "@sha256:"+strings.Repeat("0a", 32)
	var built strings.Builder
	for _, image := range []string{"sources", "applications", "provisioner", "ros-cleanup", "relay", "preflight", "migrate", "dead-letters", "after-restore"} {
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

	deploys := []string{"OVERLAY", "KAFKA_AUTH", "TOPICS", "MONITORING", "DATABASE_SECRET", "DATABASE_LOGINS", "PRIVATE_CA", "INTEROP"} // deploy.sh reads these, and the variants have them
	settings := settingsWith(t, manifests.Settings{"TOPICS": "strimzi", "MONITORING": "true", "INTEROP": "true"})
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
	if found != 6 { // the five and interop
		t.Errorf("%d files have a function, not 6", found)
	}
}
