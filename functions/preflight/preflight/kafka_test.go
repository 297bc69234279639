package preflight_test

import (
	"context"
	"crypto/rand"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/IBM/sarama"

	"github.com/insights-onprem/cost-sources/functions/preflight/preflight"
	"github.com/insights-onprem/cost-sources/shared/kafkaclient"
	"github.com/insights-onprem/cost-sources/tests/certificates"
	"github.com/insights-onprem/cost-sources/tests/kafka"
)

// kafkaAt is a configuration with the topics of one test, which do not exist yet.
func kafkaAt(brokers ...string) preflight.Kafka {
	return preflight.Kafka{Cluster: kafkaclient.Cluster{Brokers: brokers, Topic: "events-" + strings.ToLower(rand.Text())}, Topics: "exist", Replication: -1}
}

func aboutKafka(cfg preflight.Kafka) preflight.Config {
	return about(func(c *preflight.Config) { c.Kafka = preflight.PartOf(cfg, nil) })
}

func checkKafka(t *testing.T, cfg preflight.Kafka) []string {
	t.Helper()
	lines, _ := run(t, "check", aboutKafka(cfg))
	return lines
}

// TestSecuredKafka has one broker for all, which takes some seconds to start. It makes topics that are mentioned.
func TestSecuredKafka(t *testing.T) {
	t.Parallel()

	broker := kafka.NewSecured(t)
	stranger := broker
	stranger.CA = certificates.New(t).PEM
	const fail, autoCreate = "FAIL KAFKA_BROKERS ", "warn KAFKA_BROKERS broker 1 has auto.create.topics.enable=true: a misspelt topic is made, with defaults, instead of being an error; set it to false"
	nowhere, mute := closed(t), silent(t)
	missing := func(cfg preflight.Kafka) []string {
		const why = ": there is no such topic: have it made by preflight topics, or by whoever makes topics here"
		return []string{"FAIL SOURCES_EVENT_TOPIC " + cfg.Topic + why, "FAIL DEAD_TOPIC " + cfg.Dead() + why}
	}
	t.Run("guest", func(t *testing.T) { testGuest(t, broker) })
	for name, tt := range map[string]struct {
		at, secret string
		want       string // of the line about the brokers
	}{
		"SASL_SSL": {broker.SASLSSL, broker.Secret(t, "SASL_SSL", "SCRAM-SHA-512", kafka.Password),
			"ok KAFKA_BROKERS 1 broker, reached at the addresses that they advertise, by SASL_SSL with SCRAM-SHA-512"},
		"SSL": {broker.SSL, broker.Secret(t, "SSL", "", ""),
			"ok KAFKA_BROKERS 1 broker, reached at the addresses that they advertise, by SSL"},
		"neither": {broker.Plain, "", "ok KAFKA_BROKERS 1 broker, reached at the addresses that they advertise, by PLAINTEXT"},
		"wrong password": {broker.SASLSSL, broker.Secret(t, "SASL_SSL", "SCRAM-SHA-256", "wrong-"+secret),
			fail + broker.SASLSSL + ": Kafka refuses the login: check the user, the password and sasl.mechanism in the Secret that KAFKA_AUTH_DIR is mounted from"},
		"wrong password for PLAIN": {broker.SASLPlaintext, broker.Secret(t, "SASL_PLAINTEXT", "PLAIN", "wrong-"+secret),
			fail + broker.SASLPlaintext + ": Kafka refuses the login…"},
		"no login": {broker.SASLPlaintext, "", fail + broker.SASLPlaintext + ": it hung up without a word: check the port, and whether TLS or a login is wanted there, or not"},
		"unknown authority": {broker.SASLSSL, stranger.Secret(t, "SASL_SSL", "PLAIN", kafka.Password),
			fail + broker.SASLSSL + ": its certificate is signed by an authority that is not known here: add …"},
		"TLS where there is none": {broker.Plain, broker.Secret(t, "SSL", "", ""), fail + broker.Plain + ": …"},
		"no TLS where it is needed": {broker.SASLSSL, broker.Secret(t, "SASL_PLAINTEXT", "PLAIN", kafka.Password),
			fail + broker.SASLSSL + ": …"},
		"another address": {broker.Lost, "", fail + "broker 1 advertises the address " + kafka.LostAt + ", and there: the name kafka-0.invalid …"},
		"wrong host name": {"kafka.invalid:9092", "", fail + "kafka.invalid:9092: the name kafka.invalid …"},
		"closed port":     {nowhere, "", fail + nowhere + ": nothing listens there (connection refused): check the port, and whether the service runs"},
		"no answer":       {mute, "", fail + mute + ": no answer in time: check the address, and whether a network policy or a firewall is in between"},
	} {
		cfg := kafkaAt(tt.at)
		cfg.AuthDir = tt.secret
		wanted := []string{tt.want}
		if strings.HasPrefix(tt.want, "ok") {
			wanted = append(wanted, autoCreate)
			wanted = append(wanted, missing(cfg)...)
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			lines := checkKafka(t, cfg)
			want(t, name, lines, wanted...)
			if len(wanted) > 1 {
				want(t, name+", once more", checkKafka(t, cfg), wanted...) // looking has made nothing
			}
		})
	}
}

