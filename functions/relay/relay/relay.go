// Package relay sends what waits in the outbox and asks for work that was promised and not done (contract
// section 5).
package relay

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"time"

	cloudevents "github.com/cloudevents/sdk-go/v2"

	"github.com/insights-onprem/cost-sources/shared/events"
	"github.com/insights-onprem/cost-sources/shared/outbox"
	"github.com/insights-onprem/cost-sources/shared/store"
)

// Config is what the function reads from the environment.
type Config struct {
	Database store.Config
	Outbox   outbox.Config
}

// Validate reports the variables that cannot be.
func (c Config) Validate() error { return errors.Join(c.Database.Validate(), c.Outbox.Validate()) }

// One ping is bounded: it has events.HandleWithin, of which no part that does not come to an end takes what the
// others need.
const (
	tidyWithin    = 20 * time.Second
	drainWithin   = 30 * time.Second
	repairWithin  = 12 * time.Second
	maxRepairs    = 1000 // sources asked again by one ping
	repairsAtOnce = 100  // asked again before they are sent
)

type relay struct {
	db     *store.Store
	outbox *outbox.Dispatcher
	gauges []gauge
}

// New receives the pings of a PingSource. Each does all that is due, within its time; two at once do no
// harm, as every source is leased by one of them.
func New(db *store.Store, dispatcher *outbox.Dispatcher) http.Handler {
	return events.Handle(relay{db: db, outbox: dispatcher, gauges: newGauges()}.run, "dev.knative.sources.ping")
}

// run does each of its parts whatever becomes of the others, and answers 503 if anything was left over: the
// ping comes again then.
//
// It records that it ran, which an operator alerts on (contract section 6), also where single sources fail:
// they show in the outbox's depth and age, and one that fails for ever must not make the relay look dead.
// Where the sink is away, or a part could not be done at all, it has not run.
func (r relay) run(ctx context.Context, _ cloudevents.Event) error {
	parts := []error{r.tidy(ctx), r.drain(ctx), r.repair(ctx)}
	r.observe(ctx)
	err := errors.Join(parts...)
	if slices.ContainsFunc(parts, isUndone) {
		return err
	}
	return errors.Join(err, r.db.RelayRan(ctx))
}

// isUndone: more than single sources failed.
func isUndone(err error) bool {
	return err != nil && !errors.Is(err, outbox.ErrUnsent) || errors.Is(err, outbox.ErrAway)
}

func (r relay) tidy(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, tidyWithin)
	defer cancel()
	return r.db.Tidy(ctx)
}

func (r relay) drain(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, drainWithin)
	defer cancel()
	return r.outbox.Drain(ctx)
}

// repair asks again for what is due, and sends that, until the sink is away. It finds that out for itself:
// where a part of the sink fails, what waits for that part is in the end all that a drain meets, and the
// rest of the sources would go without repair. So a sink that is away costs repairsAtOnce events, which
// wait, and are not asked again before they are sent.
func (r relay) repair(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, repairWithin)
	defer cancel()
	due, err := r.db.Due(ctx, maxRepairs)
	for keys := range slices.Chunk(due, repairsAtOnce) {
		asked, failed := r.ask(ctx, keys)
		err = errors.Join(err, failed, r.outbox.Send(ctx, asked))
		if ctx.Err() != nil || errors.Is(err, outbox.ErrAway) {
			break
		}
	}
	return err
}

// ask puts an event of each source that is still due into the outbox, and returns which those are.
func (r relay) ask(ctx context.Context, keys []store.Key) (asked []int64, err error) {
	for _, key := range keys {
		done, failed := r.db.Repair(ctx, key, events.Repair)
		if failed != nil {
			err = errors.Join(err, fmt.Errorf("%w: repair of source %d: %w", outbox.ErrUnsent, key.ID, failed))
		}
		if done {
			asked = append(asked, key.ID)
		}
	}
	slog.InfoContext(ctx, "asked again for undone work", "sources", len(asked))
	return asked, err
}
