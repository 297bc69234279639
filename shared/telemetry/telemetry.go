// Package telemetry sends traces and metrics over OTLP, where OpenTelemetry's own variables say so, and
// otherwise does nothing. What there is to be told of is known elsewhere: the packages that know it use
// OpenTelemetry's API, which leads nowhere until Start has been called.
//
// What is sent, and to whom, is up to OpenTelemetry's own exporters, for HTTP. Here is decided whether they are
// made at all, and that a function does not start with a variable that they would not heed.
package telemetry

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/go-logr/logr"
	"github.com/google/uuid"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetrichttp"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
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
	traced, err := traces.on()
	if err != nil {
		return t, err
	}
	measured, err := metrics.on()
	if err != nil || !traced && !measured {
		return t, err
	}
	otel.SetErrorHandler(&rarely{})
	otel.SetLogger(logr.FromSlogHandler(slog.Default().Handler()))
	origin, err := origin()
	if err != nil {
		return t, err
	}
	if traced {
		err = t.trace(origin)
	}
	if measured && err == nil {
		err = t.measure(origin)
	}
	return t, err
}

func (t *Telemetry) trace(origin *resource.Resource) error {
	exporter, err := otlptracehttp.New(context.Background(), otlptracehttp.WithProxy(proxy))
	if err != nil {
		return traces.wrong(err)
	}
	t.traces = trace.NewTracerProvider(trace.WithResource(origin), trace.WithBatcher(exporter))
	otel.SetTracerProvider(t.traces)
	otel.SetTextMapPropagator(propagation.TraceContext{})
	return nil
}

func (t *Telemetry) measure(origin *resource.Resource) error {
	exporter, err := otlpmetrichttp.New(context.Background(), otlpmetrichttp.WithProxy(proxy))
	if err != nil {
		return metrics.wrong(err)
	}
	t.metrics = metric.NewMeterProvider(metric.WithResource(origin), metric.WithReader(metric.NewPeriodicReader(exporter)),
		metric.WithView(requests()...),
		metric.WithExemplarFilter(exemplar.AlwaysOffFilter)) // with an exemplar goes what the view leaves out
	otel.SetMeterProvider(t.metrics)
	return nil
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
