package manifests_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/insights-onprem/cost-sources/tests/manifests"
)

// TestEnvoySnippets looks at those that overlays bring, one file envoy*.yaml each.
func TestEnvoySnippets(t *testing.T) {
	t.Parallel()

	files, err := filepath.Glob(filepath.Join(knative, "overlays", "*", "envoy*.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, problem := range manifests.Envoy(text) {
			t.Errorf("%s: %s", file, problem)
		}
	}
}

// envoyRoute is one, to be completed with the collection and its function.
const envoyRoute = `
- match: {path_separated_prefix: /api/cost-management/v1/COLLECTION}
  route:
    cluster: knative
    host_rewrite_literal: FUNCTION.cost-sources.svc.cluster.local
    timeout: 60s
    retry_policy: {retry_on: "connect-failure,refused-stream", num_retries: 2}`

func envoySnippet() string {
	snippet := "routes:"
	for collection, function := range map[string]string{
		"sources": "sources", "source_types": "sources", "applications": "applications", "application_types": "applications",
	} {
		snippet += strings.NewReplacer("COLLECTION", collection, "FUNCTION", function).Replace(envoyRoute)
	}
	return snippet + `
clusters:
- name: knative
  type: STRICT_DNS
  connect_timeout: 5s
  load_assignment:
    cluster_name: knative
    endpoints: [{lb_endpoints: [{endpoint: {address: {socket_address: {address: kourier-internal, port_value: 80}}}}]}]
`
}

func TestEnvoyFindsWhatIsWrong(t *testing.T) {
	t.Parallel()

	for _, problem := range manifests.Envoy([]byte(envoySnippet())) {
		t.Errorf("of one that is as it should be: %s", problem)
	}
	tests := []struct{ name, old, replaced, want string }{
		{"an unknown key", "clusters:", "cluster:", `unknown field "cluster"`},
		{"an unknown field of a route", "timeout: 60s", "timeouts: 60s", `unknown field "timeouts"`},
		{"an unknown field of a cluster", "connect_timeout", "connection_timeout", `unknown field "connection_timeout"`},
		{"no time", "timeout: 60s", "timeout: 60", "unexpected token 60"},
		{"no port", "port_value: 80", "port_value: 80000", "PortValue"},
		{"by text", "path_separated_prefix: /api/cost-management/v1/sources}", "prefix: /api/cost-management/v1/sources}", "not by path_separated_prefix"},
		{"no such cluster", "cluster: knative", "cluster: other", `the cluster "other", which is not there`},
		{"no timeout", "    timeout: 60s\n", "", "has no timeout"},
		{"asked again", "connect-failure,refused-stream", "5xx,connect-failure", "is asked again after 5xx"},
		{"another's host", "applications.cost-sources.svc.cluster.local", "applications.example.com", `asks for the host "applications.example.com"`},
		{"another function", "applications.cost-sources.svc", "sources.cost-sources.svc", `goes to "sources", not to applications`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()

			spoiled := strings.Replace(envoySnippet(), tt.old, tt.replaced, 1)
			if got := strings.Join(manifests.Envoy([]byte(spoiled)), "\n"); !strings.Contains(got, tt.want) {
				t.Errorf("found %q, want %q", got, tt.want)
			}
		})
	}
}
