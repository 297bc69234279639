package telemetry

import (
	"context"
	"errors"
	"fmt"
	"math"

	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"google.golang.org/protobuf/encoding/protowire"
)

// metricExporter sends metrics, of all kinds that OpenTelemetry's instruments make by themselves.
type metricExporter struct {
	*client
	temporality metric.TemporalitySelector
}

func (e metricExporter) Temporality(k metric.InstrumentKind) metricdata.Temporality {
	return e.temporality(k)
}

func (metricExporter) Aggregation(k metric.InstrumentKind) metric.Aggregation {
	return metric.DefaultAggregationSelector(k)
}

func (metricExporter) ForceFlush(context.Context) error { return nil }

func (metricExporter) Shutdown(context.Context) error { return nil }

// Export sends metrics in OTLP's ExportMetricsServiceRequest.
func (e metricExporter) Export(ctx context.Context, from *metricdata.ResourceMetrics) error {
	var errs []error // none keeps the other metrics from being sent
	all := of(from.Resource)
	for _, scope := range from.ScopeMetrics {
		m := in(scope.Scope.Name)
		for _, one := range scope.Metrics {
			told, err := told(one)
			if err != nil {
				errs = append(errs, err)
				continue
			}
			m = m.embed(2, told)
		}
		all = all.embed(2, m)
	}
	return errors.Join(append(errs, e.post(ctx, message(nil).embed(1, all)))...)
}

// told writes a Metric.
func told(from metricdata.Metrics) (message, error) {
	m := message(nil).text(1, from.Name).text(2, from.Description).text(3, from.Unit)
	switch data := from.Data.(type) {
	case metricdata.Gauge[int64]:
		return m.embed(5, numbers(data.DataPoints)), nil
	case metricdata.Gauge[float64]:
		return m.embed(5, numbers(data.DataPoints)), nil
	case metricdata.Sum[int64]:
		return m.embed(7, sum(data)), nil
	case metricdata.Sum[float64]:
		return m.embed(7, sum(data)), nil
	case metricdata.Histogram[int64]:
		return m.embed(9, histogram(data)), nil
	case metricdata.Histogram[float64]:
		return m.embed(9, histogram(data)), nil
	default:
		return nil, fmt.Errorf("metric %s: %T is not sent", from.Name, data)
	}
}

// since says since when a sum or histogram is: the last time that it was told, or the beginning of the process.
func since(t metricdata.Temporality) uint64 {
	if t == metricdata.DeltaTemporality {
		return 1
	}
	return 2
}

func sum[N int64 | float64](s metricdata.Sum[N]) message {
	return numbers(s.DataPoints).number(2, since(s.Temporality)).flag(3, s.IsMonotonic)
}

func numbers[N int64 | float64](points []metricdata.DataPoint[N]) (m message) {
	for _, p := range points {
		point := message(nil).time(2, p.StartTime).time(3, p.Time).attributes(7, p.Attributes.ToSlice())
		switch v := any(p.Value).(type) {
		case int64:
			point = point.fixed64(6, uint64(v))
		case float64:
			point = point.float(4, v)
		}
		m = m.embed(1, point)
	}
	return m
}

func histogram[N int64 | float64](h metricdata.Histogram[N]) (m message) {
	for _, p := range h.DataPoints {
		var counts, bounds []byte
		for _, count := range p.BucketCounts {
			counts = protowire.AppendFixed64(counts, count)
		}
		for _, bound := range p.Bounds {
			bounds = protowire.AppendFixed64(bounds, math.Float64bits(bound))
		}
		m = m.embed(1, message(nil).time(2, p.StartTime).time(3, p.Time).fixed64(4, p.Count).float(5, float64(p.Sum)).
			embed(6, counts).embed(7, bounds).attributes(9, p.Attributes.ToSlice()))
	}
	return m.number(2, since(h.Temporality))
}
