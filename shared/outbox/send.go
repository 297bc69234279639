package outbox

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"time"

	cloudevents "github.com/cloudevents/sdk-go/v2"
	cehttp "github.com/cloudevents/sdk-go/v2/protocol/http"
	"github.com/google/uuid"
	"go.opentelemetry.io/otel/trace"

	"github.com/insights-onprem/cost-sources/shared/store"
)

const (
	pageSize     = 25              // events of a source read, and sent under one lease, at once
	sendWithin   = 4 * time.Second // of one event, and less than a lease
	turnWithin   = store.LeaseFor + 5*time.Second
	finishWithin = 1500 * time.Millisecond // after the end of a context, for what must not stay undone
)

// sending is the sending of one source's events. An API does so as the source's organization; the relay drains
// those of all.
type sending struct {
	*Dispatcher
	db       *store.Store
	sourceID int64
}

// send sends the events in order, unless somebody else is doing so, until there are none or one is not
// accepted. It returns how many were accepted.
func (s sending) send(ctx context.Context) (sent int, err error) {
	for more := true; more && err == nil; {
		var n int
		n, more, err = s.turn(ctx)
		sent += n
	}
	return sent, err
}

// turn is what is sent under one lease; it reports whether events wait after it.
func (s sending) turn(ctx context.Context) (sent int, more bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, turnWithin)
	defer cancel()
	longer, cancel := outlive(ctx)
	defer cancel()
	owner, until := uuid.NewString(), time.Now().Add(store.LeaseFor)
	if err := ctx.Err(); err != nil {
		return 0, false, err
	}
	// Not with ctx: the server might give the lease after we have turned away from it, and released it.
	taken, events, err := s.db.Lease(longer, s.sourceID, owner, pageSize)
	if err == nil && !taken {
		return 0, false, nil
	}
	var last int64
	if err == nil {
		sent, last, err = s.sendUntil(ctx, longer, events, until)
	}
	// Also after an error of Lease, which may have come when the lease was taken already.
	more, releaseErr := s.db.Release(longer, s.sourceID, owner, last)
	return sent, more, errors.Join(err, releaseErr)
}

// sendUntil sends events, each before the next, while there is time for it under the lease. It returns the sequence of
// the last that the sink has accepted, which is still to be removed; 0 where there is none.
func (s sending) sendUntil(ctx, longer context.Context, events []store.Queued, until time.Time) (sent int, last int64, err error) {
	hasTime := func() bool { return time.Until(until) >= sendWithin } // the lease might run out while an event is sent
	for _, e := range events {
		if last > 0 && hasTime() { // before the next is sent: a repetition must not come behind it
			if err := s.db.Sent(longer, s.sourceID, last); err != nil {
				return sent, last, err
			}
			last = 0
		}
		if !hasTime() { // the database may have taken it; the next turn has a new lease
			break
		}
		accepted, err := s.sendOne(ctx, longer, e)
		if err != nil {
			return sent, last, err
		}
		sent++
		if accepted {
			last = e.Sequence
		}
	}
	return sent, last, nil
}

// sendOne sends an event, and reports whether the sink has accepted it; one that it refuses for good is parked.
func (s sending) sendOne(ctx, longer context.Context, e store.Queued) (accepted bool, err error) {
	var event cloudevents.Event
	err = json.Unmarshal(e.Event, &event)
	if err != nil {
		err = fmt.Errorf("%w: %w", errRefused, err)
	}
	ctx = begin(ctx, event)
	if err == nil {
		err = s.post(ctx, event)
	}
	s.end(ctx, err)
	if errors.Is(err, errRefused) {
		longer = trace.ContextWithSpan(longer, trace.SpanFromContext(ctx))
		slog.ErrorContext(longer, "event parked", "source", s.sourceID, "sequence", e.Sequence, "err", err)
		return false, s.db.Park(longer, s.sourceID, e.Sequence, err.Error())
	}
	return err == nil, err
}

// outlive returns a context that goes on for finishWithin when ctx has ended: an event that the sink has is
// removed, or it would be sent again, and a lease is released, or it would stand in the next one's way.
func outlive(ctx context.Context) (context.Context, context.CancelFunc) {
	longer, cancel := context.WithCancel(context.WithoutCancel(ctx))
	ended := context.AfterFunc(ctx, func() { time.AfterFunc(finishWithin, cancel) })
	return longer, func() { ended(); cancel() }
}

// errRefused: the sink will never take the event.
var errRefused = errors.New("refused")

// post sends one event as a binary CloudEvent and returns nil where the sink has it. A KafkaSink answers
// 400 to what is no valid event; everything else may be different the next time (its 404 too: that is a
// receiver that has not heard of the sink yet).
func (d *Dispatcher) post(ctx context.Context, event cloudevents.Event) error {
	for name, value := range d.cfg.Overrides.Extensions {
		event.SetExtension(name, value)
	}
	request, err := cehttp.NewHTTPRequestFromEvent(ctx, d.cfg.Sink, event)
	if err != nil {
		return fmt.Errorf("%w: %w", errRefused, err)
	}
	inject(request)
	if err := d.authorize(request); err != nil {
		return fmt.Errorf("sink: token: %w", err)
	}
	response, err := d.client.Do(request)
	if err != nil {
		return fmt.Errorf("sink: %w", err)
	}
	defer response.Body.Close()
	// So that the connection can be used again. Where it breaks off, the status says all the same what became of the event.
	answer, _ := io.ReadAll(io.LimitReader(response.Body, 1<<10))
	switch status := response.StatusCode; {
	case status/100 == 2:
		return nil
	case status == http.StatusBadRequest:
		return fmt.Errorf("%w by the sink: %s", errRefused, bytes.TrimSpace(answer))
	default:
		return fmt.Errorf("sink: status %d", status)
	}
}
