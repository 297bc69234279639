package manifests_test

import "github.com/insights-onprem/cost-sources/tests/manifests"

// badTypes are refused by the types, schemas and webhooks that the cluster has.
var badTypes = []bad{
	{name: "no YAML", rule: manifests.Types, more: "kind: [", want: "no object"},
	{name: "a key twice", rule: manifests.Types, more: "kind: A\nkind: B", want: "no object"},
	{name: "an unknown kind", rule: manifests.Types, more: "{apiVersion: v9, kind: Pad, metadata: {name: x}}", want: "nothing is known here about v9 Pad"},
	{name: "an unknown field of a function", rule: manifests.Types, object: "Service relay",
		patch: "{op: add, path: /spec/template/spec/timeoutSecond, value: 60}", want: `unknown field "spec.template.spec.timeoutSecond"`},
	{name: "a field in other letters", rule: manifests.Types, object: "Service relay",
		patch: "{op: add, path: /spec/template/spec/timeoutseconds, value: 60}", want: `unknown field "spec.template.spec.timeoutseconds"`},
	{name: "an annotation that is a number", rule: manifests.Types, object: "Service relay",
		patch: "{op: add, path: /spec/template/metadata/annotations/autoscaling.knative.dev~1max-scale, value: 1}", want: "cannot unmarshal number"},
	{name: "a variable that is a bool", rule: manifests.Types, object: "Service sources",
		patch: "{op: add, path: /spec/template/spec/containers/0/env/-, value: {name: ONPREM, value: true}}", want: "cannot unmarshal bool"},
	{name: "PORT by hand", rule: manifests.Types, object: "Service sources",
		patch: `{op: add, path: /spec/template/spec/containers/0/env/-, value: {name: PORT, value: "8080"}}`, want: `"PORT" is a reserved environment variable`},
	{name: "K_SERVICE by hand", rule: manifests.Types, object: "Service sources",
		patch: "{op: add, path: /spec/template/spec/containers/0/env/-, value: {name: K_SERVICE, value: x}}", want: `"K_SERVICE" is a reserved environment variable`},
	{name: "a field of the pod as a variable", rule: manifests.Types, object: "Service sources",
		patch: "{op: add, path: /spec/template/spec/containers/0/env/-, value: {name: OTEL_X, valueFrom: {fieldRef: {fieldPath: metadata.name}}}}", want: "fieldRef"},
	{name: "an init container", rule: manifests.Types, object: "Service sources",
		patch: "{op: add, path: /spec/template/spec/initContainers, value: [{name: x, image: y}]}", want: "initContainers"},
	{name: "a port of Knative's own", rule: manifests.Types, object: "Service sources",
		patch: "{op: add, path: /spec/template/spec/containers/0/ports, value: [{containerPort: 8012}]}", want: "8012 is a reserved port"},
	{name: "less than no instance", rule: manifests.Types, object: "Service relay",
		patch: `{op: add, path: /spec/template/metadata/annotations/autoscaling.knative.dev~1min-scale, value: "-1"}`, want: "min-scale"},
	{name: "more instances than at most", rule: manifests.Types, object: "Service relay",
		patch: `{op: add, path: /spec/template/metadata/annotations/autoscaling.knative.dev~1min-scale, value: "9"}`, want: "max-scale=1 is less than min-scale=9"},

	{name: "a schedule that is none", rule: manifests.Types, object: "PingSource relay", patch: "{op: add, path: /spec/schedule, value: often}", want: "spec.schedule"},
	{name: "pings of any length", rule: manifests.Types, object: "PingSource relay", patch: `{op: add, path: /spec/schedule, value: "@every 3m"}`, want: "spec.schedule"},
	{name: "a ping to nobody", rule: manifests.Types, object: "PingSource relay", patch: "{op: remove, path: /spec/sink/ref}", want: "spec.sink"},
	{name: "a ping's data that is no JSON", rule: manifests.Types, object: "PingSource relay", patch: `{op: add, path: /spec/data, value: "{"}`, want: "spec.data"},
	{name: "a binding without subject", rule: manifests.Types, object: "SinkBinding relay", patch: "{op: remove, path: /spec/subject}", want: "spec.subject"},
	{name: "an unknown field of a binding", rule: manifests.Types, object: "SinkBinding relay", patch: "{op: add, path: /spec/sinks, value: {}}", want: `unknown field "spec.sinks"`},

	{name: "an ingress without rules", rule: manifests.Types, object: "Ingress cost-sources", patch: "{op: add, path: /spec/rules, value: []}", want: "spec.rules"},
	{name: "half of the requests", rule: manifests.Types, object: "Ingress cost-sources", patch: "{op: add, path: /spec/rules/0/http/paths/0/splits/0/percent, value: 50}", want: "traffic split percentage must total to 100"},
	{name: "an unknown field of an ingress", rule: manifests.Types, object: "Ingress cost-sources", patch: "{op: add, path: /spec/rules/0/https, value: {}}", want: `unknown field "spec.rules[0].https"`},

	{name: "an unknown field of a KafkaSource", rule: manifests.Types, object: "KafkaSource provisioner", patch: "{op: add, path: /spec/filters, value: []}", want: `unknown field "spec.filters"`},
	{name: "an unknown field of its delivery", rule: manifests.Types, object: "KafkaSource provisioner", patch: "{op: add, path: /spec/delivery/retries, value: 3}", want: `unknown field "spec.delivery.retries"`},
	{name: "retries as text", rule: manifests.Types, object: "KafkaSource provisioner", patch: `{op: add, path: /spec/delivery/retry, value: "6"}`, want: "spec.delivery.retry"},
	{name: "the older version", rule: manifests.Types, object: "KafkaSource provisioner", patch: "[{op: add, path: /apiVersion, value: sources.knative.dev/v1beta1}, {op: add, path: /spec/filter, value: x}]", want: `unknown field "spec.filter"`},
	{name: "an unknown field of a KafkaSink", rule: manifests.Types, object: "KafkaSink sources-events", patch: "{op: add, path: /spec/topics, value: []}", want: `unknown field "spec.topics"`},
	{name: "a KafkaSink without topic", rule: manifests.Types, object: "KafkaSink sources-events", patch: "{op: remove, path: /spec/topic}", want: "spec.topic"},
	{name: "a content mode that is none", rule: manifests.Types, object: "KafkaSink sources-events", patch: "{op: add, path: /spec/contentMode, value: text}", want: "spec.contentMode"},

	{name: "an unknown field of a Job", rule: manifests.Types, object: "Job migrate", patch: "{op: add, path: /spec/backofLimit, value: 1}", want: `unknown field "spec.backofLimit"`},
	{name: "an unknown field of a policy", rule: manifests.Types, object: "NetworkPolicy cost-sources", patch: "{op: add, path: /spec/podselector, value: {}}", want: `unknown field "spec.podselector"`},
	{name: "an unknown field of a KafkaTopic", rule: manifests.Types, more: "{apiVersion: kafka.strimzi.io/v1, kind: KafkaTopic, metadata: {name: x}, spec: {partition: 1}}", want: `unknown field "spec.partition"`},
	{name: "an unknown field of an HTTPRoute", rule: manifests.Types, more: "{apiVersion: gateway.networking.k8s.io/v1, kind: HTTPRoute, metadata: {name: x}, spec: {rule: []}}", want: `unknown field "spec.rule"`},
	{name: "an unknown field of a grant", rule: manifests.Types, more: "{apiVersion: gateway.networking.k8s.io/v1beta1, kind: ReferenceGrant, metadata: {name: x}, spec: {with: []}}", want: `unknown field "spec.with"`},
	{name: "an unknown field of a Route", rule: manifests.Types, more: "{apiVersion: route.openshift.io/v1, kind: Route, metadata: {name: x}, spec: {too: {}}}", want: `unknown field "spec.too"`},
	{name: "an unknown field of alerts", rule: manifests.Types, more: "{apiVersion: monitoring.coreos.com/v1, kind: PrometheusRule, metadata: {name: x}, spec: {groups: [{names: y}]}}", want: `unknown field "spec.groups[0].names"`},
}
