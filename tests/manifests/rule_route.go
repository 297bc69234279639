package manifests

import (
	"maps"
	"slices"
	"strings"

	"k8s.io/utils/ptr"
	ingress "knative.dev/networking/pkg/apis/networking/v1alpha1"
	gateway "sigs.k8s.io/gateway-api/apis/v1"
	gatewaybeta "sigs.k8s.io/gateway-api/apis/v1beta1"
)

// collections are all that comes to us, and from whom it gets an answer. Other paths under the prefix are Koku's.
var collections = map[string]string{
	"/api/cost-management/v1/sources":           "sources",
	"/api/cost-management/v1/source_types":      "sources",
	"/api/cost-management/v1/applications":      "applications",
	"/api/cost-management/v1/application_types": "applications",
}

// routed notes what differs between the routes that there are, path to function, and the four collections.
func routed(got map[string]string, p *problems) {
	for _, path := range slices.Sorted(maps.Keys(collections)) {
		p.unless(got[path] == collections[path], "%s goes to %q, not to %s", path, got[path], collections[path])
	}
	for _, path := range slices.Sorted(maps.Keys(got)) {
		p.unless(collections[path] != "", "%s is none of ours", path)
	}
}

// ingresses: Knative's ingress compares prefixes as texts and takes the first that fits, so that a shorter one must not
// stand before a longer one. It sends on by host: rewriteHost names the function once more.
func ingresses(r *Rendering) []string {
	var found []string
	for _, i := range all[*ingress.Ingress](r) {
		p := about(i)
		class := i.Annotations["networking.knative.dev/ingress.class"]
		p.unless(class == r.Settings["INGRESS_CLASS"], "its ingress.class is %q, not %q", class, r.Settings["INGRESS_CLASS"])
		var hosts []string
		for _, rule := range i.Spec.Rules {
			hosts = append(hosts, rule.Hosts...)
			ingressPaths(rule.HTTP.Paths, r, p)
		}
		p.unless(slices.Contains(hosts, r.Settings["HOST"]), "it does not have HOST, %q: %q", r.Settings["HOST"], hosts)
		found = append(found, p.found...)
	}
	return found
}

func ingressPaths(paths []ingress.HTTPIngressPath, r *Rendering, p *problems) {
	got := map[string]string{}
	for n, path := range paths {
		for _, earlier := range paths[:n] {
			p.unless(!strings.HasPrefix(path.Path, earlier.Path), "%s stands after %s, which takes its requests", path.Path, earlier.Path)
		}
		p.unless(len(path.Splits) == 1, "%s has %d splits", path.Path, len(path.Splits))
		for _, split := range path.Splits {
			p.unless(split.ServiceNamespace == r.Settings["NAMESPACE"], "%s goes to the namespace %q", path.Path, split.ServiceNamespace)
			inside := split.ServiceName + "." + r.Settings["NAMESPACE"] + ".svc.cluster.local"
			p.unless(path.RewriteHost == inside, "%s has rewriteHost %q, not %q", path.Path, path.RewriteHost, inside)
			got[path.Path] = split.ServiceName
		}
	}
	routed(got, p)
}

// httpRoutes: the Gateway API compares prefixes by segments. The gateway that a route sends on to finds the function by
// its host.
func httpRoutes(r *Rendering) []string {
	var found []string
	for _, route := range all[*gateway.HTTPRoute](r) {
		p := about(route)
		p.unless(slices.Contains(route.Spec.Hostnames, gateway.Hostname(r.Settings["HOST"])), "its hostnames are %q, without HOST", route.Spec.Hostnames)
		got := map[string]string{}
		for _, rule := range route.Spec.Rules {
			p.unless(len(rule.BackendRefs) == 1, "a rule has %d backendRefs", len(rule.BackendRefs))
			for _, match := range rule.Matches {
				path := ptr.Deref(match.Path, gateway.HTTPPathMatch{})
				kind, value := ptr.Deref(path.Type, gateway.PathMatchPathPrefix), ptr.Deref(path.Value, "/")
				p.unless(kind == gateway.PathMatchPathPrefix, "%s is matched as %s, not as PathPrefix", value, kind)
				got[value] = rewritten(rule.Filters, r.Settings["NAMESPACE"])
			}
		}
		routed(got, p)
		found = append(found, p.found...)
	}
	return found
}

// rewritten is the function whose host the filters ask for.
func rewritten(filters []gateway.HTTPRouteFilter, namespace string) string {
	for _, f := range filters {
		if f.URLRewrite != nil && f.URLRewrite.Hostname != nil {
			function, _ := strings.CutSuffix(string(*f.URLRewrite.Hostname), "."+namespace+".svc.cluster.local")
			return function
		}
	}
	return ""
}

// grants: a route may lead into another namespace only where a ReferenceGrant there says so.
func grants(r *Rendering) []string {
	var found []string
	for _, route := range all[*gateway.HTTPRoute](r) {
		p := about(route)
		for _, rule := range route.Spec.Rules {
			for _, backend := range rule.BackendRefs {
				namespace := string(ptr.Deref(backend.Namespace, gateway.Namespace(route.Namespace)))
				granted := namespace == route.Namespace || slices.ContainsFunc(all[*gatewaybeta.ReferenceGrant](r), func(g *gatewaybeta.ReferenceGrant) bool {
					return g.Namespace == namespace && allows(g, route.Namespace, backend.Name)
				})
				p.unless(granted, "nothing grants it the Service %s of %s", backend.Name, namespace)
			}
		}
		found = append(found, p.found...)
	}
	return found
}

func allows(g *gatewaybeta.ReferenceGrant, from string, to gateway.ObjectName) bool {
	return slices.ContainsFunc(g.Spec.From, func(f gatewaybeta.ReferenceGrantFrom) bool {
		return string(f.Namespace) == from && f.Kind == "HTTPRoute" && f.Group == gateway.GroupName
	}) && slices.ContainsFunc(g.Spec.To, func(t gatewaybeta.ReferenceGrantTo) bool {
		return t.Kind == "Service" && t.Group == "" && (t.Name == nil || *t.Name == to)
	})
}
