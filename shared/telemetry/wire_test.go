package telemetry_test

import (
	"compress/gzip"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/sdk/instrumentation"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/sdk/resource"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"
	metricspb "go.opentelemetry.io/proto/slim/otlp/collector/metrics/v1"
	tracespb "go.opentelemetry.io/proto/slim/otlp/collector/trace/v1"
	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/proto"

	"github.com/insights-onprem/cost-sources/shared/telemetry"
)

var (
	at     = time.Unix(0, 1000)
	origin = resource.NewSchemaless(attribute.String("service.name", "sources"))
)

func spanContext(id byte, remote bool) trace.SpanContext {
	return trace.NewSpanContext(trace.SpanContextConfig{TraceID: trace.TraceID{'T'}, SpanID: trace.SpanID{id}, TraceFlags: trace.FlagsSampled, Remote: remote})
}

func spans() []sdk.ReadOnlySpan {
	return tracetest.SpanStubs{{
		Name: "GET /", SpanContext: spanContext('S', false), Parent: spanContext('P', true), SpanKind: trace.SpanKindServer,
		StartTime: at, EndTime: at.Add(1), Status: sdk.Status{Code: codes.Error, Description: "failed"},
		Attributes: []attribute.KeyValue{attribute.String("text", "a"), attribute.Int("number", -1), attribute.Bool("flag", true)},
		Links:      []sdk.Link{{SpanContext: spanContext('L', true)}},
		Resource:   origin, InstrumentationScope: instrumentation.Scope{Name: "scope"},
	}}.Snapshots()
}

// receive serves as the collector of one message, at a path, and returns what reads it.
func receive(t *testing.T, path string, message proto.Message) {
	t.Helper()
	srv := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body := io.Reader(r.Body)
		if r.Header.Get("Content-Encoding") == "gzip" {
			unzipped, err := gzip.NewReader(r.Body)
			if err != nil {
				t.Error(err)
				return
			}
			body = unzipped
		}
		text, err := io.ReadAll(body)
		if err == nil {
			err = proto.Unmarshal(text, message)
		}
		if err != nil || r.URL.Path != path || r.Header.Get("Authorization") != "Bearer a=b" {
			t.Errorf("%s, %v: %v", r.URL, r.Header, err)
		}
	}))
	t.Cleanup(srv.Close)
	set(t, "OTLP_ENDPOINT="+srv.URL+" OTLP_HEADERS=other=,Authorization=Bearer%20a=b")
}

func TestSpans(t *testing.T) {
	const want = `resource_spans {
		resource { attributes { key: "service.name" value { string_value: "sources" } } }
		scope_spans { scope { name: "scope" } spans {
			trace_id: "T\000\000\000\000\000\000\000\000\000\000\000\000\000\000\000" span_id: "S\000\000\000\000\000\000\000" parent_span_id: "P\000\000\000\000\000\000\000"
			name: "GET /" kind: SPAN_KIND_SERVER start_time_unix_nano: 1000 end_time_unix_nano: 1001
			attributes { key: "text" value { string_value: "a" } } attributes { key: "number" value { int_value: -1 } } attributes { key: "flag" value { bool_value: true } }
			links { trace_id: "T\000\000\000\000\000\000\000\000\000\000\000\000\000\000\000" span_id: "L\000\000\000\000\000\000\000" flags: 769 }
			status { message: "failed" code: STATUS_CODE_ERROR } flags: 769 } } }`
	for _, zipped := range []string{"none", "gzip"} {
		t.Run(zipped, func(t *testing.T) {
			got := &tracespb.ExportTraceServiceRequest{}
			receive(t, "/v1/traces", got)
			set(t, "OTLP_COMPRESSION="+zipped)
			if err := telemetry.SendSpans(t.Context(), spans()); err != nil {
				t.Fatal(err)
			}
			same(t, got, &tracespb.ExportTraceServiceRequest{}, want)
		})
	}
}

