package outbox

import (
	"context"
	"errors"
)

// maxFailed sources that fail one after the other, without an event accepted in between, mean that it is
// the sink that is away.
const maxFailed = 50

var (
	// ErrUnsent is the error of a drain that did its part, though events of some sources could not be sent
	// or its time was over.
	ErrUnsent = errors.New("events were not sent")
	// ErrAway is the error of a drain that was given up.
	ErrAway = errors.New("the sink is away")
)

// Drain sends everything that waits in the outbox, what has waited longest first, until ctx ends. Sources
// that fail do not hold up the others: the error is ErrUnsent then, ErrAway where all fail, and any other
// where the outbox cannot be read. After ErrAway the next drain begins where this one gave up, as a crowd in
// front that always fails looks just like it.
func (d *Dispatcher) Drain(ctx context.Context) error {
	r := newDraining(d)
	if place := d.gaveUp.Swap(nil); place != nil {
		r.place = *place
	}
	for more := true; more && !r.isOver(ctx); {
		var err error
		if more, err = r.walk(ctx); err != nil && ctx.Err() == nil {
			return errors.Join(err, r.err)
		}
	}
	err := r.outcome(ctx)
	if errors.Is(err, ErrAway) {
		d.gaveUp.Store(&r.place)
	}
	return err
}

// Send is Drain for some sources.
func (d *Dispatcher) Send(ctx context.Context, sourceIDs []int64) error {
	r := newDraining(d)
	for _, id := range sourceIDs {
		if r.isOver(ctx) {
			break
		}
		r.begin(ctx, id)
	}
	_ = r.group.Wait() // none of them returns an error
	return r.outcome(ctx)
}