// testGuest: what a user may not see is no failure, unless it is needed.
func testGuest(t *testing.T, broker kafka.Secured) {
	cfg := kafkaAt(broker.SASLSSL)
	cfg.AuthDir = broker.Secret(t, "SASL_SSL", "PLAIN", kafka.Password)
	if err := os.WriteFile(filepath.Join(cfg.AuthDir, "user"), []byte(kafka.Guest), 0o600); err != nil {
		t.Fatal(err)
	}
	kafka.Named(t, []string{broker.Plain}, cfg.Topic, 3)
	allow(t, broker.Plain, cfg.Topic, sarama.AclOperationDescribe)
	const may = ": Kafka does not let this user do that: give the user the right by an ACL"
	want(t, "guest", checkKafka(t, cfg), "ok KAFKA_BROKERS 1 broker, reached at the addresses that they advertise, by SASL_SSL with PLAIN",
		"warn KAFKA_BROKERS broker 1 does not tell its auto.create.topics.enable"+may,
		"ok SOURCES_EVENT_TOPIC "+cfg.Topic+": 3 partitions, 1 replica", "warn SOURCES_EVENT_TOPIC "+cfg.Topic+" does not tell its settings"+may,
		"FAIL DEAD_TOPIC "+cfg.Dead()+may)

	allow(t, broker.Plain, cfg.Dead(), sarama.AclOperationDescribe)
	cfg.Topics = "create"
	want(t, "guest who is to make topics", last(checkKafka(t, cfg), 1), "FAIL DEAD_TOPIC "+cfg.Dead()+" is missing and could not be made"+may)
}

// allow lets the guest do something with a topic.
func allow(t *testing.T, broker, topic string, what sarama.AclOperation) {
	t.Helper()
	admin, err := sarama.NewClusterAdmin([]string{broker}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer admin.Close()
	err = admin.CreateACLs([]*sarama.ResourceAcls{{
		Resource: sarama.Resource{ResourceType: sarama.AclResourceTopic, ResourceName: topic, ResourcePatternType: sarama.AclPatternLiteral},
		Acls:     []*sarama.Acl{{Principal: "User:" + kafka.Guest, Host: "*", Operation: what, PermissionType: sarama.AclPermissionAllow}},
	}})
	if err != nil {
		t.Fatal(err)
	}
}

func TestTopicsThatDiffer(t *testing.T) {
	t.Parallel()

	cfg := kafkaAt(kafka.Brokers(t)...)
	cfg.DeadTopic = "graveyard-" + strings.ToLower(rand.Text())
	create(t, cfg, cfg.Topic, 3, -1, map[string]string{"retention.ms": "604800000", "cleanup.policy": "delete"})
	create(t, cfg, cfg.DeadTopic, 1, -1, map[string]string{"retention.ms": "-1", "cleanup.policy": "compact"})
	for _, verb := range []string{"topics", "check"} { // the first waits until all is known that has just been made
		lines, _ := run(t, verb, aboutKafka(cfg))
		lines = last(lines, 3) // those before are about the brokers
		want(t, verb, lines, "ok SOURCES_EVENT_TOPIC "+cfg.Topic+": 3 partitions, 1 replica, kept for 7 days, cleanup.policy delete",
			"ok DEAD_TOPIC "+cfg.DeadTopic+": 1 partition, 1 replica, kept for ever, cleanup.policy compact",
			"warn DEAD_TOPIC "+cfg.DeadTopic+" is not as it is meant to be: 1 partition instead of 3, kept for ever instead of 90 days, cleanup.policy compact instead of delete; it is left so")
	}
}

func create(t *testing.T, cfg preflight.Kafka, name string, partitions int32, replication int16, settings map[string]string) {
	t.Helper()
	admin, err := sarama.NewClusterAdmin(cfg.Brokers, nil)
	if err != nil {
		t.Fatal(err)
	}
	detail := &sarama.TopicDetail{NumPartitions: partitions, ReplicationFactor: replication, ConfigEntries: map[string]*string{}}
	for setting, value := range settings {
		detail.ConfigEntries[setting] = &value
	}
	if err := admin.CreateTopic(name, detail, false); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { remove(t, admin, name) })
}

