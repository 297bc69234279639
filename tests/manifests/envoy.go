package manifests

import (
	"encoding/json"
	"slices"
	"strings"

	cluster "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	route "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"sigs.k8s.io/yaml"
)

// A site whose gateway is an Envoy adds a snippet to its configuration: routes, to stand before its own, and the clusters
// that they name.
type envoy struct {
	Routes   []json.RawMessage `json:"routes"`
	Clusters []json.RawMessage `json:"clusters"`
}

// Envoy is what is wrong with such a snippet. Envoy refuses a field that it does not know, and then does not start.
func Envoy(snippet []byte) []string {
	var e envoy
	if err := yaml.UnmarshalStrict(snippet, &e); err != nil {
		return []string{err.Error()}
	}
	p := problems{about: "envoy"}
	clusters := map[string]bool{}
	for _, text := range e.Clusters {
		c := new(cluster.Cluster)
		if p.decode(text, c) {
			p.unless(c.ValidateAll() == nil, "%v", c.ValidateAll())
			clusters[c.Name] = true
		}
	}
	got := map[string]string{}
	for _, text := range e.Routes {
		r := new(route.Route)
		if p.decode(text, r) {
			p.unless(r.ValidateAll() == nil, "%v", r.ValidateAll())
			got[r.GetMatch().GetPathSeparatedPrefix()] = p.route(r, clusters)
		}
	}
	routed(got, &p)
	return p.found
}

func (p *problems) decode(text []byte, into proto.Message) bool {
	err := protojson.Unmarshal(text, into)
	p.unless(err == nil, "%v", err)
	return err == nil
}

// route: a plain prefix takes /sourcesX too, and a POST that is sent again after it was answered with 5xx, or after the
// connection broke, makes a thing twice. It says which function the route leads to.
func (p *problems) route(r *route.Route, clusters map[string]bool) string {
	to, path := r.GetRoute(), r.GetMatch().GetPathSeparatedPrefix()
	p.unless(path != "", "a route is not by path_separated_prefix")
	p.unless(clusters[to.GetCluster()], "%s goes to the cluster %q, which is not there", path, to.GetCluster())
	p.unless(to.GetTimeout() != nil, "%s has no timeout, which is 15 s then", path)
	for on := range strings.SplitSeq(to.GetRetryPolicy().GetRetryOn(), ",") {
		p.unless(slices.Contains([]string{"", "connect-failure", "refused-stream"}, on), "%s is asked again after %s, when it may have been done", path, on)
	}
	function, _, _ := strings.Cut(to.GetHostRewriteLiteral(), ".")
	p.unless(strings.HasSuffix(to.GetHostRewriteLiteral(), ".svc.cluster.local"), "%s asks for the host %q", path, to.GetHostRewriteLiteral())
	return function
}
