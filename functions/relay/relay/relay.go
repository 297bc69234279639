// Package relay sends what waits in the outbox and asks for work that was promised and not done (contract
// section 5).
package relay

import (
	"context"
	"errors"
	"log/slog"
	"net/http"

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

// maxRepairs is how many sources one ping asks for again at most.
const maxRepairs = 1000

type relay struct {
	db     *store.Store
	outbox *outbox.Dispatcher
}

// New receives the pings of a PingSource. Each does all that is due, within its time; two at once do no
// harm, as every source is leased by one of them.
func New(db *store.Store, dispatcher *outbox.Dispatcher) http.Handler {
	return events.Handle(relay{db: db, outbox: dispatcher}.run, "dev.knative.sources.ping")
}

func (r relay) run(ctx context.Context, _ cloudevents.Event) error {
	if err := r.outbox.Drain(ctx); err != nil {
		return err // nothing that is asked for now would arrive
	}
	if err := r.db.Tidy(ctx); err != nil {
		return err
	}
	if err := r.repair(ctx); err != nil {
		return err
	}
	return r.db.RelayRan(ctx)
}

// repair asks again for what is due, and sends that.
func (r relay) repair(ctx context.Context) error {
	due, err := r.db.Due(ctx, maxRepairs)
	if err != nil || len(due) == 0 {
		return err
	}
	asked := 0
	for _, key := range due {
		done, err := r.db.Repair(ctx, key, events.Repair)
		if err != nil {
			return err
		}
		if done {
			asked++
		}
	}
	slog.InfoContext(ctx, "asked again for undone work", "sources", asked)
	return r.outbox.Drain(ctx)
}
