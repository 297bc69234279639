package manifests_test

import "github.com/insights-onprem/cost-sources/tests/manifests"

var badKafka = []bad{
	{name: "owned", rule: "sinks leave topics alone", object: "KafkaSink sources-events", patch: "{op: add, path: /spec/numPartitions, value: 3}", want: "deleted together with it"},
	{name: "copied", rule: "sinks leave topics alone", object: "KafkaSink sources-events", patch: "{op: add, path: /spec/replicationFactor, value: 3}", want: "deleted together with it"},
	{name: "structured", rule: "sinks leave topics alone", object: "KafkaSink sources-events", patch: "{op: add, path: /spec/contentMode, value: structured}", want: "contentMode is not binary"},

	{name: "a topic more", rule: "sinks write to topics of ours", more: "{apiVersion: eventing.knative.dev/v1alpha1, kind: KafkaSink, metadata: {name: x}, spec: {topic: more, bootstrapServers: [z]}}", want: `x writes to "more", which nobody makes`},
	{name: "no dead letters", rule: "sinks write to topics of ours", gone: "KafkaSink sources-dead-letters", want: "none writes to DEAD_TOPIC"},

	{name: "one is missing", rule: "Strimzi makes what is written to", settings: manifests.Settings{"TOPICS": "strimzi"},
		more: "{apiVersion: kafka.strimzi.io/v1, kind: KafkaTopic, metadata: {name: platform.sources.event-stream}}", want: `they are ["platform.sources.event-stream"], not`},

	{name: "what the brokers are set to", rule: "Strimzi takes its topics",
		more: "{apiVersion: kafka.strimzi.io/v1, kind: KafkaTopic, metadata: {name: x}, spec: {replicas: -1}}", want: "replicas are -1, which Strimzi refuses"},
	{name: "fewer", rule: "Strimzi takes its topics", settings: manifests.Settings{"TOPIC_REPLICATION": "3"},
		more: "{apiVersion: kafka.strimzi.io/v1, kind: KafkaTopic, metadata: {name: x}}", want: "replicas are -1, but TOPIC_REPLICATION says 3"},

	{name: "misspelt", rule: "sources read topics of ours", object: "KafkaSource ros-cleanup", patch: "{op: add, path: /spec/topics, value: [platform.source.event-stream]}", want: `it reads ["platform.source.event-stream"]`},
	{name: "another one too", rule: "sources read topics of ours", object: "KafkaSource ros-cleanup", patch: "{op: add, path: /spec/topics/-, value: more}", want: "it reads"},
	{name: "which nobody makes", rule: "sinks write to topics of ours", settings: manifests.Settings{"TOPICS": "strimzi"}, gone: "KafkaSink sources-dead-letters",
		more: "{apiVersion: kafka.strimzi.io/v1, kind: KafkaTopic, metadata: {name: platform.sources.event-stream}}", want: "none writes to DEAD_TOPIC"},

	{name: "another broker", rule: "Kafka is spoken to as the settings say", object: "KafkaSource ros-cleanup", patch: "{op: add, path: /spec/bootstrapServers, value: [x]}", want: `bootstrapServers are ["x"]`},
	{name: "another broker to write to", rule: "Kafka is spoken to as the settings say", object: "KafkaSink sources-events", patch: "{op: add, path: /spec/bootstrapServers/-, value: x}", want: "bootstrapServers are"},
	{name: "a password nobody asks for", rule: "Kafka is spoken to as the settings say", object: "KafkaSink sources-events", patch: "{op: add, path: /spec/auth, value: {secret: {ref: {name: cost-sources-kafka}}}}", want: "with KAFKA_AUTH=none"},
	{name: "TLS nobody asks for", rule: "Kafka is spoken to as the settings say", object: "KafkaSource ros-cleanup", patch: "{op: add, path: /spec/net, value: {tls: {enable: true}}}", want: "with KAFKA_AUTH=none"},
}

