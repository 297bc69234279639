// Package telemetry sends traces and metrics over OTLP, where OpenTelemetry's own variables say so, and
// otherwise does nothing. What there is to be told of is known elsewhere: the packages that know it use
// OpenTelemetry's API, which leads nowhere until Start has been called.
//
// The exporter is our own. OpenTelemetry's, also the one for HTTP, has all of gRPC and of protobuf in it, which
// would nearly double what has to be pulled and loaded for a function that starts from zero.
package telemetry

import (
	"cmp"
	"context"
	"errors"
	"os"
	"path/filepath"

	"github.com/google/uuid"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/exemplar"
	"go.opentelemetry.io/otel/sdk/resource"
	"go.opentelemetry.io/otel/sdk/trace"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
)

// Telemetry is what has been switched on. The zero value is nothing.
type Telemetry struct {
	traces  *trace.TracerProvider
	metrics *metric.MeterProvider
}

// Start has OpenTelemetry's API lead where the environment says. Its error names the variable that is wrong.
// It waits for nobody.
func Start() (Telemetry, error) {
	var t Telemetry
	forTraces, err := traces.client()
	if err != nil {
		return t, err
	}
	forMetrics, err := metrics.client()
	if err != nil || forTraces == nil && forMetrics == nil {
		return t, err
	}
	aggregate, err := temporality()
	if err != nil {
		return t, err
	}
	origin, err := origin()
	if err != nil {
		return t, err
	}
	otel.SetErrorHandler(&rarely{})
	if forTraces != nil {
		t.traces = trace.NewTracerProvider(trace.WithResource(origin), trace.WithBatcher(spanExporter{forTraces}))
		otel.SetTracerProvider(t.traces)
		otel.SetTextMapPropagator(propagation.TraceContext{})
	}
	if forMetrics != nil {
		reader := metric.NewPeriodicReader(metricExporter{client: forMetrics, temporality: aggregate})
		t.metrics = metric.NewMeterProvider(metric.WithResource(origin), metric.WithReader(reader), metric.WithExemplarFilter(exemplar.AlwaysOffFilter))
		otel.SetMeterProvider(t.metrics)
	}
	return t, nil
}

// On reports whether there is anything to be done.
func (t Telemetry) On() bool { return t.traces != nil || t.metrics != nil }

// Stop sends what has not been sent yet, until ctx ends.
func (t Telemetry) Stop(ctx context.Context) error {
	sent := make(chan error, 1)
	go func() { // beside the metrics, as a collector that is away takes all the time there is
		if t.traces == nil {
			sent <- nil
			return
		}
		sent <- t.traces.Shutdown(ctx)
	}()
	var err error
	if t.metrics != nil {
		err = t.metrics.Shutdown(ctx)
	}
	return errors.Join(err, <-sent)
}

// origin is who sends: Knative's names, unless OpenTelemetry's own variables give others. Several instances of
// a function send the same metrics, so that each needs an id.
func origin() (*resource.Resource, error) {
	known := []attribute.KeyValue{
		semconv.ServiceName(cmp.Or(os.Getenv("K_SERVICE"), filepath.Base(os.Args[0]))),
		semconv.ServiceInstanceID(uuid.NewString()),
	}
	if revision := os.Getenv("K_REVISION"); revision != "" {
		known = append(known, semconv.ServiceVersion(revision))
	}
	return resource.New(context.Background(), resource.WithTelemetrySDK(), resource.WithAttributes(known...), resource.WithFromEnv())
}
