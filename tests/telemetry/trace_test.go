package telemetry_test

import (
	"encoding/hex"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	metrics "go.opentelemetry.io/proto/otlp/metrics/v1"
	traces "go.opentelemetry.io/proto/otlp/trace/v1"

	"github.com/insights-onprem/cost-sources/shared/store/storetest"
)

const (
	traceID     = "0af7651916cd43dd8448eb211c80319c"
	clientSpan  = "b7ad6b7169203331"
	traceparent = "00-" + traceID + "-" + clientSpan + "-01"
)

// on switches telemetry on, and has nothing sent before the end but by what is to be sent then.
func (c *collector) on() []string {
	return []string{"OTEL_EXPORTER_OTLP_ENDPOINT=" + c.URL, "OTEL_BSP_SCHEDULE_DELAY=3600000", "OTEL_METRIC_EXPORT_INTERVAL=3600000"}
}

// TestFlow: one request is one trace, from the client to the provider, and scaling to zero loses nothing of it.
func TestFlow(t *testing.T) {
	t.Parallel()

	c, database := newCollector(t), storetest.Database(t)
	as := func(function string) string { return "DATABASE_URL=" + storetest.As(function, database) }
	provisioner := start(t, "provisioner", append(c.on(), as("provisioner"))...)
	s := newSink(t, provisioner.url, "/", "/tenants")
	env := append(c.on(), "K_SINK="+s.URL)
	api, relay := start(t, "sources", append(env, as("sources"))...), start(t, "relay", append(env, as("relay"))...)

	api.create(t, traceparent)
	events := s.next(t, 2)
	status, _ := provisioner.send(t, "/", `{}`, http.Header{"Ce-Specversion": {"1.0"}, "Ce-Id": {"broken"}, "Ce-Source": {"s"},
		"Ce-Type": {"source.update"}, "Ce-Traceparent": {"00-11111111111111111111111111111111-2222222222222222-01"}})
	if status != http.StatusUnprocessableEntity {
		t.Errorf("a broken event is answered %d", status)
	}
	status, text := relay.send(t, "/", `{}`, http.Header{"Ce-Specversion": {"1.0"}, "Ce-Id": {"1"}, "Ce-Source": {"s"}, "Ce-Type": {"dev.knative.sources.ping"}})
	if status != http.StatusNoContent {
		t.Errorf("a ping is answered %d: %s", status, text)
	}
	if n := c.received(); n != 0 {
		t.Errorf("%d requests have come to the collector before the end: what follows proves nothing", n)
	}
	for _, f := range []function{api, provisioner, relay} {
		f.end(t)
	}
	oneTrace(t, c, events)
	told(t, c)
	if said := provisioner.Said(); !strings.Contains(said, `"trace_id":"11111111111111111111111111111111"`) || !strings.Contains(said, `"event":"broken"`) {
		t.Errorf("the event that was refused is logged without its trace:\n%s", said)
	}
}

// TestStop: what a function still does after SIGTERM is told too.
func TestStop(t *testing.T) {
	t.Parallel()

	c, arrived, stopping := newCollector(t), make(chan struct{}, 2), make(chan struct{})
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		arrived <- struct{}{}
		<-stopping
		w.WriteHeader(http.StatusAccepted)
	}))
	t.Cleanup(s.Close)
	api := start(t, "sources", append(c.on(), "DATABASE_URL="+storetest.As("sources", storetest.Database(t)), "K_SINK="+s.URL)...)
	api.create(t, traceparent)
	<-arrived
	ended := make(chan error, 1)
	go func() { ended <- api.End() }()
	api.closed(t)
	close(stopping)
	if err := <-ended; err != nil {
		t.Error(err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	sent := 0
	for _, span := range c.spans {
		if span.Kind == traces.Span_SPAN_KIND_PRODUCER && span.Status.GetCode() == traces.Status_STATUS_CODE_UNSET {
			sent++
		}
	}
	if sent != 2 {
		t.Errorf("the collector has the spans of sending %d events, want both", sent)
	}
}

// TestNames: OpenTelemetry's own variables go before what Knative says.
func TestNames(t *testing.T) {
	t.Parallel()

	c := newCollector(t)
	f := start(t, "provisioner", append(c.on(), "DATABASE_URL=postgres://nobody@127.0.0.1:1/none", "OTEL_SERVICE_NAME=mine",
		"OTEL_RESOURCE_ATTRIBUTES=service.version=2", "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE=delta", "OTEL_TRACES_EXPORTER=none")...)
	f.send(t, "/", `{}`, http.Header{}) // no event, which needs no database
	f.end(t)
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.spans) > 0 {
		t.Errorf("%d spans are sent", len(c.spans))
	}
	found := slices.IndexFunc(c.points, func(p point) bool { return p.metric.Name == "cost_sources.events.handled" })
	if found < 0 {
		t.Fatal("the event is not told of")
	}
	p := c.points[found]
	if p.service != "mine" || p.version != "2" || p.metric.GetSum().AggregationTemporality != metrics.AggregationTemporality_AGGREGATION_TEMPORALITY_DELTA {
		t.Errorf("it is told of by %s %s, as %v", p.service, p.version, p.metric)
	}
}

