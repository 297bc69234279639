package localknative_test

import (
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/IBM/sarama"
	"github.com/google/go-cmp/cmp"

	"github.com/insights-onprem/cost-sources/functions/dev/localknative"
	"github.com/insights-onprem/cost-sources/tests/kafka"
)

func TestSinkWritesRecords(t *testing.T) {
	t.Parallel()

	attributes := []string{"ce_id=1", "ce_partitionkey=12", "ce_source=/tests", "ce_specversion=1.0", "ce_type=test.happened"}
	structured := map[string]string{"Content-Type": "application/cloudevents+json; charset=utf-8"}
	tests := []struct {
		name    string
		header  map[string]string
		body    string
		key     []byte
		value   []byte
		headers []string
	}{
		{
			name: "binary event", header: binary("1"), body: `{"a":1}`,
			key: []byte("12"), value: []byte(`{"a":1}`), headers: append(slices.Clone(attributes), "content-type=application/json"),
		},
		{
			name: "event without data", header: binary("1"),
			key: []byte("12"), headers: append(slices.Clone(attributes), "content-type=application/json"),
		},
		{
			name: "structured event", header: structured,
			body: `{"specversion":"1.0","id":"1","source":"/tests","type":"test.happened","partitionkey":"12","data":"text","datacontenttype":"text/plain"}`,
			key:  []byte("12"), value: []byte("text"), headers: append(slices.Clone(attributes), "content-type=text/plain"),
		},
		{
			name: "event without a key", header: structured,
			body:    `{"specversion":"1.0","id":"1","source":"/tests","type":"test.happened","time":"2026-11-23T06:03:07.5Z"}`,
			headers: []string{"ce_id=1", "ce_source=/tests", "ce_specversion=1.0", "ce_time=2026-11-23T06:03:07.5Z", "ce_type=test.happened"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()

			brokers := kafka.Brokers(t)
			topic := kafka.Topic(t, brokers, "sink", 1)
			if got := post(t, "POST", sink(t, brokers, topic), tt.header, tt.body); got != http.StatusAccepted {
				t.Fatalf("POST = %d, want 202", got)
			}
			record := records(t, brokers, topic, 1)[0]
			if diff := cmp.Diff(tt.headers, headersOf(record)); diff != "" {
				t.Errorf("headers (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff([][]byte{tt.key, tt.value}, [][]byte{record.Key, record.Value}); diff != "" {
				t.Errorf("key and value (-want +got):\n%s", diff)
			}
		})
	}
}

func headersOf(record *sarama.ConsumerMessage) []string {
	var headers []string
	for _, h := range record.Headers {
		headers = append(headers, string(h.Key)+"="+string(h.Value))
	}
	slices.Sort(headers)
	return headers
}

func TestSinkAnswers(t *testing.T) {
	t.Parallel()

	brokers := kafka.Brokers(t)
	url := sink(t, brokers, kafka.Topic(t, brokers, "sink", 1))
	with := func(name, value string) map[string]string {
		header := binary("1")
		header[name] = value
		return header
	}
	structured := map[string]string{"Content-Type": "application/cloudevents+json"}
	tests := []struct {
		name   string
		method string
		header map[string]string
		body   string
		want   int
	}{
		{"event", "POST", binary("1"), "{}", 202},
		{"event of almost 1 MiB", "POST", binary("1"), strings.Repeat("x", 1<<20-500), 202},
		{"event above 1 MiB", "POST", binary("1"), strings.Repeat("x", 1<<20), 503},
		{"body above all bounds", "POST", binary("1"), strings.Repeat("x", 3<<20), 503},
		{"no event", "POST", nil, "{}", 400},
		{"event without an id", "POST", with("Ce-Id", ""), "{}", 400},
		{"unknown version", "POST", with("Ce-Specversion", "7"), "{}", 400},
		{"time that is none", "POST", with("Ce-Time", "noon"), "{}", 400},
		{"illegal attribute", "POST", with("Ce-Some_thing", "x"), "{}", 400},
		{"attribute without a name", "POST", with("Ce-", "x"), "{}", 400},
		{"batch", "POST", map[string]string{"Content-Type": "application/cloudevents-batch+json"}, "[]", 400},
		{"batch with a parameter", "POST", map[string]string{"Content-Type": "application/cloudevents-batch+json; charset=utf-8"}, "[]", 400},
		{"broken structured event", "POST", structured, `{"specversion":"1.0"`, 400},
		{"control character", "POST", structured, `{"specversion":"1.0","id":"1","source":"/tests","type":"t","subject":"a\nb"}`, 400},
		{"GET", "GET", nil, "", 405},
		{"PUT", "PUT", binary("1"), "{}", 405},
		{"probe", "GET", map[string]string{"K-Network-Probe": "probe"}, "", 200},
		{"other probe", "GET", map[string]string{"K-Network-Probe": "other"}, "", 405},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()

			if got := post(t, tt.method, url, tt.header, tt.body); got != tt.want {
				t.Errorf("%s = %d, want %d", tt.method, got, tt.want)
			}
		})
	}
}

