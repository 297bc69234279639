package localknative_test

import (
	"bufio"
	"bytes"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/IBM/sarama"
	cehttp "github.com/cloudevents/sdk-go/v2/protocol/http"
	"github.com/google/go-cmp/cmp"

	"github.com/insights-onprem/cost-sources/functions/dev/localknative"
)

// FuzzEventOf: records are written by anybody. Each becomes an event that can be
// POSTed and is the same at the other end.
func FuzzEventOf(f *testing.F) {
	f.Add("ce_specversion", "1.0", "ce_type", "t", "application/json", []byte("key"), []byte(`{}`), int32(0), int64(0), int64(0))
	f.Add("ce_specversion", "0.3", "CE_Type", "t", "", []byte(nil), []byte(nil), int32(1), int64(1), int64(1))
	f.Add("event_type", "Application.destroy", "x-rh-identity", "e30=", "text/plain; charset=utf-8", []byte("\x00\xff"), []byte("x"), int32(2), int64(1<<40), int64(-1))
	f.Add("ce_", "", "", "\r\n", "application/cloudevents+json", []byte(""), []byte(`{"specversion":"1.0","id":"1","source":"s","type":"t"}`), int32(3), int64(2), int64(1<<60))
	f.Add("ce_specversion", "1.0", "ce_subject", "a\nb", "application/cloudevents-batch+json", []byte("k"), []byte(`[{}]`), int32(4), int64(3), int64(0))
	f.Fuzz(func(t *testing.T, name1, value1, name2, value2, contentType string, key, value []byte, partition int32, offset, unix int64) {
		record := &sarama.ConsumerMessage{
			Topic: "topic", Partition: partition, Offset: offset, Timestamp: time.Unix(unix, 0), Key: key, Value: value,
			Headers: []*sarama.RecordHeader{
				header("ce_id", "1"), header("ce_source", "/s"), header("content-type", contentType),
				header(name1, value1), header(name2, value2),
			},
		}
		e := localknative.EventOf(record, "namespace", "name")
		if err := localknative.Check(e); err != nil {
			t.Fatalf("event of %v: %v\n%s", record, err, e)
		}
		req, err := cehttp.NewHTTPRequestFromEvent(t.Context(), "http://localhost/", e)
		if err != nil {
			t.Fatalf("request with %s: %v", e, err)
		}
		for name, values := range req.Header {
			if strings.ContainsFunc(values[0], unicode.IsControl) {
				t.Errorf("header %s = %q, which cannot be sent", name, values[0])
			}
		}
		if strings.HasPrefix(e.DataContentType(), "application/cloudevents") {
			return // a structured event that is none: what it is taken for is not ours to say
		}
		got, err := cehttp.NewEventFromHTTPRequest(received(t, req))
		if err != nil {
			t.Fatalf("reading %s back: %v", e, err)
		}
		if got.ID() != e.ID() || got.Type() != e.Type() || !bytes.Equal(got.Data(), e.Data()) {
			t.Errorf("read back: %s\nwant %s", got, e)
		}
	})
}

