package events

import (
	"context"
	"net/http"
	"slices"

	cloudevents "github.com/cloudevents/sdk-go/v2"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/propagation"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"
)

const scope = "github.com/insights-onprem/cost-sources/shared/events"

// begin begins the span of an event's handling in the trace of the request that caused the event, with a link
// to whoever posted it. Where the event tells of no request, it is in the trace of the one who posted.
func begin(ctx context.Context, e cloudevents.Event, r *http.Request) context.Context {
	posted := trace.SpanContextFromContext(propagation.TraceContext{}.Extract(context.Background(), propagation.HeaderCarrier(r.Header)))
	cause := causeOf(e)
	options := []trace.SpanStartOption{trace.WithSpanKind(trace.SpanKindConsumer), trace.WithAttributes(
		semconv.MessagingOperationTypeProcess, semconv.MessagingOperationName("process"), semconv.URLPath(r.URL.Path),
		semconv.CloudEventsEventID(e.ID()), semconv.CloudEventsEventType(e.Type()),
		semconv.CloudEventsEventSource(e.Source()), semconv.CloudEventsEventSubject(e.Subject()))}
	switch {
	case !cause.IsValid():
		cause = posted
	case posted.IsValid() && !posted.Equal(cause):
		options = append(options, trace.WithLinks(trace.Link{SpanContext: posted}))
	}
	ctx, _ = otel.Tracer(scope).Start(trace.ContextWithRemoteSpanContext(ctx, cause), "process "+e.Type(), options...)
	return ctx
}

// causeOf is the span of the request that caused an event, if the event tells of one.
func causeOf(e cloudevents.Event) trace.SpanContext {
	parent, _ := e.Extensions()["traceparent"].(string)
	carrier := propagation.MapCarrier{"traceparent": parent}
	return trace.SpanContextFromContext(propagation.TraceContext{}.Extract(context.Background(), carrier))
}

func end(ctx context.Context, err error) {
	span := trace.SpanFromContext(ctx)
	if err != nil {
		span.SetStatus(codes.Error, err.Error())
	}
	span.End()
}

// counter counts events.
type counter struct{ metric.Int64Counter }

func newCounter() counter {
	events, err := otel.Meter(scope).Int64Counter("cost_sources.events.handled", metric.WithUnit("{event}"),
		metric.WithDescription("Events that were posted to the function, by what became of them: done, refused (to the dead letters) or retry."))
	if err != nil {
		otel.Handle(err)
	}
	return counter{events}
}

// count names only the types that the function is for, as a sender can make up any other.
func (c counter) count(ctx context.Context, e *cloudevents.Event, types []string, outcome string) {
	kind := "_OTHER"
	if e != nil && slices.Contains(types, e.Type()) {
		kind = e.Type()
	}
	c.Add(ctx, 1, metric.WithAttributes(semconv.CloudEventsEventType(kind), attribute.String("outcome", outcome)))
}
