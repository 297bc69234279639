package events

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"time"

	cloudevents "github.com/cloudevents/sdk-go/v2"
	"github.com/cloudevents/sdk-go/v2/binding"
	cehttp "github.com/cloudevents/sdk-go/v2/protocol/http"

	"github.com/insights-onprem/cost-sources/shared/sources"
)

const (
	maxBody = 1 << 20 // what a record in Kafka may have
	// HandleWithin is how long an event is worked on: long enough for a schema that takes a minute to make, and less
	// than the 120 s (timeoutSeconds) after which Knative Serving is to answer 504 for the function.
	HandleWithin = 110 * time.Second
)

// Handle makes f the receiver of events of the given types, all if there are none; others are done at
// once. It is the one rule by which events are acknowledged or come again (contract section 5; Knative
// retries 404, 408, 409, 429 and 5xx, and hands every other refusal to the dead letters):
//
//   - 204 where f returns nil
//   - 422 for what is no event, and where f returns an Invalid error: it can never succeed
//   - 503 for every other error
func Handle(f func(context.Context, cloudevents.Event) error, types ...string) http.Handler {
	handled := newCounter()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Pattern == "" {
			r.Pattern = "/" // whatever the path, it is the one that takes events
		}
		if r.Method != http.MethodPost {
			w.Header().Set("Allow", http.MethodPost)
			w.WriteHeader(http.StatusMethodNotAllowed)
			return
		}
		ctx, cancel := context.WithTimeout(r.Context(), HandleWithin)
		defer cancel()
		event, err := read(w, r)
		ours := err == nil && (len(types) == 0 || slices.Contains(types, event.Type()))
		if ours {
			ctx = begin(ctx, *event, r)
			err = guard(ctx, *event, f)
		}
		outcome := answer(ctx, w, event, err)
		if ours {
			end(ctx, err)
		}
		handled.count(ctx, event, types, outcome)
	})
}

func read(w http.ResponseWriter, r *http.Request) (_ *cloudevents.Event, err error) {
	defer func() {
		if p := recover(); p != nil { // the SDK does so on a header of the name "Ce-"
			err = &sources.Error{Kind: sources.Invalid, Msg: "The request holds no CloudEvent.", Err: fmt.Errorf("panic: %v", p)}
		}
	}()
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return nil, &sources.Error{Kind: sources.Invalid, Msg: "The event is too large.", Err: err}
	}
	if err != nil { // of the connection, which says nothing about the event
		return nil, &sources.Error{Kind: sources.Unavailable, Msg: "The event did not arrive whole.", Err: err}
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	message := cehttp.NewMessageFromHttpRequest(r)
	if message.ReadEncoding() == binding.EncodingBatch {
		return nil, sources.Invalidf("", "Batches are not taken.")
	}
	event, err := binding.ToEvent(r.Context(), message)
	if err != nil {
		return nil, &sources.Error{Kind: sources.Invalid, Msg: "The request holds no CloudEvent.", Err: err}
	}
	if err := event.Validate(); err != nil {
		return event, &sources.Error{Kind: sources.Invalid, Msg: "The CloudEvent is not valid.", Err: err}
	}
	return event, nil
}

// guard turns a panic into an error, as the answer to it must be one that Knative understands.
func guard(ctx context.Context, e cloudevents.Event, f func(context.Context, cloudevents.Event) error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v", p)
		}
	}()
	return f(ctx, e)
}

// answer also says in one word what became of the event.
func answer(ctx context.Context, w http.ResponseWriter, event *cloudevents.Event, err error) (outcome string) {
	log := slog.Default()
	if event != nil {
		log = log.With("event", event.ID(), "type", event.Type(), "subject", event.Subject())
	}
	switch {
	case err == nil:
		w.WriteHeader(http.StatusNoContent)
		return "done"
	case sources.KindOf(err) == sources.Invalid:
		log.ErrorContext(ctx, "event refused", "err", err)
		http.Error(w, told(err), http.StatusUnprocessableEntity)
		return "refused"
	default:
		log.WarnContext(ctx, "event failed, to be tried again", "err", err)
		http.Error(w, told(err), http.StatusServiceUnavailable)
		return "retry"
	}
}

// told is what the dead letters will show of err: nothing of the inside.
func told(err error) string {
	if e, ok := errors.AsType[*sources.Error](err); ok {
		return e.Msg
	}
	return "internal error"
}
