package provision

import (
	"context"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
)

// newHistogram is how long those who registered a cluster had to wait for its provider. The bounds reach to where
// the relay's back-off does.
func newHistogram() metric.Float64Histogram {
	delay, err := otel.Meter("github.com/insights-onprem/cost-sources/functions/provisioner").Float64Histogram(
		"cost_sources.provider.delay", metric.WithUnit("s"),
		metric.WithDescription("Time from a change of a source to the commit of its provider."),
		metric.WithExplicitBucketBoundaries(0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3600))
	if err != nil {
		otel.Handle(err)
	}
	return delay
}

// record counts a provider that has been committed for a source as it was changed then. That is by the clock of the
// database, which may be a little ahead of ours.
func (p provisioner) record(ctx context.Context, changedAt time.Time, newTenant bool) {
	p.delay.Record(ctx, max(0, time.Since(changedAt).Seconds()), metric.WithAttributes(attribute.Bool("new_tenant", newTenant)))
}