// received returns req as a server reads it.
func received(t *testing.T, req *http.Request) *http.Request {
	t.Helper()
	var wire bytes.Buffer
	if err := req.Write(&wire); err != nil {
		t.Fatal(err)
	}
	got, err := http.ReadRequest(bufio.NewReader(&wire))
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func header(name, value string) *sarama.RecordHeader {
	return &sarama.RecordHeader{Key: []byte(name), Value: []byte(value)}
}

const structuredType = "application/cloudevents+json; charset=utf-8"

var eventTests = []struct {
	name    string
	headers []*sarama.RecordHeader
	key     []byte
	value   []byte
	want    map[string]string // of the POST, but for the two that all have
	body    string
}{
	{
		name: "binary event",
		headers: []*sarama.RecordHeader{header("ce_specversion", "1.0"), header("ce_id", "1"), header("ce_source", "/s"), header("ce_type", "t"),
			header("ce_sequence", "8"), header("content-type", "text/plain"), header("other", "dropped")},
		key: []byte("not copied"), value: []byte("data"),
		want: map[string]string{"Ce-Specversion": "1.0", "Ce-Id": "1", "Ce-Source": "/s", "Ce-Type": "t", "Ce-Sequence": "8", "Content-Type": "text/plain"},
		body: "data",
	},
	{
		name:    "event without data",
		headers: []*sarama.RecordHeader{header("ce_specversion", "1.0"), header("ce_id", "1"), header("ce_source", "/s"), header("ce_type", "t")},
		want:    map[string]string{"Ce-Specversion": "1.0", "Ce-Id": "1", "Ce-Source": "/s", "Ce-Type": "t"},
	},
	{
		name:    "structured event",
		headers: []*sarama.RecordHeader{header("content-type", structuredType), header("other", "dropped")},
		value:   []byte(`{"specversion":"1.0","id":"1","source":"/s","type":"t","partitionkey":"7","datacontenttype":"application/json","data":{"a":1}}`),
		want: map[string]string{"Ce-Specversion": "1.0", "Ce-Id": "1", "Ce-Source": "/s", "Ce-Type": "t", "Ce-Partitionkey": "7",
			"Content-Type": "application/json"},
		body: `{"a":1}`,
	},
	{
		name: "plain record",
		headers: []*sarama.RecordHeader{header("event_type", "Application.destroy"), header("x-rh-sources-org-id", "org1"),
			header("Content-Type", "Application/JSON")},
		key: []byte("k\x00\xffey"), value: []byte(`{"source_id":7}`),
		want: wrapped(map[string]string{"Ce-Key": "key", "Ce-Partitionkey": "key", "Content-Type": "application/json",
			"Ce-Kafkaheadereventtype": "Application.destroy", "Ce-Kafkaheaderxrhsourcesorgid": "org1"}),
		body: `{"source_id":7}`,
	},
	{
		name: "plain record without key, content type and value",
		want: wrapped(nil),
	},
	{
		name:    "content type that is none",
		headers: []*sarama.RecordHeader{header("content-type", "json;;")},
		value:   []byte("x"),
		want:    wrapped(nil),
		body:    "x",
	},
	{
		name:    "event without a type",
		headers: []*sarama.RecordHeader{header("ce_specversion", "1.0"), header("ce_id", "1"), header("ce_source", "/s")},
		want:    wrapped(map[string]string{"Ce-Kafkaheadercespecversion": "1.0", "Ce-Kafkaheaderceid": "1", "Ce-Kafkaheadercesource": "/s"}),
	},
	{
		name: "attribute that no header carries",
		headers: []*sarama.RecordHeader{header("ce_specversion", "1.0"), header("ce_id", "1"), header("ce_source", "/s"), header("ce_type", "t"),
			header("ce_subject", "a\nb")},
		want: wrapped(map[string]string{"Ce-Kafkaheadercespecversion": "1.0", "Ce-Kafkaheaderceid": "1", "Ce-Kafkaheadercesource": "/s",
			"Ce-Kafkaheadercetype": "t", "Ce-Kafkaheadercesubject": "ab"}),
	},
	{
		name:    "broken structured event",
		headers: []*sarama.RecordHeader{header("content-type", structuredType)},
		value:   []byte(`{"specversion":"1.0"`),
		want:    wrapped(map[string]string{"Content-Type": structuredType}),
		body:    `{"specversion":"1.0"`,
	},
	{
		name:    "batch",
		headers: []*sarama.RecordHeader{header("content-type", "application/cloudevents-batch+json")},
		value:   []byte(`[]`),
		want:    wrapped(map[string]string{"Content-Type": "application/cloudevents-batch+json"}),
		body:    `[]`,
	},
}

func TestEventOf(t *testing.T) {
	t.Parallel()

	for _, tt := range eventTests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()

			record := &sarama.ConsumerMessage{
				Topic: "events", Partition: 2, Offset: 17, Timestamp: time.UnixMilli(1795413787500),
				Headers: tt.headers, Key: tt.key, Value: tt.value,
			}
			req, err := cehttp.NewHTTPRequestFromEvent(t.Context(), "http://localhost/", localknative.EventOf(record, "cost", "plain"))
			if err != nil {
				t.Fatal(err)
			}
			got := map[string]string{}
			for name := range req.Header {
				got[name] = req.Header.Get(name)
			}
			want := maps.Clone(tt.want)
			want["Ce-Knativekafkapartition"], want["Ce-Knativekafkaoffset"] = "2", "17"
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("headers (-want +got):\n%s", diff)
			}
			w := httptest.NewRecorder()
			if req.Body != nil {
				if _, err := w.Body.ReadFrom(req.Body); err != nil {
					t.Fatal(err)
				}
			}
			if got := w.Body.String(); got != tt.body {
				t.Errorf("body = %q, want %q", got, tt.body)
			}
		})
	}
}

// wrapped adds what every wrapped record in TestEventOf has.
func wrapped(more map[string]string) map[string]string {
	all := map[string]string{
		"Ce-Specversion": "1.0", "Ce-Type": "dev.knative.kafka.event", "Ce-Id": "partition:2/offset:17",
		"Ce-Source":  "/apis/v1/namespaces/cost/kafkasources/plain#events",
		"Ce-Subject": "partition:2#17", "Ce-Time": "2026-11-23T06:03:07.5Z",
	}
	for name, value := range more {
		all[name] = value
	}
	return all
}
