package localknative_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/IBM/sarama"

	"github.com/insights-onprem/cost-sources/functions/dev/localknative"
	"github.com/insights-onprem/cost-sources/tests/kafka"
)

// patience is for events that do come, on a machine that has other work to do.
const patience = 2 * time.Minute

// A delivery is a request that a function got.
type delivery struct {
	header http.Header
	body   string
	at     time.Time
}

func (d delivery) id() string { return d.header.Get("Ce-Id") }

// function starts a server that gets events, and returns its URL and what it gets.
func function(t *testing.T, answer func(w http.ResponseWriter, r *http.Request, d delivery)) (url string, got <-chan delivery) {
	t.Helper()
	deliveries := make(chan delivery, 1000)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Errorf("%s %s: reading the body: %v", r.Method, r.URL, err)
		}
		d := delivery{r.Header, string(body), time.Now()}
		deliveries <- d
		answer(w, r, d)
	}))
	t.Cleanup(server.Close)
	return server.URL, deliveries
}

// answering returns the answer of a function that always answers so.
func answering(status int) func(http.ResponseWriter, *http.Request, delivery) {
	return func(w http.ResponseWriter, _ *http.Request, _ delivery) { w.WriteHeader(status) }
}

// next returns what comes next.
func next[T any](t *testing.T, events <-chan T) T {
	t.Helper()
	select {
	case event := <-events:
		return event
	case <-time.After(patience):
		t.Fatalf("nothing came in %v", patience)
		panic("unreachable")
	}
}

// run has a source or ping at work until stop is called, or the test is over.
func run(t *testing.T, work func(context.Context) error) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var working sync.WaitGroup
	working.Go(func() {
		if err := work(ctx); err != nil {
			t.Errorf("Run = %v, want nil", err)
		}
	})
	stop = func() {
		cancel()
		working.Wait()
	}
	t.Cleanup(stop)
	return stop
}

// source is a Source of a topic of its own, quick to retry, without a function yet.
func source(t *testing.T, brokers []string, partitions int32) localknative.Source {
	t.Helper()
	topic := kafka.Topic(t, brokers, "events", partitions)
	return localknative.Source{
		Brokers: brokers, Topic: topic, Group: topic, Namespace: "cost", Name: "test",
		Retry: 2, BackoffDelay: time.Millisecond, Exponential: true, Timeout: patience,
	}
}

// produce writes records to a topic, in order.
func produce(t *testing.T, brokers []string, topic string, records ...sarama.ProducerMessage) {
	t.Helper()
	var all []*sarama.ProducerMessage
	for _, record := range records {
		record.Topic = topic
		all = append(all, &record)
	}
	if err := kafka.Write(brokers, all...); err != nil {
		t.Fatalf("writing to %s: %v", topic, err)
	}
}

// events returns records of partition 0 that hold an event each, with these ids.
func events(ids ...string) []sarama.ProducerMessage {
	var records []sarama.ProducerMessage
	for _, id := range ids {
		records = append(records, sarama.ProducerMessage{
			Headers: kafka.Headers("ce_specversion", "1.0", "ce_id", id, "ce_source", "/tests", "ce_type", "test.happened",
				"content-type", "application/json"),
			Value: sarama.StringEncoder(`{"n":` + id + `}`),
		})
	}
	return records
}

// committed returns the offset from which group goes on in partition 0, -1 if it has none.
func committed(t *testing.T, brokers []string, group, topic string) int64 {
	t.Helper()
	from, err := kafka.Committed(t.Context(), brokers, topic, group)
	if err != nil {
		t.Fatal(err)
	}
	return from[0]
}

// awaitCommitted waits until group goes on at offset in partition 0.
func awaitCommitted(t *testing.T, brokers []string, group, topic string, offset int64) {
	t.Helper()
	await(t, "the commit", func() bool { return committed(t, brokers, group, topic) == offset })
}

// await waits until something is so.
func await(t *testing.T, what string, so func() bool) {
	t.Helper()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(patience)
	for !so() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("still waiting for %s after %v", what, patience)
		}
	}
}

// records reads the first n records of partition 0.
func records(t *testing.T, brokers []string, topic string, n int) []*sarama.ConsumerMessage {
	t.Helper()
	consumer, err := sarama.NewConsumer(brokers, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer consumer.Close()
	partition, err := consumer.ConsumePartition(topic, 0, sarama.OffsetOldest)
	if err != nil {
		t.Fatal(err)
	}
	defer partition.Close()
	var got []*sarama.ConsumerMessage
	for range n {
		got = append(got, next(t, partition.Messages()))
	}
	return got
}

// sink starts a Sink and returns its URL.
func sink(t *testing.T, brokers []string, topic string) string {
	t.Helper()
	s, err := localknative.NewSink(brokers, topic)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(s)
	t.Cleanup(func() {
		server.Close()
		if err := s.Close(); err != nil {
			t.Errorf("Close = %v", err)
		}
	})
	return server.URL
}

// post sends a request and returns the status, 0 without an answer. It is an
// error where the answer has a body.
func post(t *testing.T, method, url string, header map[string]string, body string) int {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Error(err)
		return 0
	}
	for name, value := range header {
		req.Header[name] = []string{value}
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Error(err)
		return 0
	}
	defer resp.Body.Close()
	if answer, err := io.ReadAll(resp.Body); err != nil || len(answer) > 0 {
		t.Errorf("%s answered with the body %q, %v; want none", method, answer, err)
	}
	return resp.StatusCode
}

// binary is the header of an event in binary mode.
func binary(id string) map[string]string {
	return map[string]string{
		"Ce-Specversion": "1.0", "Ce-Id": id, "Ce-Source": "/tests", "Ce-Type": "test.happened",
		"Ce-Partitionkey": "12", "Content-Type": "application/json",
	}
}
