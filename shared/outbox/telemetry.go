package outbox

import (
	"context"
	"errors"
	"net/http"

	cloudevents "github.com/cloudevents/sdk-go/v2"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/propagation"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"
)

const scope = "github.com/insights-onprem/cost-sources/shared/outbox"

// begin begins the span of a sending, in the trace of the request that caused the event. The event itself keeps
// the request's span (contract section 4); this one goes into the header of the request to the sink.
func begin(ctx context.Context, e cloudevents.Event) context.Context {
	parent, _ := e.Extensions()["traceparent"].(string)
	ctx = propagation.TraceContext{}.Extract(ctx, propagation.MapCarrier{"traceparent": parent})
	ctx, _ = otel.Tracer(scope).Start(ctx, "send "+e.Type(), trace.WithSpanKind(trace.SpanKindProducer), trace.WithAttributes(
		semconv.MessagingOperationTypeSend, semconv.MessagingOperationName("send"),
		semconv.CloudEventsEventID(e.ID()), semconv.CloudEventsEventType(e.Type()),
		semconv.CloudEventsEventSource(e.Source()), semconv.CloudEventsEventSubject(e.Subject())))
	return ctx
}

// inject sends the span along, if there are any.
func inject(request *http.Request) {
	otel.GetTextMapPropagator().Inject(request.Context(), propagation.HeaderCarrier(request.Header))
}

// end ends the span of a sending and counts it.
func (d *Dispatcher) end(ctx context.Context, posted error) {
	outcome, span := "accepted", trace.SpanFromContext(ctx)
	switch {
	case errors.Is(posted, errRefused):
		outcome = "parked"
	case posted != nil:
		outcome = "retried"
	}
	if posted != nil {
		span.SetStatus(codes.Error, posted.Error())
	}
	span.End()
	d.sends.Add(ctx, 1, metric.WithAttributes(attribute.String("outcome", outcome)))
}

func newCounter() metric.Int64Counter {
	sends, err := otel.Meter(scope).Int64Counter("cost_sources.outbox.sends", metric.WithUnit("{event}"),
		metric.WithDescription("Events that were sent to the sink, by what became of them: accepted, retried or parked."))
	if err != nil {
		otel.Handle(err)
	}
	return sends
}
