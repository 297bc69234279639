package telemetry

import (
	"context"

	"go.opentelemetry.io/otel/codes"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

// spanExporter sends spans.
type spanExporter struct{ *client }

// ExportSpans sends the spans of one process, which all of them are, in OTLP's ExportTraceServiceRequest.
func (e spanExporter) ExportSpans(ctx context.Context, spans []sdk.ReadOnlySpan) error {
	if len(spans) == 0 {
		return nil
	}
	byScope := map[string]message{}
	for _, s := range spans {
		scope := s.InstrumentationScope().Name
		if byScope[scope] == nil {
			byScope[scope] = in(scope)
		}
		byScope[scope] = byScope[scope].embed(2, span(s))
	}
	all := of(spans[0].Resource())
	for _, scope := range byScope {
		all = all.embed(2, scope)
	}
	return e.post(ctx, message(nil).embed(1, all))
}

func (spanExporter) Shutdown(context.Context) error { return nil }

// span writes a Span. Its events are not written, as none of ours has any.
func span(s sdk.ReadOnlySpan) message {
	m := ids(s.SpanContext())
	if s.Parent().SpanID().IsValid() {
		parent := s.Parent().SpanID()
		m = m.embed(4, parent[:])
	}
	m = m.text(5, s.Name()).number(6, uint64(s.SpanKind())).time(7, s.StartTime()).time(8, s.EndTime()).attributes(9, s.Attributes())
	for _, link := range s.Links() {
		m = m.embed(13, ids(link.SpanContext).fixed32(6, flags(link.SpanContext)))
	}
	if s.Status().Code == codes.Error {
		m = m.embed(15, message(nil).text(2, s.Status().Description).number(3, 2))
	}
	return m.fixed32(16, flags(s.SpanContext())|flags(s.Parent())&isRemote)
}

// ids begins a Span or a Link.
func ids(c trace.SpanContext) message {
	traceID, spanID := c.TraceID(), c.SpanID()
	return message(nil).embed(1, traceID[:]).embed(2, spanID[:]).text(3, c.TraceState().String())
}

// Of OTLP's flags the first eight are W3C's; two more tell whether a parent or a link is of another process.
const (
	knowsRemote = 1 << 8
	isRemote    = 1 << 9
)

func flags(c trace.SpanContext) uint32 {
	f := uint32(c.TraceFlags()) | knowsRemote
	if c.IsRemote() {
		f |= isRemote
	}
	return f
}
