package manifests_test

// envoyPart is as it should be, for the default settings.
const envoyPart = `
apiVersion: v1
kind: ConfigMap
metadata: {name: envoy}
data:
  routes.yaml: |
    - match: {path_separated_prefix: /api/cost-management/v1/sources}
      route: &sources
        cluster: knative
        host_rewrite_literal: sources.cost-sources.svc.cluster.local
        timeout: 60s
        retry_policy: {retry_on: "connect-failure,refused-stream", num_retries: 2}
      request_headers_to_add: &secret
      - {header: {key: X-Gateway-Secret, value: x}, append_action: OVERWRITE_IF_EXISTS_OR_ADD}
    - {match: {path_separated_prefix: /api/cost-management/v1/source_types}, route: *sources, request_headers_to_add: *secret}
    - match: {path_separated_prefix: /api/cost-management/v1/applications}
      route: &applications {cluster: knative, host_rewrite_literal: applications.cost-sources.svc.cluster.local, timeout: 60s}
      request_headers_to_add: *secret
    - {match: {path_separated_prefix: /api/cost-management/v1/application_types}, route: *applications, request_headers_to_add: *secret}
  clusters.yaml: |
    - name: knative
      type: STRICT_DNS
      connect_timeout: 5s
      load_assignment:
        cluster_name: knative
        endpoints: [{lb_endpoints: [{endpoint: {address: {socket_address: {address: gateway, port_value: 80}}}}]}]
  deployment.yaml: |
    spec: {replicas: 1}
`

// knows is what Envoy's part is checked by.
const knows = "Envoy takes what it is given"

var badEnvoys = []bad{
	{name: "no list", rule: knows, more: but(envoyPart, "spec: {replicas: 1}", "spec: [1"), want: "deployment.yaml"},
	{name: "an unknown field of the Deployment", rule: knows, more: but(envoyPart, "replicas: 1", "replica: 1"), want: `unknown field "spec.replica"`},
	{name: "an unknown field of a cluster", rule: knows, more: but(envoyPart, "connect_timeout", "connection_timeout"), want: `unknown field "connection_timeout"`},
	{name: "no port", rule: knows, more: but(envoyPart, "port_value: 80}", "port_value: 80000}"), want: "PortValue"},
	{name: "an unknown field of a route", rule: knows, more: but(envoyPart, "{path_separated_prefix: /api/cost-management/v1/source_types}", "{path_separated: /x}"), want: `unknown field "path_separated"`},
	{name: "no time", rule: knows, more: but(envoyPart, "{cluster: knative, host_rewrite_literal: applications.cost-sources.svc.cluster.local, timeout: 60s}", "{cluster: knative, timeout: 60}"), want: "unexpected token 60"},
	{name: "by text", rule: knows, more: but(envoyPart, "path_separated_prefix: /api/cost-management/v1/source_types}", "prefix: /api/cost-management/v1/source_types}"), want: "not by path_separated_prefix"},
	{name: "no such cluster", rule: knows, more: but(envoyPart, "cluster: knative", "cluster: other"), want: `the cluster "other", which is not there`},
	{name: "no timeout", rule: knows, more: but(envoyPart, "        timeout: 60s\n", ""), want: "has no timeout"},
	{name: "asked again", rule: knows, more: but(envoyPart, "connect-failure,refused-stream", "5xx,connect-failure"), want: "is asked again after 5xx"},
	{name: "a host outside", rule: knows, more: but(envoyPart, "applications.cost-sources.svc.cluster.local", "applications.example.com"), want: `asks for the host "applications.example.com"`},
	{name: "another function", rule: knows, more: but(envoyPart, "applications.cost-sources.svc", "sources.cost-sources.svc"), want: `goes to "sources", not to applications`},
	{name: "a client's secret", rule: knows, more: but(envoyPart, "OVERWRITE_IF_EXISTS_OR_ADD", "APPEND_IF_EXISTS_OR_ADD"), want: "leaves X-Gateway-Secret to the client"},
	{name: "the Service's own type", rule: knows, more: but(envoyPart, "STRICT_DNS", "DNS"), want: "invalid value for enum"},
}
