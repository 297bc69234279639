package telemetry_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"

	collectormetrics "go.opentelemetry.io/proto/otlp/collector/metrics/v1"
	collectortraces "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	common "go.opentelemetry.io/proto/otlp/common/v1"
	metrics "go.opentelemetry.io/proto/otlp/metrics/v1"
	traces "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

// A collector keeps what it is sent, read with OpenTelemetry's own messages.
type collector struct {
	*httptest.Server

	mu       sync.Mutex
	requests int
	spans    []span
	points   []point
}

// A span with the name of the function that it is from.
type span struct {
	*traces.Span
	service string
}

// A point of a metric, with the name and the revision of the function that it is from.
type point struct {
	metric           *metrics.Metric
	service, version string
	attributes       map[string]string
	value            float64 // of a histogram: how often
}

func newCollector(t *testing.T) *collector {
	t.Helper()
	c := &collector{}
	mux := http.NewServeMux()
	mux.Handle("POST /v1/traces", receive(t, c, func(m *collectortraces.ExportTraceServiceRequest) {
		for _, r := range m.ResourceSpans {
			for _, s := range r.ScopeSpans {
				for _, one := range s.Spans {
					c.spans = append(c.spans, span{one, read(r.Resource.Attributes)["service.name"]})
				}
			}
		}
	}))
	mux.Handle("POST /v1/metrics", receive(t, c, func(m *collectormetrics.ExportMetricsServiceRequest) {
		for _, r := range m.ResourceMetrics {
			for _, s := range r.ScopeMetrics {
				c.keep(read(r.Resource.Attributes), s.Metrics)
			}
		}
	}))
	c.Server = httptest.NewServer(mux)
	t.Cleanup(c.Close)
	return c
}

// receive reads requests of one kind.
func receive[M any, P interface {
	*M
	proto.Message
}](t *testing.T, c *collector, keep func(P)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		message := P(new(M))
		if err == nil {
			err = proto.UnmarshalOptions{DiscardUnknown: false}.Unmarshal(body, message)
		}
		if err != nil || r.Header.Get("Content-Type") != "application/x-protobuf" || len(message.ProtoReflect().GetUnknown()) > 0 {
			t.Errorf("%s is sent what cannot be read: %v, %v", r.URL, err, r.Header)
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		c.requests++
		keep(message)
	})
}

// keep takes the points out of metrics.
func (c *collector) keep(from map[string]string, told []*metrics.Metric) {
	add := func(m *metrics.Metric, attributes []*common.KeyValue, value float64) {
		c.points = append(c.points, point{m, from["service.name"], from["service.version"], read(attributes), value})
	}
	for _, m := range told {
		numbers := append(m.GetGauge().GetDataPoints(), m.GetSum().GetDataPoints()...)
		for _, p := range numbers {
			add(m, p.Attributes, p.GetAsDouble()+float64(p.GetAsInt()))
		}
		for _, p := range m.GetHistogram().GetDataPoints() {
			add(m, p.Attributes, float64(p.Count))
		}
	}
}

func read(attributes []*common.KeyValue) map[string]string {
	found := map[string]string{}
	for _, kv := range attributes {
		switch v := kv.Value.Value.(type) {
		case *common.AnyValue_StringValue:
			found[kv.Key] = v.StringValue
		default:
			found[kv.Key] = kv.Value.String()
		}
	}
	return found
}

// received is how many requests have come so far.
func (c *collector) received() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.requests
}
