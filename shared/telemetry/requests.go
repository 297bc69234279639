package telemetry

import (
	"net/http"

	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/metric"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace/noop"
)

// Requests measures how long h takes for each request and, where spans are wanted, gives it a span, which is
// a child of the caller's. h says in the request's Pattern what it took it for.
func (t Telemetry) Requests(h http.Handler, spans bool) http.Handler {
	if !t.On() {
		return h
	}
	var options []otelhttp.Option
	if !spans {
		options = append(options, otelhttp.WithTracerProvider(noop.NewTracerProvider()))
	}
	return otelhttp.NewHandler(h, "", options...)
}

// requests is what of the metrics of requests is sent: their duration, up to what events may take, and without
// what a caller can make up, as the Host header, of which there would be no end. How large they are, nobody asks.
func requests() []metric.View {
	return []metric.View{
		metric.NewView(metric.Instrument{Name: "http.server.request.duration"}, metric.Stream{
			Aggregation: metric.AggregationExplicitBucketHistogram{
				Boundaries: []float64{0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10, 30, 60, 120}},
			AttributeFilter: attribute.NewAllowKeysFilter(
				semconv.HTTPRequestMethodKey, semconv.HTTPResponseStatusCodeKey, semconv.HTTPRouteKey, semconv.URLSchemeKey),
		}),
		metric.NewView(metric.Instrument{Name: "http.server.*.body.size"}, metric.Stream{Aggregation: metric.AggregationDrop{}}),
	}
}
