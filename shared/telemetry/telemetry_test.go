package telemetry_test

import (
	"bytes"
	"context"
	"encoding/json"
	"encoding/pem"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/otel/trace"

	"github.com/insights-onprem/cost-sources/shared/telemetry"
)

// set sets variables for a test, which are written as NAME=value NAME=value.
func set(t *testing.T, variables string) {
	t.Helper()
	for variable := range strings.FieldsSeq(variables) {
		name, value, _ := strings.Cut(variable, "=")
		t.Setenv(strings.Replace(name, "OTLP_", "OTEL_EXPORTER_OTLP_", 1), value)
	}
}

// TestVariables changes the environment, so it runs alone.
func TestVariables(t *testing.T) {
	const on = "OTLP_ENDPOINT=http://collector:4318 "
	for _, tt := range []struct {
		variables string
		want      string // which are on, or what the error names
	}{
		{"", ""},
		{on, "traces metrics"},
		{"OTLP_ENDPOINT= OTLP_PROTOCOL=grpc OTEL_TRACES_EXPORTER=zipkin", ""},
		{"OTLP_TRACES_ENDPOINT=https://collector/t", "traces"},
		{"OTLP_METRICS_ENDPOINT=https://collector/m", "metrics"},
		{on + "OTEL_SDK_DISABLED=TRUE", ""},
		{on + "OTEL_SDK_DISABLED=", "traces metrics"},
		{on + "OTEL_TRACES_EXPORTER=none", "metrics"},
		{on + "OTEL_METRICS_EXPORTER=none OTEL_TRACES_EXPORTER=otlp", "traces"},
		{on + "OTEL_METRICS_EXPORTER=console", "OTEL_METRICS_EXPORTER"},
		{on + "OTLP_PROTOCOL=http/protobuf OTLP_COMPRESSION=none OTLP_TIMEOUT=1", "traces metrics"},
		{on + "OTLP_PROTOCOL=", "traces metrics"},
		{on + "OTLP_PROTOCOL=grpc", "OTLP_PROTOCOL"},
		{on + "OTLP_METRICS_PROTOCOL=http/json", "OTLP_METRICS_PROTOCOL"},
		{on + "OTLP_PROTOCOL=grpc OTLP_TRACES_PROTOCOL=http/protobuf OTEL_METRICS_EXPORTER=none", "traces"},
		{"OTLP_ENDPOINT=collector:4318", "OTLP_ENDPOINT"},
		{"OTLP_TRACES_ENDPOINT=unix:/socket", "OTLP_TRACES_ENDPOINT"},
		{on + "OTLP_HEADERS=secret", "OTLP_HEADERS"},
		{on + "OTLP_HEADERS=key=secret%zz", "OTLP_HEADERS"},
		{on + "OTLP_COMPRESSION=zstd", "OTLP_COMPRESSION"},
		{on + "OTLP_TIMEOUT=10s", "OTLP_TIMEOUT"},
		{on + "OTLP_TIMEOUT=0", "OTLP_TIMEOUT"},
		{on + "OTLP_TIMEOUT=-1", "OTLP_TIMEOUT"},
		{on + "OTLP_HEADERS=Authorization=Bearer%20a=b,other=", "traces metrics"},
		{on + "OTLP_HEADERS=key=a,secret", "OTLP_HEADERS"},
		{on + "OTLP_METRICS_TEMPORALITY_PREFERENCE=LowMemory", "traces metrics"},
		{on + "OTLP_METRICS_TEMPORALITY_PREFERENCE=whenever", "OTLP_METRICS_TEMPORALITY_PREFERENCE"},
	} {
		t.Run(tt.variables, func(t *testing.T) {
			set(t, tt.variables)
			on, err := telemetry.Configured()
			got := strings.ToLower(strings.Join(on, " "))
			if err != nil {
				name, _, _ := strings.Cut(err.Error(), ": ")
				got = strings.Replace(name, "OTEL_EXPORTER_OTLP_", "OTLP_", 1)
				if strings.Contains(err.Error(), "\n") || strings.Contains(err.Error(), "secret") {
					t.Errorf("the error is %q", err)
				}
			}
			if got != tt.want {
				t.Errorf("switches on, or is an error about, %q, want %q", got, tt.want)
			}
		})
	}
}

