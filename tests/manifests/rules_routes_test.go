package manifests_test

import "strings"

// httpRoute is as it should be, for the default settings.
const httpRoute = `
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: cost-sources}
spec:
  hostnames: [cost-sources.example.com]
  rules:
  - matches:
    - path: {type: PathPrefix, value: /api/cost-management/v1/sources}
    - path: {type: PathPrefix, value: /api/cost-management/v1/source_types}
    filters: [{type: URLRewrite, urlRewrite: {hostname: sources.cost-sources.svc.cluster.local}}]
    backendRefs: [{name: gateway, port: 80}]
  - matches:
    - path: {type: PathPrefix, value: /api/cost-management/v1/applications}
    - path: {type: PathPrefix, value: /api/cost-management/v1/application_types}
    filters: [{type: URLRewrite, urlRewrite: {hostname: applications.cost-sources.svc.cluster.local}}]
    backendRefs: [{name: gateway, port: 80}]
`

// alert is as it should be.
const alert = `
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata: {name: cost-sources}
spec:
  groups:
  - name: outbox
    rules:
    - {alert: OutboxOld, expr: max(age) > 600, annotations: {summary: Events wait.}}
`

func but(manifest, old, replaced string) string { return strings.Replace(manifest, old, replaced, 1) }

var badRoutes = []bad{
	{name: "another class", rule: "collections are routed", object: "Ingress cost-sources", patch: "{op: remove, path: /metadata/annotations}", want: `its ingress.class is ""`},
	{name: "another host", rule: "collections are routed", object: "Ingress cost-sources", patch: "{op: add, path: /spec/rules/0/hosts, value: [example.com]}", want: "it does not have HOST"},
	{name: "one is missing", rule: "collections are routed", object: "Ingress cost-sources", patch: "{op: remove, path: /spec/rules/0/http/paths/3}", want: `/api/cost-management/v1/sources goes to ""`},
	{name: "one too many", rule: "collections are routed", object: "Ingress cost-sources", patch: "{op: add, path: /spec/rules/0/http/paths/-, value: {path: /x, rewriteHost: sources.cost-sources.svc.cluster.local, splits: [{serviceNamespace: cost-sources, serviceName: sources, servicePort: 80, percent: 100}]}}", want: "/x is none of ours"},
	{name: "the shorter first", rule: "collections are routed", object: "Ingress cost-sources", patch: "{op: add, path: /spec/rules/0/http/paths/-, value: {path: /api/cost-management/v1/sources, rewriteHost: sources.cost-sources.svc.cluster.local, splits: [{serviceNamespace: cost-sources, serviceName: sources, servicePort: 80, percent: 100}]}}", want: "stands after /api/cost-management/v1/sources"},
	{name: "of another's host", rule: "collections are routed", object: "Ingress cost-sources", patch: "{op: add, path: /spec/rules/0/http/paths/0/rewriteHost, value: x}", want: `rewriteHost "x"`},
	{name: "of another namespace", rule: "collections are routed", object: "Ingress cost-sources", patch: "{op: add, path: /spec/rules/0/http/paths/0/splits/0/serviceNamespace, value: x}", want: `goes to the namespace "x"`},
	{name: "in two parts", rule: "collections are routed", object: "Ingress cost-sources", patch: "[{op: copy, from: /spec/rules/0/http/paths/0/splits/0, path: /spec/rules/0/http/paths/0/splits/-}, {op: copy, from: /spec/rules/0/http/paths/0, path: /spec/rules/0/http/paths/-}, {op: remove, path: /spec/rules/0/http/paths/0}, {op: add, path: /spec/rules/0/http/paths/3/splits/0/percent, value: 50}, {op: add, path: /spec/rules/0/http/paths/3/splits/1/percent, value: 50}]", want: "has 2 splits"},

	{name: "another host", rule: "collections are routed by the Gateway API", more: but(httpRoute, "cost-sources.example.com", "x.example.com"), want: "without HOST"},
	{name: "one is missing", rule: "collections are routed by the Gateway API", more: but(httpRoute, "    - path: {type: PathPrefix, value: /api/cost-management/v1/source_types}\n", ""), want: `/api/cost-management/v1/source_types goes to ""`},
	{name: "one too many", rule: "collections are routed by the Gateway API", more: but(httpRoute, "  - matches:\n", "  - matches:\n    - path: {type: PathPrefix, value: /x}\n"), want: "/x is none of ours"},
	{name: "by text", rule: "collections are routed by the Gateway API", more: but(httpRoute, "type: PathPrefix, value: /api/cost-management/v1/sources}", "type: Exact, value: /api/cost-management/v1/sources}"), want: "is matched as Exact"},
	{name: "to nobody", rule: "collections are routed by the Gateway API", more: but(httpRoute, "    backendRefs: [{name: gateway, port: 80}]\n", ""), want: "a rule has 0 backendRefs"},

	{name: "into a namespace of others", rule: "gateways may be led to", more: but(httpRoute, "name: gateway, port", "name: gateway, namespace: gateways, port"), want: "nothing grants it the Service gateway of gateways"},

	{name: "no expression", rule: "alerts can be evaluated", more: but(alert, "max(age) > 600", "max(age > 600"), want: "OutboxOld: "},
	{name: "not a word", rule: "alerts can be evaluated", more: but(alert, "{summary: Events wait.}", "{}"), want: "says nothing"},
}
