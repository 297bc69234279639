package outbox

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/insights-onprem/cost-sources/shared/store"
)

const (
	drainPage = 200 // events looked at, to find the sources they are of
	maxShown  = 10  // errors of sources that failed
)

// A draining is one drain, with what has failed in it.
type draining struct {
	*Dispatcher
	group errgroup.Group
	place store.Place // how far it has come

	mu       sync.Mutex
	failed   map[int64]bool
	sent     int
	failures int // since an event was accepted
	err      error
}

func newDraining(d *Dispatcher) *draining {
	r := &draining{Dispatcher: d, failed: map[int64]bool{}}
	r.group.SetLimit(drainers)
	return r
}

// walk goes through the outbox, from r.place to the end, and begins each source that it meets and that has
// not failed. It reports whether there may be more: while it sent something, more may have come behind its
// back. Where it found leases taken, their owners see to that. It does not wait for a source before it goes
// on, so one with many events keeps one worker busy and no more.
func (r *draining) walk(ctx context.Context) (more bool, err error) {
	begun, before, partly := map[int64]bool{}, r.sent, r.place != store.Place{}
	for !r.isOver(ctx) {
		var page []store.Place
		page, err = r.db.Waiting(ctx, r.place, drainPage)
		if err != nil || len(page) == 0 {
			r.place = store.Place{}
			break
		}
		r.beginAll(ctx, page, begun)
	}
	_ = r.group.Wait() // none of them returns an error
	return partly || r.sent > before, err
}

// beginAll begins the sources of a page that are not among the begun, and adds them.
func (r *draining) beginAll(ctx context.Context, page []store.Place, begun map[int64]bool) {
	for _, place := range page {
		if r.isOver(ctx) {
			return
		}
		if id := place.SourceID; !begun[id] && !r.hasFailed(id) {
			begun[id] = true
			r.begin(ctx, id)
		}
		r.place = place
	}
}

// begin waits for a free worker, who sends the events of a source.
func (r *draining) begin(ctx context.Context, sourceID int64) {
	r.group.Go(func() error {
		sent, err := sending{r.Dispatcher, r.db, sourceID}.send(ctx)
		r.note(ctx, sourceID, sent, err)
		return nil
	})
}

func (r *draining) note(ctx context.Context, sourceID int64, sent int, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.sent += sent; sent > 0 {
		r.failures = 0
	}
	if err == nil || ctx.Err() != nil { // cut off is not failed
		return
	}
	r.failures++
	r.failed[sourceID] = true
	if len(r.failed) <= maxShown {
		r.err = errors.Join(r.err, fmt.Errorf("source %d: %w", sourceID, err))
	}
}

func (r *draining) hasFailed(sourceID int64) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.failed[sourceID]
}

// isOver: no more is to be begun.
func (r *draining) isOver(ctx context.Context) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return ctx.Err() != nil || r.failures >= maxFailed
}

// outcome is the error of a drain that has ended.
func (r *draining) outcome(ctx context.Context) error {
	switch {
	case r.failures >= maxFailed:
		return fmt.Errorf("%w: %w", ErrAway, r.err)
	case ctx.Err() != nil:
		return errors.Join(fmt.Errorf("%w: %w", ErrUnsent, context.Cause(ctx)), r.err)
	case r.err != nil:
		return fmt.Errorf("%w, of %d sources: %w", ErrUnsent, len(r.failed), r.err)
	}
	return nil
}