// TestStartOff: without variables nothing is made.
func TestStartOff(t *testing.T) {
	off, err := telemetry.Start()
	if err != nil || off.On() || off != (telemetry.Telemetry{}) {
		t.Errorf("Start() = %v, %v, want nothing", off, err)
	}
	if err := off.Stop(t.Context()); err != nil {
		t.Errorf("Stop() = %v", err)
	}
	called := false
	h := off.Requests(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, called = w.(*httptest.ResponseRecorder) }), true)
	h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil))
	if !called {
		t.Error("the handler is served something other than the server's own ResponseWriter")
	}
}

func TestLogs(t *testing.T) {
	t.Parallel()

	var text bytes.Buffer
	log := slog.New(telemetry.Logs(slog.NewJSONHandler(&text, nil))).With("event", "1")
	span := trace.NewSpanContext(trace.SpanContextConfig{TraceID: trace.TraceID{1}, SpanID: trace.SpanID{2}})
	for _, tt := range []struct {
		ctx  context.Context
		want map[string]any
	}{
		{t.Context(), map[string]any{"event": "1"}},
		{trace.ContextWithSpanContext(t.Context(), span), map[string]any{"event": "1",
			"trace_id": "01000000000000000000000000000000", "span_id": "0200000000000000"}},
	} {
		text.Reset()
		log.InfoContext(tt.ctx, "said")
		got := map[string]any{}
		if err := json.Unmarshal(text.Bytes(), &got); err != nil {
			t.Fatal(err)
		}
		delete(got, "time")
		delete(got, "level")
		delete(got, "msg")
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("a line (-want +got):\n%s", diff)
		}
	}
}

// TestErrorLog takes the place of the process's log, so it runs alone.
func TestErrorLog(t *testing.T) {
	var text bytes.Buffer
	before := slog.Default()
	slog.SetDefault(slog.New(slog.NewTextHandler(&text, nil)))
	defer slog.SetDefault(before)
	log := telemetry.NewErrorLog()
	for range 3 {
		log.Handle(errors.New("the collector is away"))
	}
	if n := strings.Count(text.String(), "the collector is away"); n != 1 {
		t.Errorf("three errors at once are told %d times, want once:\n%s", n, text.String())
	}
}

// sent starts telemetry as the variables say, in place of the process's own, and stops it when there is something to tell.
func sent(t *testing.T, variables string) error {
	t.Helper()
	set(t, variables)
	on, err := telemetry.Start()
	if err != nil {
		t.Fatal(err)
	}
	requests := on.Requests(http.NotFoundHandler(), true)
	requests.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil))
	return on.Stop(t.Context())
}

// TestSecure: the collector's authority is the one of the file.
func TestSecure(t *testing.T) {
	asked := 0
	srv := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked++ }))
	defer srv.Close()
	if err := sent(t, "OTEL_METRICS_EXPORTER=none OTLP_ENDPOINT="+srv.URL+" OTLP_CERTIFICATE="+certificate(t, srv)); err != nil || asked != 1 {
		t.Errorf("it is sent with %v, after %d requests", err, asked)
	}
}

// TestRedirect: nobody but the collector is shown the key to it.
func TestRedirect(t *testing.T) {
	for _, signal := range []string{"TRACES", "METRICS"} {
		t.Run(signal, func(t *testing.T) {
			keys, elsewhere := make(chan string, 10), make(chan string, 10)
			other := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { elsewhere <- r.Method }))
			defer other.Close()
			srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				keys <- r.Header.Get("Key")
				http.Redirect(w, r, other.URL, http.StatusTemporaryRedirect)
			}))
			defer srv.Close()
			_ = sent(t, "OTLP_"+signal+"_ENDPOINT="+srv.URL+" OTLP_HEADERS=key=a") // an error of metrics alone: those of traces are logged
			if n := len(keys); n != 1 || <-keys != "a" {
				t.Errorf("the collector is asked %d times, want once, with the key", n)
			}
			if n := len(elsewhere); n != 0 {
				t.Errorf("who it leads to is asked %d times", n)
			}
		})
	}
}

// TestUnfit: what only the exporters find is told in one line that names a variable too.
func TestUnfit(t *testing.T) {
	srv := httptest.NewTLSServer(nil)
	defer srv.Close()
	set(t, "OTLP_ENDPOINT=http://collector OTLP_CERTIFICATE="+certificate(t, srv))
	_, err := telemetry.Start()
	if err == nil || !strings.HasPrefix(err.Error(), "OTEL_EXPORTER_OTLP_ENDPOINT: ") {
		t.Errorf("Start() = %v, want an error about the endpoint, which is without TLS", err)
	}
}

// certificate is the file of a server's.
func certificate(t *testing.T, srv *httptest.Server) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: srv.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}
