package outbox

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"golang.org/x/sync/errgroup"
)

const (
	drainPage = 200 // sources looked for at once
	// maxFailed sources in one drain mean that it is the sink that is away.
	maxFailed = 50
)

// Drain sends everything that waits in the outbox, until ctx ends. Sources that fail do not hold up the
// others; their errors are joined in the one that is returned.
func (d *Dispatcher) Drain(ctx context.Context) error {
	failed := failures{}
	for len(failed.ids) < maxFailed {
		waiting, err := d.db.Waiting(ctx, drainPage, failed.ids)
		if err != nil {
			return errors.Join(failed.err, err)
		}
		if len(waiting) == 0 {
			break
		}
		d.drainPage(ctx, waiting, &failed)
	}
	return failed.err
}

func (d *Dispatcher) drainPage(ctx context.Context, waiting []int64, failed *failures) {
	var group errgroup.Group
	group.SetLimit(workers)
	for _, id := range waiting {
		group.Go(func() error {
			if failed.count() < maxFailed {
				failed.add(id, d.send(ctx, id))
			}
			return nil
		})
	}
	_ = group.Wait() // none of them returns an error
}

// failures are the sources of a drain whose events could not be sent.
type failures struct {
	mu  sync.Mutex
	ids []int64
	err error
}

func (f *failures) count() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.ids)
}

func (f *failures) add(id int64, err error) {
	if err == nil {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.ids = append(f.ids, id)
	f.err = errors.Join(f.err, fmt.Errorf("source %d: %w", id, err))
}
