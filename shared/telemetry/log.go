package telemetry

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"go.opentelemetry.io/otel/trace"
)

// Logs adds to each line which trace and span it belongs to, if the context of the line says so.
func Logs(to slog.Handler) slog.Handler { return logs{to} }

type logs struct{ slog.Handler }

func (l logs) Handle(ctx context.Context, line slog.Record) error {
	if span := trace.SpanContextFromContext(ctx); span.IsValid() {
		line.AddAttrs(slog.String("trace_id", span.TraceID().String()), slog.String("span_id", span.SpanID().String()))
	}
	return l.Handler.Handle(ctx, line)
}

func (l logs) WithAttrs(attrs []slog.Attr) slog.Handler { return logs{l.Handler.WithAttrs(attrs)} }

func (l logs) WithGroup(name string) slog.Handler { return logs{l.Handler.WithGroup(name)} }

// silence is how long nothing is said after an error of the telemetry itself: a collector that is away fails
// every batch in the same way.
const silence = 10 * time.Minute

// rarely logs what goes wrong with the telemetry.
type rarely struct {
	mu   sync.Mutex
	next time.Time
}

func (r *rarely) Handle(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if now := time.Now(); now.After(r.next) {
		r.next = now.Add(silence)
		slog.Warn("traces or metrics are lost; not told again for a while", "err", err)
	}
}
