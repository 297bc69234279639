package relay

import (
	"context"
	"log/slog"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/metric"

	"github.com/insights-onprem/cost-sources/shared/store"
)

// A gauge shows a column of sources.health.
type gauge struct {
	metric.Float64Gauge
	value func(store.Health) float64
}

func newGauges() []gauge {
	var gauges []gauge
	for _, g := range []struct {
		name, unit, description string
		value                   func(store.Health) float64
	}{
		{"outbox.depth", "{event}", "Events that wait in the outbox.", func(h store.Health) float64 { return h.OutboxDepth }},
		{"outbox.age", "s", "How long the oldest of them has waited.", func(h store.Health) float64 { return h.OutboxAge }},
		{"outbox.parked", "{event}", "Events that the sink refused for good.", func(h store.Health) float64 { return h.OutboxParked }},
		{"sources.pending", "{source}", "Sources that the provisioner is behind with.", func(h store.Health) float64 { return h.SourcesPending }},
		{"pending.age", "s", "How long the oldest of them has been pending.", func(h store.Health) float64 { return h.PendingAge }},
		{"sources.failed", "{source}", "Sources whose provider cannot be made.", func(h store.Health) float64 { return h.SourcesFailed }},
		{"failed.age", "s", "How long the oldest of them has been failed, for the same reason.", func(h store.Health) float64 { return h.FailedAge }},
		{"deletions.undone", "{source}", "Deletions from which something is left to be removed.", func(h store.Health) float64 { return h.DeletionsUndone }},
		{"deletion.age", "s", "How long ago the oldest of them was made.", func(h store.Health) float64 { return h.DeletionAge }},
	} {
		made, err := otel.Meter("github.com/insights-onprem/cost-sources/functions/relay").Float64Gauge(
			"cost_sources."+g.name, metric.WithUnit(g.unit), metric.WithDescription(g.description))
		if err != nil {
			otel.Handle(err)
		}
		gauges = append(gauges, gauge{made, g.value})
	}
	return gauges
}

// observe shows what sources.health says, if anybody collects it. No function is there all the time to be asked,
// but the relay comes back every few minutes.
func (r relay) observe(ctx context.Context) {
	if !r.gauges[0].Enabled(ctx) {
		return
	}
	health, err := r.db.Health(ctx)
	if err != nil {
		slog.WarnContext(ctx, "what waits is not known", "err", err)
		return
	}
	for _, g := range r.gauges {
		g.Record(ctx, g.value(health))
	}
}