func TestMetrics(t *testing.T) {
	got := &metricspb.ExportMetricsServiceRequest{}
	receive(t, "/v1/metrics", got)
	of := attribute.NewSet(attribute.String("a", "b"))
	err := telemetry.SendMetrics(t.Context(), &metricdata.ResourceMetrics{Resource: origin, ScopeMetrics: []metricdata.ScopeMetrics{{
		Scope: instrumentation.Scope{Name: "scope"}, Metrics: []metricdata.Metrics{
			{Name: "g", Description: "d", Unit: "s", Data: metricdata.Gauge[float64]{DataPoints: []metricdata.DataPoint[float64]{{Attributes: of, Time: at, Value: 1.5}}}},
			{Name: "c", Data: metricdata.Sum[int64]{Temporality: metricdata.DeltaTemporality, IsMonotonic: true,
				DataPoints: []metricdata.DataPoint[int64]{{StartTime: at, Time: at.Add(1), Value: -2}}}},
			{Name: "unknown", Data: metricdata.Summary{}},
			{Name: "h", Data: metricdata.Histogram[float64]{Temporality: metricdata.CumulativeTemporality, DataPoints: []metricdata.HistogramDataPoint[float64]{
				{Attributes: of, StartTime: at, Time: at.Add(1), Count: 3, Sum: 4.5, Bounds: []float64{0.5, 1}, BucketCounts: []uint64{0, 1, 2}}}}},
			{Name: "i", Data: metricdata.Histogram[int64]{Temporality: metricdata.DeltaTemporality, DataPoints: []metricdata.HistogramDataPoint[int64]{{Count: 1, Sum: 2}}}},
			{Name: "s", Data: metricdata.Sum[float64]{Temporality: metricdata.CumulativeTemporality, DataPoints: []metricdata.DataPoint[float64]{{Value: 0.5}}}},
			{Name: "j", Data: metricdata.Gauge[int64]{DataPoints: []metricdata.DataPoint[int64]{{Value: 3}}}},
		}}}})
	if err == nil || !strings.Contains(err.Error(), "metric unknown: ") {
		t.Errorf("SendMetrics() = %v, want an error about the one of a kind that is not known", err)
	}
	same(t, got, &metricspb.ExportMetricsServiceRequest{}, `resource_metrics {
		resource { attributes { key: "service.name" value { string_value: "sources" } } }
		scope_metrics { scope { name: "scope" }
			metrics { name: "g" description: "d" unit: "s" gauge { data_points { attributes { key: "a" value { string_value: "b" } } time_unix_nano: 1000 as_double: 1.5 } } }
			metrics { name: "c" sum { data_points { start_time_unix_nano: 1000 time_unix_nano: 1001 as_int: -2 } aggregation_temporality: AGGREGATION_TEMPORALITY_DELTA is_monotonic: true } }
			metrics { name: "h" histogram { data_points { attributes { key: "a" value { string_value: "b" } } start_time_unix_nano: 1000 time_unix_nano: 1001
				count: 3 sum: 4.5 explicit_bounds: [0.5, 1] bucket_counts: [0, 1, 2] } aggregation_temporality: AGGREGATION_TEMPORALITY_CUMULATIVE } }
			metrics { name: "i" histogram { data_points { count: 1 sum: 2 } aggregation_temporality: AGGREGATION_TEMPORALITY_DELTA } }
			metrics { name: "s" sum { data_points { as_double: 0.5 } aggregation_temporality: AGGREGATION_TEMPORALITY_CUMULATIVE } }
			metrics { name: "j" gauge { data_points { as_int: 3 } } } } }`)
}

// same compares a message with one in protobuf's own text form.
func same(t *testing.T, got, into proto.Message, want string) {
	t.Helper()
	if err := prototext.Unmarshal([]byte(want), into); err != nil {
		t.Fatal(err)
	}
	if !proto.Equal(got, into) {
		t.Errorf("the collector was sent (-want +got):\n%s", cmp.Diff(prototext.Format(into), prototext.Format(got)))
	}
}

// TestRetry: what the collector may take the next time is sent again, and nothing else.
func TestRetry(t *testing.T) {
	for status, want := range map[int]int{http.StatusServiceUnavailable: 2, http.StatusBadRequest: 1} {
		asked := 0
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			if asked++; asked == 1 {
				w.WriteHeader(status)
			}
		}))
		set(t, "OTLP_ENDPOINT="+srv.URL)
		err := telemetry.SendSpans(t.Context(), spans())
		srv.Close()
		if asked != want || (err == nil) != (want == 2) {
			t.Errorf("after %d the collector is asked %d times, %v; want %d", status, asked, err, want)
		}
	}
}