func TestSinkOfUnknownTopicIs503(t *testing.T) {
	t.Parallel()

	if got := post(t, "POST", sink(t, kafka.Brokers(t), "nobody-made-it"), binary("1"), "{}"); got != 503 {
		t.Errorf("POST = %d, want 503", got)
	}
}

func TestSinkKeepsOrderOfAKey(t *testing.T) {
	t.Parallel()

	const n = 100
	brokers := kafka.Brokers(t)
	topic := kafka.Topic(t, brokers, "sink", 3)
	url := sink(t, brokers, topic)
	for i := range n {
		if got := post(t, "POST", url, binary(strconv.Itoa(i)), "{}"); got != 202 {
			t.Fatalf("POST %d = %d, want 202", i, got)
		}
	}
	src := localknative.Source{Brokers: brokers, Topic: topic, Group: topic, Namespace: "cost", Name: "test"}
	var got <-chan delivery
	src.SinkURL, got = function(t, answering(204))
	run(t, src.Run)
	offsets, partitions := map[string]string{}, map[string]bool{}
	for range n {
		d := next(t, got)
		offsets[d.header.Get("Ce-Knativekafkaoffset")] = d.id()
		partitions[d.header.Get("Ce-Knativekafkapartition")] = true
	}
	for i := range n {
		if want := strconv.Itoa(i); offsets[want] != want {
			t.Errorf("offset %d holds event %s, want %s", i, offsets[want], want)
		}
	}
	if len(partitions) != 1 {
		t.Errorf("one key is spread over partitions %v", partitions)
	}
}

// The first events come together and make one connection.
func TestSinkTakesManyAtOnce(t *testing.T) {
	t.Parallel()

	const n = 40
	brokers := kafka.Brokers(t)
	topic := kafka.Topic(t, brokers, "sink", 1)
	url := sink(t, brokers, topic)
	var posting sync.WaitGroup
	for i := range n {
		posting.Go(func() {
			if got := post(t, "POST", url, binary(strconv.Itoa(i)), "{}"); got != 202 {
				t.Errorf("POST %d = %d, want 202", i, got)
			}
		})
	}
	posting.Wait()
	seen := map[string]bool{}
	for _, record := range records(t, brokers, topic, n) {
		seen[attribute(record, "ce_id")] = true
	}
	if len(seen) != n {
		t.Errorf("%d records hold %d events", n, len(seen))
	}
}

// With Kafka away the answer is 503, whenever in the life of the sink that is,
// and what was answered with 202 is there.
func TestSinkOutlivesKafka(t *testing.T) {
	t.Parallel()

	broker := kafka.Alone(t)
	topic := kafka.Topic(t, broker.Addrs(), "sink", 1)
	url := sink(t, broker.Addrs(), topic)
	for i := range 2 {
		broker.Kill()
		if got := post(t, "POST", url, binary("away"), "{}"); got != 503 {
			t.Errorf("POST with Kafka away = %d, want 503", got)
		}
		broker.Start()
		await(t, "a 202", func() bool { return post(t, "POST", url, binary(strconv.Itoa(i)), "{}") == 202 })
	}
	var got []string
	for n := 1; !slices.Contains(got, "1"); n++ {
		got = append(got, attribute(records(t, broker.Addrs(), topic, n)[n-1], "ce_id"))
	}
	if !slices.Contains(got, "0") {
		t.Errorf("event 0 was answered with 202 and is not among %v", got)
	}
}

func attribute(record *sarama.ConsumerMessage, name string) string {
	for _, h := range record.Headers {
		if string(h.Key) == name {
			return string(h.Value)
		}
	}
	return ""
}

func TestSinkWaitsOnlySoLongForKafka(t *testing.T) {
	t.Parallel()

	silent, err := net.Listen("tcp", "127.0.0.1:0") // takes connections and never answers
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	s, err := localknative.NewSink([]string{silent.Addr().String()}, "events")
	if err != nil {
		t.Fatal(err)
	}
	s.SetTimeout(100 * time.Millisecond)
	server := httptest.NewServer(s)
	defer server.Close()
	if got := post(t, "POST", server.URL, binary("1"), "{}"); got != 503 {
		t.Errorf("POST with a Kafka that is silent = %d, want 503", got)
	}
}

func TestClosedSinkIs503(t *testing.T) {
	t.Parallel()

	brokers := kafka.Brokers(t)
	s, err := localknative.NewSink(brokers, kafka.Topic(t, brokers, "sink", 1))
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(s)
	defer server.Close()
	for _, want := range []int{202, 503} {
		if got := post(t, "POST", server.URL, binary("1"), "{}"); got != want {
			t.Errorf("POST = %d, want %d", got, want)
		}
		for range 2 {
			if err := s.Close(); err != nil {
				t.Errorf("Close = %v, want nil", err)
			}
		}
	}
}

func TestNewSinkNeedsBrokersAndTopic(t *testing.T) {
	t.Parallel()

	if _, err := localknative.NewSink(nil, "events"); err == nil {
		t.Error("NewSink without brokers = nil, want an error")
	}
	if _, err := localknative.NewSink([]string{"localhost:9092"}, ""); err == nil {
		t.Error("NewSink without a topic = nil, want an error")
	}
}