func remove(t *testing.T, admin sarama.ClusterAdmin, names ...string) {
	for _, name := range names {
		if err := admin.DeleteTopic(name); err != nil {
			t.Logf("deleting %s: %v", name, err) // the test may have taken the broker away
		}
	}
	_ = admin.Close()
}

func TestKafkaConfig(t *testing.T) {
	t.Parallel()

	authority := certificates.New(t)
	secured, public := kafka.Secured{CA: authority.PEM}, kafka.Secured{}
	secured.ClientCert, secured.ClientKey = authority.Issue("client")
	for _, tt := range []struct {
		edit func(*preflight.Kafka)
		want string
	}{
		{func(*preflight.Kafka) {}, ""},
		{func(k *preflight.Kafka) { k.Topics, k.Replication = "strimzi", 3 }, ""},
		{func(k *preflight.Kafka) { k.Topics = "delete" }, "TOPICS: create, strimzi or exist"},
		{func(k *preflight.Kafka) { k.Replication = 0 }, "TOPIC_REPLICATION: at least 1, or -1 for the brokers' default"},
		{func(k *preflight.Kafka) { k.Replication = -2 }, "TOPIC_REPLICATION: at least 1, or -1 for the brokers' default"},
		{func(k *preflight.Kafka) { k.Brokers = nil }, "KAFKA_BROKERS: no host:port"},
		{func(k *preflight.Kafka) { k.Auth = "none" }, ""},
		{func(k *preflight.Kafka) { k.Auth = "sasl" }, "KAFKA_AUTH: sasl, but the Secret's protocol is PLAINTEXT: it has to be SASL_PLAINTEXT"},
		{func(k *preflight.Kafka) { k.Auth = "kerberos" }, `KAFKA_AUTH: "kerberos" is none of none, sasl, sasl-tls, tls, mtls`},
		{func(k *preflight.Kafka) {
			k.Auth, k.AuthDir = "sasl-tls", secured.Secret(t, "SASL_SSL", "PLAIN", secret)
		}, ""},
		{func(k *preflight.Kafka) { k.Auth, k.AuthDir = "sasl", secured.Secret(t, "SASL_SSL", "PLAIN", secret) }, "KAFKA_AUTH: sasl, but the Secret's protocol is SASL_SSL: it has to be SASL_PLAINTEXT"},
		{func(k *preflight.Kafka) {
			k.Auth, k.AuthDir = "sasl-tls", public.Secret(t, "SASL_SSL", "PLAIN", secret)
		}, "KAFKA_AUTH: sasl-tls, but the Secret has no ca.crt, which a KafkaSource needs"},
		{func(k *preflight.Kafka) { k.Auth, k.AuthDir = "mtls", secured.Secret(t, "SSL", "", "") }, ""},
		{func(k *preflight.Kafka) { k.Auth, k.AuthDir = "tls", secured.Secret(t, "SSL", "", "") }, "KAFKA_AUTH: tls, but the Secret has a certificate of ours, which a KafkaSource has with mtls only: choose that, or set user.skip to \"true\""},
		{func(k *preflight.Kafka) {
			k.Auth, k.AuthDir = "mtls", kafka.Folder(t, map[string]string{"protocol": "SSL", "ca.crt": secured.CA, "user.skip": "true"})
		}, "KAFKA_AUTH: mtls, but the Secret has no user.crt, or its user.skip is \"true\""},
	} {
		cfg := kafkaAt("b:9092")
		tt.edit(&cfg)
		got := ""
		if err := cfg.Validate(); err != nil {
			got = err.Error()
		}
		if got != tt.want {
			t.Errorf("Validate() of %+v = %q, want %q", cfg, got, tt.want)
		}
	}
}

// TestBrokenOff: what has been found by the end is told.
func TestBrokenOff(t *testing.T) {
	t.Parallel()

	cfg := aboutKafka(kafkaAt(silent(t)))
	cfg.Kruize.Err, cfg.OTLP.Err = nil, nil
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	lines, _ := runIn(ctx, t, "check", cfg)
	want(t, "broken off", lines, "FAIL KAFKA_BROKERS context deadline exceeded", "ok KRUIZE_URL not set: there is no Kruize",
		"ok OTEL_EXPORTER_OTLP_ENDPOINT not set: traces and metrics go nowhere")
}
