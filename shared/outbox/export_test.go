package outbox

import (
	"context"
	"time"

	"github.com/insights-onprem/cost-sources/shared/store"
)

// SendUnder sends events under a lease that ends then.
func (d *Dispatcher) SendUnder(ctx context.Context, sourceID int64, events []store.Queued, until time.Time) (int, error) {
	sent, _, err := sending{d, d.db, sourceID}.sendUntil(ctx, ctx, events, until)
	return sent, err
}

// ReadTokenFrom is for a dispatcher that has not been woken yet.
func (d *Dispatcher) ReadTokenFrom(path string) { d.tokenFile = path }
