package manifests

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	core "k8s.io/api/core/v1"
)

// sinkLeavesTopics: with numPartitions and replicationFactor the controller owns the topic, and deletes it together
// with the KafkaSink. Functions expect their attributes as headers, which only binary mode writes.
func sinkLeavesTopics(k *kafkaSink, _ *Rendering, p *problems) {
	p.unless(k.Spec.NumPartitions == nil && k.Spec.ReplicationFactor == nil, "with numPartitions or replicationFactor its topic is deleted together with it")
	p.unless(k.Spec.ContentMode == nil || *k.Spec.ContentMode == "binary", "contentMode is not binary")
}

// made are the topics that somebody makes: KafkaTopics where they are rendered, else those that the settings name,
// which deploy.sh makes or who runs Kafka.
func made(r *Rendering) []string {
	var topics []string
	for _, t := range all[*kafkaTopic](r) {
		name := t.Spec.TopicName
		if name == "" {
			name = t.Name
		}
		topics = append(topics, name)
	}
	if r.Settings["TOPICS"] == "strimzi" {
		return topics
	}
	return []string{r.Settings["TOPIC"], r.Settings["DEAD_TOPIC"]}
}

// sinkTopics: a KafkaSink is not ready until its topic exists. Both topics have a sink: the events', and that of the
// dead letters.
func sinkTopics(r *Rendering) []string {
	sinks := problems{about: "KafkaSinks"}
	var written []string
	for _, k := range all[*kafkaSink](r) {
		sinks.unless(slices.Contains(made(r), k.Spec.Topic), "%s writes to %q, which nobody makes: %q", k.Name, k.Spec.Topic, made(r))
		written = append(written, k.Spec.Topic)
	}
	for _, name := range []string{"TOPIC", "DEAD_TOPIC"} {
		sinks.unless(slices.Contains(written, r.Settings[name]), "none writes to %s, %q", name, r.Settings[name])
	}
	return sinks.found
}

// topics: where Strimzi makes them, it makes all that are written to, and that of plain records only where there are any.
func topics(r *Rendering) []string {
	p := problems{about: "KafkaTopics"}
	if r.Settings["TOPICS"] != "strimzi" {
		return nil
	}
	want := []string{r.Settings["TOPIC"], r.Settings["DEAD_TOPIC"]}
	if r.Settings["INTEROP"] == "true" {
		want = append(want, r.Settings["LEGACY_TOPIC"])
	}
	got := made(r)
	slices.Sort(want)
	slices.Sort(got)
	p.unless(slices.Equal(got, want), "they are %q, not %q", got, want)
	return p.found
}

// replicas: Strimzi's schema has no -1; without a number they are what the brokers are set to.
func replicas(t *kafkaTopic, r *Rendering, p *problems) {
	want, got := r.Settings["TOPIC_REPLICATION"], "-1"
	if t.Spec.Replicas != nil {
		got = strconv.Itoa(int(*t.Spec.Replicas))
		p.unless(*t.Spec.Replicas >= 1, "replicas are %s, which Strimzi refuses", got)
	}
	p.unless(got == want, "replicas are %s, but TOPIC_REPLICATION says %s", got, want)
}

// sourceTopics: a topic that is misspelt is made by brokers that make topics, and then empty for ever.
func sourceTopics(r *Rendering) []string {
	var found []string
	for _, k := range all[*kafkaSource](r) {
		p := about(k)
		p.unless(slices.Equal(k.Spec.Topics, []string{r.Settings["TOPIC"]}), "it reads %q, not the topic %q", k.Spec.Topics, r.Settings["TOPIC"])
		p.unless(slices.Contains(made(r), r.Settings["TOPIC"]), "nobody makes its topic")
		found = append(found, p.found...)
	}
	return found
}

// kafkaSecret is the Secret that Kafka's sinks and sources and our programs take, with the keys that a KafkaSink reads.
const kafkaSecret = "cost-sources-kafka"

// brokers: both ends have to speak to the same Kafka in the same way. A KafkaSink is told by one Secret, a KafkaSource
// key by key.
func brokers(r *Rendering) []string {
	var found []string
	want := strings.Split(r.Settings["KAFKA_BOOTSTRAP"], ",")
	auth := r.Settings["KAFKA_AUTH"]
	for _, k := range all[*kafkaSink](r) {
		p := about(k)
		p.unless(slices.Equal(k.Spec.BootstrapServers, want), "bootstrapServers are %q, not %q", k.Spec.BootstrapServers, want)
		secret := ""
		if k.Spec.Auth != nil {
			secret = k.Spec.Auth.Secret.Ref.Name
		}
		p.unless(auth == "none" && k.Spec.Auth == nil || auth != "none" && secret == kafkaSecret, "with KAFKA_AUTH=%s its auth.secret is %q", auth, secret)
		found = append(found, p.found...)
	}
	for _, k := range all[*kafkaSource](r) {
		p := about(k)
		p.unless(slices.Equal(k.Spec.BootstrapServers, want), "bootstrapServers are %q, not %q", k.Spec.BootstrapServers, want)
		p.unless(netOf(k) == netFor(auth), "with KAFKA_AUTH=%s its net is\n%s, not\n%s", auth, netOf(k), netFor(auth))
		found = append(found, p.found...)
	}
	return found
}

// netFor is what a KafkaSource needs under net for a KAFKA_AUTH, in the form of netOf.
func netFor(auth string) string {
	sasl, tls := strings.HasPrefix(auth, "sasl"), strings.HasSuffix(auth, "tls")
	key := func(wanted bool, name string) string {
		if wanted {
			return kafkaSecret + "/" + name
		}
		return ""
	}
	return netText(sasl, key(sasl, "sasl.mechanism"), key(sasl, "user"), key(sasl, "password"),
		tls, key(auth == "mtls", "user.crt"), key(auth == "mtls", "user.key"), key(tls, "ca.crt"))
}

func netOf(k *kafkaSource) string {
	key := func(from secretKeyFrom) string {
		ref := from.SecretKeyRef
		if ref == nil {
			ref = new(core.SecretKeySelector)
		}
		return strings.Trim(ref.Name+"/"+ref.Key, "/")
	}
	sasl, tls := k.Spec.Net.SASL, k.Spec.Net.TLS
	return netText(sasl.Enable, key(sasl.Type), key(sasl.User), key(sasl.Password), tls.Enable, key(tls.Cert), key(tls.Key), key(tls.CACert))
}

func netText(sasl bool, mechanism, user, password string, tls bool, cert, key, ca string) string {
	return fmt.Sprintf("sasl %v: type %q, user %q, password %q; tls %v: cert %q, key %q, caCert %q", sasl, mechanism, user, password, tls, cert, key, ca)
}