// TestPeer: who is asked on behalf of a request sees its trace, and how long that took is told.
func TestPeer(t *testing.T) {
	t.Parallel()

	c, asked := newCollector(t), make(chan string, 1)
	rbac := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked <- r.Header.Get("Traceparent")
		_, _ = io.WriteString(w, `{"data": [{"permission": "cost-management:*:*", "resourceDefinitions": []}]}`)
	}))
	t.Cleanup(rbac.Close)
	s := newSink(t, "")
	api := start(t, "sources", append(c.on(), "DATABASE_URL="+storetest.As("sources", storetest.Database(t)), "K_SINK="+s.URL, "RBAC_URL="+rbac.URL)...)
	api.create(t, traceparent)
	api.end(t)
	c.mu.Lock()
	defer c.mu.Unlock()
	got := <-asked
	if !slices.ContainsFunc(c.spans, func(s span) bool { return s.Kind == traces.Span_SPAN_KIND_CLIENT && parentOf(s.Span) == got }) || !strings.Contains(got, traceID) {
		t.Errorf("RBAC was asked with the traceparent %q, want that of a span of the client's trace", got)
	}
	if !slices.ContainsFunc(c.points, func(p point) bool { return p.metric.Name == "http.client.request.duration" && p.value == 1 }) {
		t.Error("how long RBAC took is not told")
	}
}

// oneTrace looks at the spans of the client's trace: the request's, those of sending its two events, and those of
// handling each of them in two ways.
func oneTrace(t *testing.T, c *collector, events []http.Header) {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	var request *traces.Span
	got := map[string]int{}
	for _, s := range c.spans {
		if hex.EncodeToString(s.TraceId) != traceID {
			continue
		}
		got[fmt.Sprintf("%s: %s %s", s.service, strings.TrimPrefix(s.Kind.String(), "SPAN_KIND_"), s.Name)]++
		if s.Kind == traces.Span_SPAN_KIND_SERVER {
			request = s.Span
		}
	}
	want := map[string]int{
		"sources: SERVER POST /api/cost-management/v1/sources": 1,
		"sources: PRODUCER send source.create":                 1,
		"sources: PRODUCER send application.create":            1,
		"provisioner: CONSUMER process source.create":          2,
		"provisioner: CONSUMER process application.create":     2,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatalf("the spans of the trace (-want +got):\n%s", diff)
	}
	if parent := hex.EncodeToString(request.ParentSpanId); parent != clientSpan {
		t.Errorf("the request's span is a child of %s, want the client's", parent)
	}
	producers := map[string]bool{} // by the header of the request that each sent
	for _, header := range events {
		producers[header.Get("Traceparent")] = true
		if got, want := header.Get("Ce-Traceparent"), parentOf(request); got != want {
			t.Errorf("an event has the traceparent %s, want that of the request, %s", got, want)
		}
	}
	for _, s := range c.spans {
		if hex.EncodeToString(s.TraceId) != traceID || s.Span == request {
			continue
		}
		if !slices.Equal(s.ParentSpanId, request.SpanId) {
			t.Errorf("%s is not a child of the request's span", s.Name)
		}
		switch s.Kind {
		case traces.Span_SPAN_KIND_PRODUCER:
			if !producers[parentOf(s.Span)] {
				t.Errorf("%s has not gone along with its event, whose headers were %v", s.Name, slices.Collect(maps.Keys(producers)))
			}
		case traces.Span_SPAN_KIND_CONSUMER:
			if len(s.Links) != 1 || !producers[fmt.Sprintf("00-%x-%x-01", s.Links[0].TraceId, s.Links[0].SpanId)] {
				t.Errorf("%s has the links %v, want one to the span of sending it", s.Name, s.Links)
			}
		}
	}
}

