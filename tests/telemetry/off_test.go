package telemetry_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/insights-onprem/cost-sources/shared/store/storetest"
	"github.com/insights-onprem/cost-sources/tests/process"
)

// TestOff: where nothing switches it on, nothing is told to anybody; the events carry the client's trace nevertheless.
func TestOff(t *testing.T) {
	t.Parallel()

	for name, env := range map[string][]string{
		"no variables":      {},
		"an empty endpoint": {"OTEL_EXPORTER_OTLP_ENDPOINT=", "OTEL_EXPORTER_OTLP_PROTOCOL=grpc"},
		"disabled":          {"OTEL_EXPORTER_OTLP_ENDPOINT=%", "OTEL_SDK_DISABLED=true"},
		"without exporters": {"OTEL_EXPORTER_OTLP_ENDPOINT=%", "OTEL_TRACES_EXPORTER=none", "OTEL_METRICS_EXPORTER=none"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, s := newCollector(t), newSink(t, "")
			all := []string{"DATABASE_URL=" + storetest.As("sources", storetest.Database(t)), "K_SINK=" + s.URL, "OTEL_BSP_SCHEDULE_DELAY=1", "OTEL_METRIC_EXPORT_INTERVAL=1"}
			for _, variable := range env {
				all = append(all, strings.Replace(variable, "%", c.URL, 1))
			}
			api := start(t, "sources", all...)
			api.create(t, traceparent)
			for _, header := range s.next(t, 2) {
				if header.Get("Ce-Traceparent") != traceparent || header.Get("Traceparent") != "" {
					t.Errorf("an event is sent with the headers %v, want the client's traceparent as its attribute alone", header)
				}
			}
			api.end(t)
			if n := c.received(); n != 0 {
				t.Errorf("the collector was sent %d requests", n)
			}
		})
	}
}

// TestRefuses: what the exporter does not know is told in one line that names it.
func TestRefuses(t *testing.T) {
	t.Parallel()

	dir, err := build()
	if err != nil {
		t.Fatal(err)
	}
	for variable, want := range map[string]string{
		"OTEL_EXPORTER_OTLP_PROTOCOL=grpc":                           "OTEL_EXPORTER_OTLP_PROTOCOL: only http/protobuf is supported",
		"OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE=whenever": "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE: only cumulative, delta and lowmemory are supported",
	} {
		t.Run(variable, func(t *testing.T) {
			t.Parallel()
			p, err := process.Start(dir, "provisioner", "PORT=0", "DATABASE_URL=postgres://nobody@127.0.0.1:1/none",
				"OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:1", variable)
			if err != nil {
				t.Fatal(err)
			}
			if err := p.Ready(t.Context(), "http://127.0.0.1:1"); err == nil {
				t.Error("the process is ready")
			}
			if err := p.End(); err == nil || err.Error() != "provisioner ended with status 1: "+want+"\n" {
				t.Errorf("End() = %v, want %s", err, want)
			}
		})
	}
}

// TestAway: a collector that never answers holds up nobody, and is told of once.
func TestAway(t *testing.T) {
	t.Parallel()

	asked, over := make(chan struct{}, 100), make(chan struct{})
	silent := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		asked <- struct{}{}
		<-over
	}))
	t.Cleanup(silent.Close)
	t.Cleanup(func() { close(over) }) // before the server is closed, which waits for it
	s := newSink(t, "")
	api := start(t, "sources", "DATABASE_URL="+storetest.As("sources", storetest.Database(t)), "K_SINK="+s.URL, "OTEL_EXPORTER_OTLP_ENDPOINT="+silent.URL,
		"OTEL_BSP_SCHEDULE_DELAY=1", "OTEL_METRIC_EXPORT_INTERVAL=50", "OTEL_EXPORTER_OTLP_TIMEOUT=200", "OTEL_METRIC_EXPORT_TIMEOUT=100")
	for range 3 { // batches that are failing while a source is made
		<-asked
	}
	api.create(t, traceparent)
	s.next(t, 2)
	for range 10 {
		<-asked
	}
	giveUp := time.AfterFunc(10*time.Second, api.Kill) // which is no end in order
	api.end(t)
	giveUp.Stop()
	if n := strings.Count(api.Said(), "traces or metrics are lost; not told again"); n != 1 {
		t.Errorf("it is told %d times that the collector is away, want once:\n%s", n, api.Said())
	}
}
