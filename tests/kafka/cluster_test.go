package kafka_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/IBM/sarama"

	"github.com/insights-onprem/cost-sources/tests/kafka"
)

// One walk, as a cluster takes a while to start.
func TestClusterLosesBrokersAndNoRecords(t *testing.T) {
	t.Parallel()

	c := newCluster(t, 3)
	topic := kafka.Topic(t, c.Addrs(), "acknowledged", 1)
	w := &writer{topic: topic}
	w.mustSend(t, c, "with all brokers")

	leader := leaderOf(t, c, topic, -1)
	each(t, c.Kill, leader, leader) // the second time it is down already
	w.mustSend(t, c, "without the first leader")
	second := leaderOf(t, c, topic, leader)

	each(t, c.Kill, second)
	if err := w.send(c, "without a majority"); err == nil {
		t.Errorf("SendMessage with one broker of three = nil, want an error")
	}
	if got, err := c.Leader(topic, 0); err == nil && got == second {
		t.Errorf("Leader = %d, which is down", got)
	}

	each(t, c.Start, leader, second, second)
	ready(t, c)
	w.mustSend(t, c, "with all brokers again")
	w.checkKept(t, c)

	each(t, c.Kill, 0, 1, 2)
	if _, err := c.Leader(topic, 0); err == nil {
		t.Errorf("Leader with all brokers down = nil, want an error")
	}
	each(t, c.Start, 0, 1, 2)
	ready(t, c)
	w.mustSend(t, c, "after all were down")
	w.checkKept(t, c)
}

func TestClusterIsClosed(t *testing.T) {
	t.Parallel()

	c := newCluster(t, 1)
	c.Close()
	if err := c.Start(0); err == nil {
		t.Errorf("Start after Close = nil, want an error")
	}
	each(t, c.Kill, 0)
}

func TestClusterForOthers(t *testing.T) {
	t.Parallel()

	c := newClusterAt(t, "127.0.0.2", 1)
	if addr := c.Addrs()[0]; !strings.HasPrefix(addr, "127.0.0.2:") {
		t.Errorf("the broker is at %s", addr)
	}
	w := &writer{topic: kafka.Topic(t, c.Addrs(), "others", 1)}
	w.mustSend(t, c, "at an address for others")
	w.checkKept(t, c)
}

func TestClusterIsOfKafkaOnly(t *testing.T) {
	t.Setenv("KAFKA", "embedded")
	if _, err := kafka.NewCluster(t.Context(), 3); !errors.Is(err, kafka.ErrEmbedded) {
		t.Errorf("NewCluster with KAFKA=embedded = %v, want %v", err, kafka.ErrEmbedded)
	}
}

func newCluster(t *testing.T, n int) *kafka.Cluster {
	t.Helper()
	return newClusterAt(t, "127.0.0.1", n)
}

func newClusterAt(t *testing.T, host string, n int) *kafka.Cluster {
	t.Helper()
	began := time.Now()
	c, err := kafka.NewClusterAt(t.Context(), host, n)
	if errors.Is(err, kafka.ErrEmbedded) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	t.Logf("%d brokers started in %v", n, time.Since(began))
	return c
}

func ready(t *testing.T, c *kafka.Cluster) {
	t.Helper()
	began := time.Now()
	if err := c.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Logf("ready after %v", time.Since(began))
}

// each does something with several brokers, of which some may be the same.
func each(t *testing.T, do func(int) error, brokers ...int) {
	t.Helper()
	errs := make(chan error)
	for _, i := range brokers {
		go func() { errs <- do(i) }()
	}
	for range brokers {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
}

// leaderOf waits for a leader that is not the one before.
func leaderOf(t *testing.T, c *kafka.Cluster, topic string, before int) int {
	t.Helper()
	began := time.Now()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(time.Minute)
	for {
		i, err := c.Leader(topic, 0)
		if err == nil && i != before {
			t.Logf("%d leads after %v", i, time.Since(began))
			return i
		}
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("Leader = %d, %v; want another than %d", i, err, before)
		}
	}
}

// A writer remembers which records were acknowledged.
type writer struct {
	topic        string
	acknowledged []string
}

func (w *writer) mustSend(t *testing.T, c *kafka.Cluster, value string) {
	t.Helper()
	began := time.Now()
	if err := w.send(c, value); err != nil {
		t.Fatalf("SendMessage %q: %v", value, err)
	}
	t.Logf("%q sent in %v", value, time.Since(began))
}

// send tries for as long as an election may take, and for a few seconds more.
func (w *writer) send(c *kafka.Cluster, value string) error {
	config := sarama.NewConfig()
	config.Metadata.AllowAutoTopicCreation = false
	config.Producer.RequiredAcks = sarama.WaitForAll
	config.Producer.Return.Successes = true
	config.Producer.Timeout = time.Second
	config.Producer.Retry.Max = 20
	config.Producer.Retry.Backoff = 500 * time.Millisecond
	producer, err := sarama.NewSyncProducer(c.Addrs(), config)
	if err != nil {
		return fmt.Errorf("connecting: %w", err)
	}
	defer producer.Close()
	_, _, err = producer.SendMessage(&sarama.ProducerMessage{Topic: w.topic, Value: sarama.StringEncoder(value)})
	if err == nil {
		w.acknowledged = append(w.acknowledged, value)
	}
	return err
}

// checkKept reads until it has seen all that was acknowledged, in that order.
// What was not may be there too.
func (w *writer) checkKept(t *testing.T, c *kafka.Cluster) {
	t.Helper()
	consumer, err := sarama.NewConsumerFromClient(connect(t, c.Addrs()))
	if err != nil {
		t.Fatal(err)
	}
	defer consumer.Close()
	records, err := consumer.ConsumePartition(w.topic, 0, sarama.OffsetOldest)
	if err != nil {
		t.Fatal(err)
	}
	defer records.Close()
	deadline := time.After(time.Minute)
	for missing := slices.Clone(w.acknowledged); len(missing) > 0; {
		select {
		case record := <-records.Messages():
			if string(record.Value) == missing[0] {
				missing = missing[1:]
			}
		case <-deadline:
			t.Fatalf("of the acknowledged records %q are not there", missing)
		}
	}
}
