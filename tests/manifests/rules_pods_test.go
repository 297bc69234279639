package manifests_test

var badPods = []bad{
	{name: "a function's", rule: "pods are found by policies", object: "Service relay", patch: "{op: remove, path: /spec/template/metadata/labels/app.kubernetes.io~1part-of}", want: "of its pods is"},
	{name: "a Job's", rule: "pods are found by policies", object: "Job migrate", patch: "{op: remove, path: /spec/template/metadata}", want: "of its pods is"},

	{name: "as somebody", rule: "pods are confined", object: "Service relay", patch: "{op: add, path: /spec/template/spec/containers/0/securityContext/runAsUser, value: 65532}", want: "it says as whom it runs"},
	{name: "as some group", rule: "pods are confined", object: "Job migrate", patch: "{op: add, path: /spec/template/spec/securityContext, value: {fsGroup: 1}}", want: "the pod says as whom it runs"},
	{name: "as root", rule: "pods are confined", object: "Service relay", patch: "{op: remove, path: /spec/template/spec/containers/0/securityContext/runAsNonRoot}", want: "runAsNonRoot is not true"},
	{name: "writes", rule: "pods are confined", object: "Service relay", patch: "{op: remove, path: /spec/template/spec/containers/0/securityContext/readOnlyRootFilesystem}", want: "readOnlyRootFilesystem is not true"},
	{name: "escalates", rule: "pods are confined", object: "Job migrate", patch: "{op: remove, path: /spec/template/spec/containers/0/securityContext/allowPrivilegeEscalation}", want: "allowPrivilegeEscalation is not false"},
	{name: "keeps capabilities", rule: "pods are confined", object: "Job migrate", patch: "{op: remove, path: /spec/template/spec/containers/0/securityContext/capabilities}", want: "not all dropped"},
	{name: "adds capabilities", rule: "pods are confined", object: "Job migrate", patch: "{op: add, path: /spec/template/spec/containers/0/securityContext/capabilities/add, value: [NET_RAW]}", want: "not all dropped"},
	{name: "calls anything", rule: "pods are confined", object: "Service relay", patch: "{op: remove, path: /spec/template/spec/containers/0/securityContext/seccompProfile}", want: `seccompProfile is ""`},
	{name: "may ask the API server", rule: "pods are confined", object: "Service relay", patch: "{op: remove, path: /spec/template/spec/automountServiceAccountToken}", want: "token for the API server"},

	{name: "no CPU", rule: "pods ask for little", object: "Service relay", patch: "{op: remove, path: /spec/template/spec/containers/0/resources/requests/cpu}", want: "requests 0 CPU"},
	{name: "much CPU", rule: "pods ask for little", object: "Job migrate", patch: `{op: add, path: /spec/template/spec/containers/0/resources/requests/cpu, value: "1"}`, want: "requests 1 CPU"},
	{name: "no memory", rule: "pods ask for little", object: "Service relay", patch: "{op: remove, path: /spec/template/spec/containers/0/resources/requests/memory}", want: "requests 0 of memory"},
	{name: "a CPU limit", rule: "pods ask for little", object: "Service relay", patch: `{op: add, path: /spec/template/spec/containers/0/resources/limits/cpu, value: "1"}`, want: "CPU limit"},
	{name: "collects too late", rule: "pods ask for little", object: "Service relay", patch: "{op: add, path: /spec/template/spec/containers/0/resources/limits/memory, value: 200Mi}", want: "collects garbage for want of memory from 200Mi on"},
	{name: "no memory limit", rule: "pods ask for little", object: "Service relay", patch: "{op: remove, path: /spec/template/spec/containers/0/resources/limits}", want: "no memory limit"},

	{name: "of others", rule: "pods run our images", object: "Service relay", patch: `{op: add, path: /spec/template/spec/containers/0/image, value: "elsewhere/relay:v1"}`, want: `its image is "elsewhere/relay:v1"`},
	{name: "of another function", rule: "pods run our images", object: "Service relay", patch: `{op: add, path: /spec/template/spec/containers/0/image, value: "cost-sources/sources:v1"}`, want: `its image is "cost-sources/sources:v1"`},
	{name: "of another version", rule: "pods run our images", object: "Service relay", patch: `{op: add, path: /spec/template/spec/containers/0/image, value: "cost-sources/relay:v2"}`, want: `its image is "cost-sources/relay:v2"`},
	{name: "of no version", rule: "pods run our images", object: "Job topics", patch: "{op: add, path: /spec/template/spec/containers/0/image, value: cost-sources/preflight}", want: `its image is "cost-sources/preflight"`},

	{name: "again and again", rule: "jobs run once", object: "Job migrate", patch: "{op: remove, path: /spec/backoffLimit}", want: "backoffLimit is not 0"},
	{name: "for ever", rule: "jobs run once", object: "Job migrate", patch: "{op: add, path: /spec/template/spec/restartPolicy, value: OnFailure}", want: `restartPolicy is "OnFailure"`},
}

