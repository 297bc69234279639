package manifests_test

var badObjects = []bad{
	{name: "no label", rule: "objects are ours", object: "SinkBinding relay", patch: "{op: remove, path: /metadata/labels/app.kubernetes.io~1part-of}", want: `part-of is ""`},
	{name: "no namespace", rule: "objects are ours", object: "SinkBinding relay", patch: "{op: remove, path: /metadata/namespace}", want: `namespace is "", not "cost-sources"`},
	{name: "another namespace", rule: "objects are ours", object: "Service relay", patch: "{op: add, path: /metadata/namespace, value: default}", want: `namespace is "default"`},
	{name: "a topic nowhere", rule: "objects are ours", more: "{apiVersion: kafka.strimzi.io/v1, kind: KafkaTopic, metadata: {name: x, labels: {app.kubernetes.io/part-of: cost-sources}}}", want: `namespace is "", not "cost-sources"`},

	{name: "capitals", rule: "names are valid", object: "SinkBinding relay", patch: "{op: add, path: /metadata/name, value: Relay}", want: "its name: a lowercase RFC 1123 subdomain"},
	{name: "a dot in a function's", rule: "names are valid", object: "Service relay", patch: "{op: add, path: /metadata/name, value: relay.x}", want: "its name: a DNS-1035 label"},
	{name: "a label with a blank", rule: "names are valid", object: "Service relay", patch: "{op: add, path: /metadata/labels/x, value: a b}", want: "label x: a valid label"},
	{name: "twice", rule: "names are valid", object: "SinkBinding relay", patch: "{op: add, path: /metadata/name, value: sources}", want: "it is there twice"},

	{name: "a topic", rule: "settings are replaced", object: "KafkaSource provisioner", patch: "{op: add, path: /spec/topics/0, value: TOPIC}", want: `.spec.topics[0] is still "TOPIC"`},
	{name: "a part of a host", rule: "settings are replaced", object: "Ingress cost-sources", patch: "{op: add, path: /spec/rules/1/hosts/0, value: cost-sources.NAMESPACE}", want: `is still "cost-sources.NAMESPACE"`},
	{name: "a variable's value", rule: "settings are replaced", object: "Job migrate", patch: "{op: add, path: /spec/template/spec/containers/0/env/-, value: {name: LOG_LEVEL, value: LOG_LEVEL}}", want: `is still "LOG_LEVEL"`},

	{name: "the last", rule: "the version is one", settings: map[string]string{"VERSION": "latest"}, want: `VERSION: "latest" is no version`},
	{name: "none", rule: "the version is one", settings: map[string]string{"VERSION": ""}, want: "is no version"},

	{name: "a password", rule: "secrets are the site's", more: "{apiVersion: v1, kind: Secret, metadata: {name: x}, stringData: {url: z}}", want: "Secret x"},
}

var badFunctions = []bad{
	{name: "one is missing", rule: "functions are the five", gone: "Service relay", want: "[applications provisioner ros-cleanup sources], not"},

	{name: "no label", rule: "functions are called inside", object: "Service relay", patch: "{op: remove, path: /metadata/labels/networking.knative.dev~1visibility}", want: "called from outside"},
	{name: "the label elsewhere", rule: "functions are called inside", object: "Service relay", patch: "{op: add, path: /spec/template/metadata/labels/networking.knative.dev~1visibility, value: cluster-local}", want: "is on the revision"},

	{name: "no bound", rule: "functions scale within bounds", object: "Service relay", patch: "{op: remove, path: /spec/template/metadata/annotations/autoscaling.knative.dev~1max-scale}", want: `max-scale is ""`},
	{name: "zero is no bound", rule: "functions scale within bounds", object: "Service relay", patch: `{op: add, path: /spec/template/metadata/annotations/autoscaling.knative.dev~1max-scale, value: "0"}`, want: `max-scale is "0"`},
	{name: "nothing about least", rule: "functions scale within bounds", object: "Service relay", patch: "{op: remove, path: /spec/template/metadata/annotations/autoscaling.knative.dev~1min-scale}", want: `min-scale is ""`},
	{name: "many at least", rule: "functions scale within bounds", object: "Service relay", patch: `{op: add, path: /spec/template/metadata/annotations/autoscaling.knative.dev~1min-scale, value: "2"}`, want: `min-scale is "2"`},
	{name: "misspelt", rule: "functions scale within bounds", object: "Service relay", patch: `{op: add, path: /spec/template/metadata/annotations/autoscaling.knative.dev~1maxscale, value: "2"}`, want: "autoscaling.knative.dev/maxscale is none of"},
	{name: "another window", rule: "functions scale within bounds", object: "Service relay", patch: "{op: add, path: /spec/template/metadata/annotations/autoscaling.knative.dev~1window, value: 60s}", want: "autoscaling.knative.dev/window is none of"},
	{name: "on the Service", rule: "functions scale within bounds", object: "Service relay", patch: `{op: add, path: /metadata/annotations, value: {autoscaling.knative.dev/max-scale: "2"}}`, want: "is on the Service and not on its revision"},

	{name: "cut off", rule: "functions may finish", object: "Service relay", patch: "{op: add, path: /spec/template/spec/timeoutSeconds, value: 35}", want: "timeoutSeconds is 35"},
	{name: "too long", rule: "functions may finish", object: "Service relay", patch: "{op: add, path: /spec/template/spec/timeoutSeconds, value: 601}", want: "timeoutSeconds is 601"},
	{name: "nobody chose", rule: "functions may finish", object: "Service relay", patch: "{op: remove, path: /spec/template/spec/timeoutSeconds}", want: "timeoutSeconds is 0"},

	{name: "no probe", rule: "functions are ready when they listen", object: "Service relay", patch: "{op: remove, path: /spec/template/spec/containers/0/readinessProbe}", want: "no httpGet"},
	{name: "by TCP", rule: "functions are ready when they listen", object: "Service relay", patch: "{op: add, path: /spec/template/spec/containers/0/readinessProbe, value: {tcpSocket: {}}}", want: "no httpGet"},
	{name: "slow", rule: "functions are ready when they listen", object: "Service relay", patch: "{op: add, path: /spec/template/spec/containers/0/readinessProbe/periodSeconds, value: 1}", want: "periodSeconds"},
	{name: "elsewhere", rule: "functions are ready when they listen", object: "Service relay", patch: "{op: add, path: /spec/template/spec/containers/0/readinessProbe/httpGet/path, value: /}", want: `asks "/"`},

	{name: "one instance more", rule: "functions take no more connections than are stated", object: "Service relay", patch: `{op: add, path: /spec/template/metadata/annotations/autoscaling.knative.dev~1max-scale, value: "2"}`, want: `is 52 in all, but CONNECTIONS_NEEDED says "48"`},
	{name: "no bound", rule: "functions take no more connections than are stated", object: "Service relay", patch: "{op: remove, path: /spec/template/metadata/annotations/autoscaling.knative.dev~1max-scale}", want: "is 44 in all"},

	{name: "another spelling of a size", rule: "functions' kn manifests lose nothing", object: "Service relay", patch: "{op: add, path: /spec/template/spec/containers/0/resources/requests/cpu, value: 0.0250}", want: "does not apply .spec.template.spec.containers[0].resources.requests.cpu"},
}