var badSources = []bad{
	{name: "a random group", rule: "sources keep their place", object: "KafkaSource ros-cleanup", patch: "{op: remove, path: /spec/consumerGroup}", want: "no consumerGroup"},
	{name: "skips", rule: "sources keep their place", object: "KafkaSource ros-cleanup", patch: "{op: remove, path: /spec/initialOffset}", want: `initialOffset is ""`},
	{name: "blocks", rule: "sources keep their place", object: "KafkaSource ros-cleanup", patch: "{op: remove, path: /spec/ordering}", want: `ordering is ""`},

	{name: "one for two", rule: "sources have groups of their own", object: "KafkaSource ros-cleanup", patch: "{op: add, path: /spec/consumerGroup, value: cost-provisioner}", want: "share the consumerGroup cost-provisioner"},

	{name: "no retries", rule: "sources deliver on purpose", object: "KafkaSource ros-cleanup", patch: "{op: remove, path: /spec/delivery/retry}", want: "no retry"},
	{name: "no policy", rule: "sources deliver on purpose", object: "KafkaSource ros-cleanup", patch: "{op: remove, path: /spec/delivery/backoffPolicy}", want: "backoffPolicy"},
	{name: "no delay", rule: "sources deliver on purpose", object: "KafkaSource ros-cleanup", patch: "{op: remove, path: /spec/delivery/backoffDelay}", want: "backoffDelay"},
	{name: "no delay's unit", rule: "sources deliver on purpose", object: "KafkaSource ros-cleanup", patch: "{op: add, path: /spec/delivery/backoffDelay, value: 500ms}", want: "backoffDelay"},
	{name: "no timeout", rule: "sources deliver on purpose", object: "KafkaSource ros-cleanup", patch: "{op: remove, path: /spec/delivery/timeout}", want: "timeout"},
	{name: "no dead letters", rule: "sources deliver on purpose", object: "KafkaSource ros-cleanup", patch: "{op: remove, path: /spec/delivery/deadLetterSink}", want: "no deadLetterSink"},

	{name: "gives up early", rule: "sources wait for the function", object: "KafkaSource ros-cleanup", patch: "{op: add, path: /spec/delivery/timeout, value: PT2M}", want: "delivery.timeout is 2m0s, not above the 2m0s"},
	{name: "a function that is slower", rule: "sources wait for the function", object: "Service ros-cleanup", patch: "{op: add, path: /spec/template/spec/timeoutSeconds, value: 200}", want: "not above the 3m20s"},
	{name: "a function that is not there", rule: "sources wait for the function", object: "KafkaSource ros-cleanup", patch: "{op: add, path: /spec/sink/ref/name, value: cleanup}", want: "the function cleanup, is not there"},
	{name: "no function", rule: "sources wait for the function", object: "KafkaSource ros-cleanup", patch: "{op: add, path: /spec/sink/ref/apiVersion, value: v1}", want: "no Knative Service"},

	{name: "many retries", rule: "sources hold a partition for a bounded time", object: "KafkaSource ros-cleanup", patch: "{op: add, path: /spec/delivery/retry, value: 10}", want: "an event can hold its partition for 1h23m36s"},
	{name: "long waits", rule: "sources hold a partition for a bounded time", object: "KafkaSource ros-cleanup", patch: "{op: add, path: /spec/delivery/backoffDelay, value: PT15S}", want: "more than 40m0s"},

	{name: "back to where they came from", rule: "sources have dead letters", object: "KafkaSource ros-cleanup", patch: "{op: add, path: /spec/delivery/deadLetterSink/ref/name, value: sources-events}", want: "not DEAD_TOPIC"},
	{name: "to a topic that is both", rule: "sources have dead letters", object: "KafkaSink sources-dead-letters", settings: manifests.Settings{"DEAD_TOPIC": "platform.sources.event-stream"}, patch: "{op: add, path: /spec/topic, value: platform.sources.event-stream}", want: "its dead letters go to its own topic"},
	{name: "to a function", rule: "sources have dead letters", object: "KafkaSource ros-cleanup", patch: "{op: add, path: /spec/delivery/deadLetterSink/ref/kind, value: Service}", want: "its deadLetterSink is a Service"},
	{name: "to nobody", rule: "sources have dead letters", object: "KafkaSource ros-cleanup", patch: "{op: add, path: /spec/delivery/deadLetterSink/ref/name, value: x}", want: "its deadLetterSink x is not there"},
}

var badSenders = []bad{
	{name: "one without", rule: "senders are bound", gone: "SinkBinding relay", want: `they bind ["applications" "sources"]`},
	{name: "one twice", rule: "senders are bound", object: "SinkBinding relay", patch: "{op: add, path: /spec/subject/name, value: sources}", want: `they bind ["applications" "sources" "sources"]`},
	{name: "nobody", rule: "bindings bind what there is", object: "SinkBinding relay", patch: "{op: add, path: /spec/subject/name, value: x}", want: "its subject Service x is no function"},
	{name: "a Deployment", rule: "bindings bind what there is", object: "SinkBinding relay", patch: "{op: add, path: /spec/subject/kind, value: Deployment}", want: "its subject Deployment relay"},
	{name: "to the dead letters", rule: "bindings bind what there is", object: "SinkBinding relay", patch: "{op: add, path: /spec/sink/ref/name, value: sources-dead-letters}", want: "is not the one of the events"},
	{name: "to nothing", rule: "bindings bind what there is", object: "SinkBinding relay", patch: "{op: add, path: /spec/sink/ref/name, value: x}", want: "is not the one of the events"},
	{name: "to a URL", rule: "bindings bind what there is", object: "SinkBinding relay", patch: "{op: add, path: /spec/sink, value: {uri: http://x}}", want: "its sink is no KafkaSink"},

	{name: "seconds", rule: "the relay is woken", object: "PingSource relay", patch: "{op: add, path: /spec/schedule, value: 0 */3 * * * *}", want: "has not five fields"},
	{name: "warm for ever", rule: "the relay is woken", object: "PingSource relay", patch: "{op: add, path: /spec/schedule, value: '* * * * *'}", want: "1m0s between two pings"},
	{name: "seldom", rule: "the relay is woken", object: "PingSource relay", patch: "{op: add, path: /spec/schedule, value: '*/10 * * * *'}", want: "10m0s between two pings"},
	{name: "by day", rule: "the relay is woken", object: "PingSource relay", patch: "{op: add, path: /spec/schedule, value: '*/3 8-18 * * *'}", want: "between two pings"},
	{name: "no object", rule: "the relay is woken", object: "PingSource relay", patch: "{op: add, path: /spec/data, value: 'null'}", want: "no object of JSON"},
	{name: "no data", rule: "the relay is woken", object: "PingSource relay", patch: "{op: remove, path: /spec/data}", want: "no object of JSON"},

	{name: "nobody", rule: "the relay's ping arrives", object: "PingSource relay", patch: "{op: add, path: /spec/sink/ref/name, value: x}", want: "they wake []"},
	{name: "not at all", rule: "the relay's ping arrives", gone: "PingSource relay", want: "they wake []"},
}