var badVariables = []bad{
	{name: "misspelt", rule: "pods have known variables", object: "Service sources", patch: "{op: add, path: /spec/template/spec/containers/0/env/-, value: {name: CREATE_WAITS, value: 1s}}", want: "CREATE_WAITS is set, which it does not read"},
	{name: "of another function", rule: "pods have known variables", object: "Service relay", patch: "{op: add, path: /spec/template/spec/containers/0/env/-, value: {name: CREATE_WAIT, value: 1s}}", want: "CREATE_WAIT is set, which it does not read"},
	{name: "of the SinkBinding", rule: "pods have known variables", object: "Service relay", patch: "{op: add, path: /spec/template/spec/containers/0/env/-, value: {name: K_SINK, value: http://x}}", want: "K_SINK is set, which it does not read"},
	{name: "twice", rule: "pods have known variables", object: "Service relay", patch: "{op: add, path: /spec/template/spec/containers/0/env/-, value: {name: LOG_LEVEL, value: debug}}", want: "LOG_LEVEL is set twice"},
	{name: "from a map", rule: "pods have known variables", object: "Service relay", patch: "{op: add, path: /spec/template/spec/containers/0/envFrom, value: [{configMapRef: {name: x}}]}", want: "envFrom"},
	{name: "none", rule: "pods have known variables", object: "Job migrate", patch: "{op: add, path: /spec/template/spec/containers/0/env, value: []}", want: "DATABASE_URL_FILE is not set"},
	{name: "an unknown pod", rule: "pods have known variables", object: "Job migrate", patch: "{op: add, path: /metadata/name, value: other}", want: "nothing is known here about the variables of other"},

	{name: "nobody's issuer", rule: "pods have known variables", object: "Service sources", patch: "[{op: test, path: /spec/template/spec/containers/0/env/4/name, value: OIDC_ISSUER}, {op: add, path: /spec/template/spec/containers/0/env/4/value, value: ''}]", want: "OIDC_ISSUER is not set"},
	{name: "no proof of a gateway", rule: "pods have known variables", object: "Service sources", settings: map[string]string{"AUTH_MODE": "identity"}, patch: "[{op: test, path: /spec/template/spec/containers/0/env/7/name, value: GATEWAY_SECRET}, {op: remove, path: /spec/template/spec/containers/0/env/7}]", want: "GATEWAY_SECRET is not set"},

	{name: "no time", rule: "pods have values that can be read", object: "Service ros-cleanup", settings: map[string]string{"KRUIZE_TIMEOUT": "10"}, patch: "[{op: test, path: /spec/template/spec/containers/0/env/3/name, value: KRUIZE_TIMEOUT}, {op: add, path: /spec/template/spec/containers/0/env/3/value, value: '10'}]", want: `KRUIZE_TIMEOUT is "10": time: missing unit`},
	{name: "neither true nor false", rule: "pods have values that can be read", object: "Service ros-cleanup", settings: map[string]string{"PLAIN_RECORDS": ""}, patch: "[{op: test, path: /spec/template/spec/containers/0/env/4/name, value: PLAIN_RECORDS}, {op: remove, path: /spec/template/spec/containers/0/env/4/value}]", want: `PLAIN_RECORDS is ""`},
	{name: "no number", rule: "pods have values that can be read", object: "Job migrate", patch: "{op: add, path: /spec/template/spec/containers/0/env/-, value: {name: DATABASE_MAX_CONNS, value: many}}", want: `DATABASE_MAX_CONNS is "many"`},
	{name: "who trusts more", rule: "preflight trusts whom the functions trust", object: "Job preflight",
		patch: "{op: add, path: /spec/template/spec/containers/0/env/-, value: {name: SSL_CERT_DIR, value: /x}}", want: `it has the authorities of "/x", and relay those of ""`},
	{name: "no replicas", rule: "pods have values that can be read", object: "Job migrate", settings: map[string]string{"TOPIC_REPLICATION": "0"}, patch: "{op: add, path: /spec/template/spec/containers/0/env/-, value: {name: TOPIC_REPLICATION, value: '0'}}", want: `TOPIC_REPLICATION is "0": neither`},
	{name: "a choice there is not", rule: "pods have values that can be read", object: "Job migrate", settings: map[string]string{"TOPICS": "x"}, patch: "{op: add, path: /spec/template/spec/containers/0/env/-, value: {name: TOPICS, value: x}}", want: `TOPICS is "x": none of create, strimzi, exist`},
	{name: "something else than was set", rule: "pods have values that can be read", object: "Service provisioner", patch: "[{op: test, path: /spec/template/spec/containers/0/env/1/name, value: TENANT_TEMPLATE_SCHEMA}, {op: add, path: /spec/template/spec/containers/0/env/1/value, value: x}]", want: `TENANT_TEMPLATE_SCHEMA is "x", but the settings say ""`},

	{name: "the login of another", rule: "functions log in as the settings say", object: "Service relay", patch: "{op: add, path: /spec/template/spec/containers/0/env/0/valueFrom/secretKeyRef/key, value: sources}", want: "it comes to the database as sources, not as url"},
	{name: "a URL", rule: "pods keep secrets out of manifests", object: "Job migrate", patch: "{op: add, path: /spec/template/spec/containers/0/env/-, value: {name: DATABASE_URL, value: postgres://u:p@h/d}}", want: "DATABASE_URL is written out"},
	{name: "a Secret of nobody", rule: "pods keep secrets out of manifests", object: "Job migrate", patch: "{op: add, path: /spec/template/spec/containers/0/env/-, value: {name: ROS_DATABASE_URL, valueFrom: {secretKeyRef: {name: cost-sources-rows, key: url}}}}", want: "cost-sources-rows, which no site makes"},
	{name: "a key of nobody", rule: "pods keep secrets out of manifests", object: "Job migrate", patch: "{op: add, path: /spec/template/spec/containers/0/env/-, value: {name: ROS_DATABASE_URL, valueFrom: {secretKeyRef: {name: cost-sources-ros, key: uri}}}}", want: "uri of the Secret cost-sources-ros, which no site makes"},
	{name: "a projected volume of nobody", rule: "pods keep secrets out of manifests", object: "Job migrate", patch: "{op: add, path: /spec/template/spec/volumes/-, value: {name: x, projected: {sources: [{secret: {name: z}}]}}}", want: "volume x is the Secret z"},
	{name: "a volume of nobody", rule: "pods keep secrets out of manifests", object: "Job migrate", patch: "{op: add, path: /spec/template/spec/volumes/-, value: {name: x, secret: {secretName: z}}}", want: "volume x is the Secret z"},
}