// parentOf is the header of a child of s.
func parentOf(s *traces.Span) string { return fmt.Sprintf("00-%x-%x-01", s.TraceId, s.SpanId) }

// told looks at the metrics.
func told(t *testing.T, c *collector) {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	got := map[string]float64{}
	for _, p := range c.points {
		if p.version != p.service+"-00001" {
			t.Errorf("%s is told by %s %s", p.metric.Name, p.service, p.version)
		}
		if strings.HasPrefix(p.metric.Name, "otel.") {
			continue
		}
		if p.attributes["db.client.connection.state"] != "" || strings.HasSuffix(p.metric.Name, ".age") {
			p.value = 0 // as it happens
		}
		var labels []string
		for _, name := range slices.Sorted(maps.Keys(p.attributes)) {
			labels = append(labels, p.attributes[name])
		}
		got[fmt.Sprintf("%s: %s [%s] %s", p.service, p.metric.Name, p.metric.Unit, strings.Join(labels, " "))] += p.value
	}
	want := map[string]float64{
		"sources: http.server.request.duration [s] POST int_value:201 /api/cost-management/v1/sources http": 1,
		"sources: cost_sources.outbox.sends [{event}] accepted":                                             2,
		"provisioner: http.server.request.duration [s] POST int_value:204 / http":                           2,
		"provisioner: http.server.request.duration [s] POST int_value:204 /tenants http":                    2,
		"provisioner: http.server.request.duration [s] POST int_value:422 / http":                           1,
		"provisioner: cost_sources.events.handled [{event}] source.create done":                             2,
		"provisioner: cost_sources.events.handled [{event}] application.create done":                        2,
		"provisioner: cost_sources.events.handled [{event}] source.update refused":                          1,
		"provisioner: cost_sources.provider.delay [s] bool_value:true":                                      1,
		"relay: http.server.request.duration [s] POST int_value:204 / http":                                 1,
		"relay: cost_sources.events.handled [{event}] dev.knative.sources.ping done":                        1,
		"relay: cost_sources.outbox.depth [{event}] ":                                                       0,
		"relay: cost_sources.outbox.age [s] ":                                                               0,
		"relay: cost_sources.outbox.parked [{event}] ":                                                      0,
		"relay: cost_sources.sources.pending [{source}] ":                                                   0,
		"relay: cost_sources.pending.age [s] ":                                                              0,
		"relay: cost_sources.sources.failed [{source}] ":                                                    0,
		"relay: cost_sources.failed.age [s] ":                                                               0,
		"relay: cost_sources.deletions.undone [{source}] ":                                                  0,
		"relay: cost_sources.deletion.age [s] ":                                                             0,
	}
	for _, pool := range []string{"sources:database", "sources:outbox", "relay:database", "relay:outbox", "provisioner:database"} {
		service, name, _ := strings.Cut(pool, ":")
		want[service+": db.client.connection.count [{connection}] "+name+" idle"] = 0
		want[service+": db.client.connection.count [{connection}] "+name+" used"] = 0
		want[service+": db.client.connection.max [{connection}] "+name] = 2
		want[service+": db.client.connection.timeouts [{timeout}] "+name] = 0
	}
	want["provisioner: db.client.connection.max [{connection}] database"] = 4
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the metrics (-want +got):\n%s", diff)
	}
}
