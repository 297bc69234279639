package telemetry

import (
	"net/http"
	"strconv"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/propagation"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"
)

const scope = "github.com/insights-onprem/cost-sources/shared/telemetry"

// durations are the bounds that OpenTelemetry recommends, and further ones for what events may take.
var durations = []float64{0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10, 30, 60, 120}

// methods are those that a metric or a span's name may show: a caller can make up any other.
var methods = map[string]bool{"GET": true, "HEAD": true, "POST": true, "PUT": true, "DELETE": true, "CONNECT": true, "OPTIONS": true, "TRACE": true, "PATCH": true}

// Requests measures how long h takes for each request and, where spans are wanted, gives it a span, which is
// a child of the caller's. h says in the request's Pattern what it took it for; the path itself is in no
// metric, as there is no end to paths.
func (t Telemetry) Requests(h http.Handler, spans bool) http.Handler {
	if !t.On() {
		return h
	}
	duration, err := otel.Meter(scope).Float64Histogram("http.server.request.duration", metric.WithUnit("s"),
		metric.WithDescription("Duration of HTTP server requests."), metric.WithExplicitBucketBoundaries(durations...))
	if err != nil {
		otel.Handle(err)
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		begun, answer := time.Now(), &recorder{ResponseWriter: w, status: http.StatusOK}
		if spans {
			r = begin(r)
		}
		h.ServeHTTP(answer, r)
		said := outcome(r, answer.status)
		if spans {
			end(r, answer.status, said)
		}
		duration.Record(r.Context(), time.Since(begun).Seconds(), metric.WithAttributes(said...))
	})
}

func begin(r *http.Request) *http.Request {
	ctx := propagation.TraceContext{}.Extract(r.Context(), propagation.HeaderCarrier(r.Header))
	ctx, _ = otel.Tracer(scope).Start(ctx, method(r), trace.WithSpanKind(trace.SpanKindServer), trace.WithAttributes(semconv.URLPath(r.URL.Path)))
	return r.WithContext(ctx)
}

func end(r *http.Request, status int, said []attribute.KeyValue) {
	span := trace.SpanFromContext(r.Context())
	if r.Pattern != "" {
		span.SetName(method(r) + " " + r.Pattern)
	}
	span.SetAttributes(said...)
	if status >= 500 {
		span.SetStatus(codes.Error, http.StatusText(status))
	}
	span.End()
}

func outcome(r *http.Request, status int) []attribute.KeyValue {
	said := []attribute.KeyValue{semconv.HTTPRequestMethodKey.String(method(r)), semconv.HTTPResponseStatusCode(status), semconv.URLScheme("http")}
	if r.Pattern != "" {
		said = append(said, semconv.HTTPRoute(r.Pattern))
	}
	if status >= 500 {
		said = append(said, semconv.ErrorTypeKey.String(strconv.Itoa(status)))
	}
	return said
}

func method(r *http.Request) string {
	if methods[r.Method] {
		return r.Method
	}
	return "_OTHER"
}

// recorder keeps the status of an answer.
type recorder struct {
	http.ResponseWriter
	status int
}

func (w *recorder) WriteHeader(status int) {
	w.status = status
	w.ResponseWriter.WriteHeader(status)
}

// Unwrap is for http.ResponseController.
func (w *recorder) Unwrap() http.ResponseWriter { return w.ResponseWriter }
