package tests

import (
	"encoding/json"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/insights-onprem/cost-sources/"

// A pkg is a package as go list shows it.
type pkg struct {
	Name, ImportPath string
	Imports          []string
}

// ours are the imports of p that are of this module, without its name.
func (p pkg) ours() []string {
	var found []string
	for _, i := range p.Imports {
		if path, ok := strings.CutPrefix(i, module); ok {
			found = append(found, path)
		}
	}
	return found
}

// shared says what each shared package may import of ours. Nothing that is not named here is allowed, and
// so no package can be added without a word about where it stands.
var shared = map[string][]string{
	"shared/sources":         nil,
	"shared/store":           {"shared/sources"},
	"shared/events":          {"shared/sources"},
	"shared/identity":        {"shared/sources"},
	"shared/httpapi":         {"shared/sources"},
	"shared/outbox":          {"shared/store", "shared/sources"},
	"shared/telemetry":       nil,
	"shared/serve":           {"shared/telemetry"},
	"shared/kafkaevents":     nil,
	"shared/plainrecord":     {"shared/sources"},
	"shared/kafkaclient":     nil,
	"shared/store/storetest": {"shared/store", "migrations"},
	"shared/httpapi/apitest": {"shared/httpapi", "shared/identity"},
	"migrations":             nil,
	"migrations/takeover":    {"shared/sources"},
	"migrations/migrate":     {"migrations", "migrations/takeover", "shared/serve", "shared/store"},
}

// forFunctions is what the packages of functions may import of ours.
var forFunctions = []string{"shared/httpapi", "shared/identity", "shared/events", "shared/outbox", "shared/store", "shared/sources", "shared/plainrecord", "migrations",
	"shared/kafkaevents", "shared/kafkaclient"} // the last two only of those that speak to Kafka themselves, see below

// writesKafka are the packages that may speak to Kafka themselves; all others post to a KafkaSink.
var writesKafka = []string{"functions/dev/localknative", "functions/dev", "functions/dead-letters/deadletters", "functions/after-restore/restored", "functions/preflight/preflight", "functions/interop/interop",
	"shared/kafkaevents", "shared/kafkaclient", "tests/kafka"}

// TestLayers holds the dependency rule: main, its own package, httpapi and its like, sources, the standard
// library, and nothing back.
func TestLayers(t *testing.T) {
	t.Parallel()

	for _, p := range packages(t) {
		path := strings.TrimPrefix(p.ImportPath, module)
		for _, i := range p.ours() {
			if !mayImport(p, path, i) {
				t.Errorf("%s imports %s", path, i)
			}
		}
		for _, i := range p.Imports {
			kafka := strings.Contains(i, "/sarama") || strings.Contains(i, "kafka_sarama") || strings.Contains(i, "/franz-go/") ||
				i == module+"shared/kafkaevents" || i == module+"shared/kafkaclient"
			if kafka && !slices.Contains(writesKafka, path) {
				t.Errorf("%s imports %s: only %v speak to Kafka", path, i, writesKafka)
			}
			if path == "shared/sources" && strings.Contains(i, ".") {
				t.Errorf("%s imports %s: it is to depend on the standard library alone", path, i)
			}
		}
	}
}

func mayImport(p pkg, path, imported string) bool {
	if allowed, ok := shared[path]; ok {
		return slices.Contains(allowed, imported)
	}
	function, inFunctions := strings.CutPrefix(path, "functions/")
	function, _, _ = strings.Cut(function, "/")
	switch {
	case strings.HasPrefix(path, "tests/"):
		return true
	case !inFunctions:
		return false
	case path == "functions/dev":
		return p.Name == "main"
	case strings.HasPrefix(imported, "functions/"+function+"/"):
		return true
	case p.Name == "main":
		return imported == "shared/serve" || slices.Contains(forFunctions, imported)
	default:
		return slices.Contains(forFunctions, imported)
	}
}

func packages(t *testing.T) []pkg {
	t.Helper()
	output, err := exec.CommandContext(t.Context(), "go", "list", "-json=Name,ImportPath,Imports", module+"...").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var found []pkg
	for decoder := json.NewDecoder(strings.NewReader(string(output))); ; {
		var p pkg
		if err := decoder.Decode(&p); err == io.EOF {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		found = append(found, p)
	}
	if len(found) < len(shared) {
		t.Fatalf("go list shows %d packages only", len(found))
	}
	return found
}
