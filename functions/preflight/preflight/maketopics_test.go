package preflight_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/IBM/sarama"
	"golang.org/x/sync/errgroup"

	"github.com/insights-onprem/cost-sources/functions/preflight/preflight"
	"github.com/insights-onprem/cost-sources/tests/kafka"
)

// TestTopicsAreMadeOnce: however many runs there are, also at once, each topic is made by one of them, and all
// return when it can be used.
func TestTopicsAreMadeOnce(t *testing.T) {
	t.Parallel()

	cfg := kafkaAt(kafka.Brokers(t)...)
	admin, err := sarama.NewClusterAdmin(cfg.Brokers, nil)
	if err != nil {
		t.Fatal(err)
	}
	cfg.Interop, cfg.LegacyTopic = true, cfg.Topic+".plain"
	t.Cleanup(func() { remove(t, admin, cfg.Topic, cfg.Dead(), cfg.LegacyTopic) })
	const events, dead = ": 3 partitions, 1 replica, kept for 7 days, cleanup.policy delete", ": 3 partitions, 1 replica, kept for 90 days, cleanup.policy delete"
	there := []string{"ok SOURCES_EVENT_TOPIC " + cfg.Topic + events, "ok DEAD_TOPIC " + cfg.Dead() + dead, "ok LEGACY_TOPIC " + cfg.LegacyTopic + events}
	outputs := make([][]string, 4)
	var runs errgroup.Group
	for i := range outputs {
		runs.Go(func() (err error) {
			outputs[i], err = run(t, "topics", aboutKafka(cfg))
			return err
		})
	}
	if err := runs.Wait(); err != nil {
		t.Fatal(err)
	}
	made := 0
	for _, lines := range outputs {
		for i := range lines {
			if rest, ok := strings.CutPrefix(lines[i], "made "); ok {
				made++
				lines[i] = "ok " + rest
			}
		}
		want(t, "topics", lines, there...)
	}
	if made != 3 {
		t.Errorf("made %d times, want 3: %q", made, outputs)
	}
	want(t, "check", last(checkKafka(t, cfg), 3), there...)
	cfg.Interop = false
	want(t, "check without plain records", last(checkKafka(t, cfg), 2), there[:2]...)
}

// TestTopicsToBeMade: the check makes none, and tells whether they could be made.
func TestTopicsToBeMade(t *testing.T) {
	t.Parallel()

	cfg := kafkaAt(kafka.Brokers(t)...)
	for _, maker := range []string{"create", "strimzi", "create"} {
		cfg.Topics = maker
		lines := checkKafka(t, cfg)
		want(t, "to be made", last(lines, 2), "ok SOURCES_EVENT_TOPIC "+cfg.Topic+" is missing, will be made", "ok DEAD_TOPIC "+cfg.Dead()+" is missing, will be made")
	}
	cfg.Replication = 3
	for verb, which := range map[string]string{"check": " is missing and could not be made: ", "topics": " could not be made: "} {
		lines, err := run(t, verb, aboutKafka(cfg))
		want(t, verb+" with more replicas than brokers", last(lines, 2), "FAIL SOURCES_EVENT_TOPIC "+cfg.Topic+which+"…", "FAIL DEAD_TOPIC "+cfg.Dead()+which+"…")
		if err == nil {
			t.Errorf("%s ends well", verb)
		}
	}
}

func TestTopicsWithoutKafka(t *testing.T) {
	t.Parallel()

	nowhere := closed(t)
	lines, err := run(t, "topics", aboutKafka(kafkaAt(nowhere)))
	if err == nil || err.Error() != "KAFKA_BROKERS: nothing listens there (connection refused): check the port, and whether the service runs" || len(lines) > 0 {
		t.Errorf("without Kafka: %v, %q", err, lines)
	}
	wrong := errors.New("KAFKA_BROKERS: wrong")
	_, err = run(t, "topics", about(func(cfg *preflight.Config) { cfg.Kafka.Err = wrong }))
	if !errors.Is(err, wrong) {
		t.Errorf("with a wrong configuration: %v", err)
	}
}

// TestClusterLosesABroker: what cannot be written to is a failure. A cluster of three wants two replicas in sync.
func TestClusterLosesABroker(t *testing.T) {
	t.Parallel()

	cluster, err := kafka.NewCluster(t.Context(), 3)
	if errors.Is(err, kafka.ErrEmbedded) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	cfg := kafkaAt(cluster.Addrs()...)
	lines, err := run(t, "topics", aboutKafka(cfg))
	if err != nil {
		t.Error(err)
	}
	want(t, "by the brokers' default", lines, "made SOURCES_EVENT_TOPIC "+cfg.Topic+": 3 partitions, 3 replicas, kept for 7 days, cleanup.policy delete", "made DEAD_TOPIC …")
	want(t, "three brokers", checkKafka(t, cfg), "ok KAFKA_BROKERS 3 brokers, reached at the addresses that they advertise, by PLAINTEXT", "ok SOURCES_EVENT_TOPIC …", "ok DEAD_TOPIC …")

	single := kafkaAt(cluster.Addrs()...)
	single.Replication = 1
	lines, err = run(t, "topics", aboutKafka(single))
	const unwritable = ": nothing can be written to it, as it has 1 replica and min.insync.replicas=2: give it more replicas, or lower that"
	want(t, "one replica", lines, "FAIL SOURCES_EVENT_TOPIC "+single.Topic+unwritable, "FAIL DEAD_TOPIC "+single.Dead()+unwritable)
	if err == nil {
		t.Error("topics that cannot be written to are well")
	}
	brittle := kafkaAt(cluster.Addrs()...)
	create(t, brittle, brittle.Topic, 3, 1, map[string]string{"min.insync.replicas": "1", "retention.ms": "604800000"})
	lines, err = run(t, "topics", aboutKafka(brittle))
	if err != nil {
		t.Error(err)
	}
	want(t, "one replica is enough", lines, "ok SOURCES_EVENT_TOPIC …",
		"warn SOURCES_EVENT_TOPIC "+brittle.Topic+" is not as it is meant to be: 1 replica, so that it is away when its broker is; it is left so", "made DEAD_TOPIC …")
	leader, err := cluster.Leader(single.Topic, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := cluster.Kill(leader); err != nil {
		t.Fatal(err)
	}
	want(t, "a broker is away", checkKafka(t, single), "FAIL KAFKA_BROKERS "+cluster.Addrs()[leader]+": nothing listens there (connection refused)…")
	single.Brokers = slices.Delete(slices.Clone(single.Brokers), leader, leader+1)
	awaitLine(t, single, "FAIL SOURCES_EVENT_TOPIC "+single.Topic+": no broker leads its partitions [")
}

// awaitLine checks until a line begins so: for some seconds a broker that was killed is one that is slow.
func awaitLine(t *testing.T, cfg preflight.Kafka, begin string) {
	t.Helper()
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(2 * time.Minute)
	for {
		lines := checkKafka(t, cfg)
		if slices.ContainsFunc(lines, func(line string) bool { return strings.HasPrefix(line, begin) }) {
			return
		}
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("no line %q:\n%s", begin, strings.Join(lines, "\n"))
		}
	}
}
