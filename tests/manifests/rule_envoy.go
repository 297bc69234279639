package manifests

import (
	"encoding/json"
	"slices"
	"strings"

	cluster "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	envoycore "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	route "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	apps "k8s.io/api/apps/v1"
	core "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"
)

// envoys: where a site's gateway is an Envoy of its own, a ConfigMap has what is to be put into its configuration: the
// four routes, the cluster that they name, and a patch for its Deployment. Envoy refuses a field that it does not know,
// and then does not start, and with it the site's other services.
func envoys(c *core.ConfigMap, r *Rendering, p *problems) {
	if c.Data["routes.yaml"] == "" && c.Data["clusters.yaml"] == "" {
		return
	}
	names := map[string]bool{}
	for _, text := range p.list(c.Data["clusters.yaml"]) {
		cluster := new(cluster.Cluster)
		if p.decode(text, cluster) {
			p.unless(cluster.ValidateAll() == nil, "%v", cluster.ValidateAll())
			names[cluster.Name] = true
		}
	}
	got := map[string]string{}
	for _, text := range p.list(c.Data["routes.yaml"]) {
		route := new(route.Route)
		if p.decode(text, route) {
			p.unless(route.ValidateAll() == nil, "%v", route.ValidateAll())
			got[route.GetMatch().GetPathSeparatedPrefix()] = p.envoyRoute(route, names, r)
		}
	}
	routed(got, p)
	text, err := yaml.YAMLToJSON([]byte(c.Data["deployment.yaml"]))
	p.unless(err == nil, "deployment.yaml: %v", err)
	for _, err := range decode(text, new(apps.Deployment)) {
		p.unless(false, "deployment.yaml: %v", err)
	}
}

// list are the items of a list that is written as YAML.
func (p *problems) list(text string) []json.RawMessage {
	var items []json.RawMessage
	err := yaml.UnmarshalStrict([]byte(text), &items)
	p.unless(err == nil, "%v", err)
	return items
}

// decode fills a message of Envoy's, as strictly as Envoy does.
func (p *problems) decode(text []byte, into proto.Message) bool {
	err := protojson.Unmarshal(text, into)
	p.unless(err == nil, "%v", err)
	return err == nil
}

// envoyRoute: a plain prefix takes /sourcesX too, and a POST that is sent again after it was answered with 5xx, or after
// the connection broke, makes a thing twice. It says which function the route leads to.
func (p *problems) envoyRoute(r *route.Route, clusters map[string]bool, site *Rendering) string {
	to, path := r.GetRoute(), r.GetMatch().GetPathSeparatedPrefix()
	p.unless(path != "", "a route is not by path_separated_prefix")
	p.unless(clusters[to.GetCluster()], "%s goes to the cluster %q, which is not there", path, to.GetCluster())
	p.unless(to.GetTimeout() != nil, "%s has no timeout, which is 15 s then", path)
	for on := range strings.SplitSeq(to.GetRetryPolicy().GetRetryOn(), ",") {
		p.unless(slices.Contains([]string{"", "connect-failure", "refused-stream"}, on), "%s is asked again after %s, when it may have been done", path, on)
	}
	p.unless(slices.ContainsFunc(r.GetRequestHeadersToAdd(), provesItself), "%s leaves X-Gateway-Secret to the client", path)
	function, inside := strings.CutSuffix(to.GetHostRewriteLiteral(), "."+site.Settings["NAMESPACE"]+".svc.cluster.local")
	p.unless(inside, "%s asks for the host %q, which is none of our namespace", path, to.GetHostRewriteLiteral())
	return function
}

// provesItself: what a client sends as the gateway's secret has to be replaced, and not added to.
func provesItself(h *envoycore.HeaderValueOption) bool {
	return strings.EqualFold(h.GetHeader().GetKey(), "X-Gateway-Secret") &&
		h.GetAppendAction() == envoycore.HeaderValueOption_OVERWRITE_IF_EXISTS_OR_ADD
}
