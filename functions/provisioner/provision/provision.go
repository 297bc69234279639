// Package provision makes the provider of a source match the source (contract section 5).
package provision

import (
	"context"
	"log/slog"
	"net/http"
	"time"

	cloudevents "github.com/cloudevents/sdk-go/v2"
	"go.opentelemetry.io/otel/metric"
	"golang.org/x/sync/semaphore"
	"golang.org/x/sync/singleflight"

	"github.com/insights-onprem/cost-sources/migrations"
	"github.com/insights-onprem/cost-sources/shared/events"
	"github.com/insights-onprem/cost-sources/shared/sources"
	"github.com/insights-onprem/cost-sources/shared/store"
)

// Config is what the function reads from the environment.
type Config struct {
	Database store.Config

	// TemplateSchema is the schema that Koku makes its tenants from; empty where there is no Koku.
	TemplateSchema string `envconfig:"TENANT_TEMPLATE_SCHEMA"`
}

// Validate reports the variables that cannot be.
func (c Config) Validate() error { return c.Database.Validate() }

// The paths of the function, each the sink of a KafkaSource with a group of its own: every event comes both ways.
const (
	// ProvidersPath, like every other path, is where what takes moments is done: all but the making of tenants.
	ProvidersPath = "/"
	// TenantsPath is where tenants are made, and the providers that waited for them. In a queue of their own, new
	// organizations hold up nobody but each other, however many they are and however long their schemas take.
	TenantsPath = "/tenants"
)

type provisioner struct {
	db         *store.Store
	makeSchema store.SchemaFunc
	making     *singleflight.Group // of tenants, by organization
	makers     *semaphore.Weighted // at most so many at once
	delay      metric.Float64Histogram
}

// New receives our events. Each is a hint to look at the registry row of a source, nothing more: what is
// to be done stands there, so that an event may come twice, late, in any order, or from a forger.
func New(cfg Config, db *store.Store) http.Handler {
	p := provisioner{db: db, makeSchema: migrations.NewTenant, making: &singleflight.Group{},
		// The other half of the connections is for those whose tenant is there.
		makers: semaphore.NewWeighted(max(1, int64(cfg.Database.MaxConns)/2)), delay: newHistogram()}
	if cfg.TemplateSchema != "" {
		p.makeSchema = cloneOf(cfg.TemplateSchema)
	}
	providers, tenants := p.receive(p.update), p.receive(p.settle)
	// No ServeMux: its 404 and its redirects are no answers to an event.
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == TenantsPath {
			r.Pattern = TenantsPath
			tenants.ServeHTTP(w, r)
			return
		}
		providers.ServeHTTP(w, r)
	})
}

func (p provisioner) receive(look lookFunc) http.Handler {
	return events.Handle(p.looking(look),
		events.TypeSourceCreate, events.TypeSourceUpdate, events.TypeSourceDelete,
		events.TypeApplicationCreate, events.TypeApplicationUpdate, events.TypeApplicationDelete)
}

// A lookFunc does what is to be done for a source that the provisioner is behind with.
type lookFunc func(ctx context.Context, src sources.Source) error

// looking reads the source that an event names, and calls look where there is something to do for it. What a person
// has to mend is recorded.
func (p provisioner) looking(look lookFunc) func(context.Context, cloudevents.Event) error {
	return func(ctx context.Context, event cloudevents.Event) error {
		id, err := events.SourceID(event)
		if err != nil {
			return err
		}
		src, err := p.db.Registered(ctx, id)
		switch {
		case sources.KindOf(err) == sources.NotFound:
			return nil // not ours
		case err != nil:
			return err
		case src.UpToDate():
			return nil
		}
		err = look(ctx, src)
		if sources.KindOf(err) == sources.Blocked {
			slog.WarnContext(ctx, "provider cannot be made", "source", src.ID, "err", err)
			return p.db.FailProvider(ctx, src, err.Error())
		}
		return err
	}
}

// update removes or makes a provider. Where the tenant is missing the same event makes both on its other way; it
// does so also where the tenant has come to be since.
func (p provisioner) update(ctx context.Context, src sources.Source) error {
	if src.WantsRemoval() || src.ProviderDetachedAt != nil {
		if err := p.remove(ctx, src); err != nil {
			return err
		}
	}
	switch {
	case src.WantsRemoval():
		return nil
	case !src.WantsProvider():
		return p.db.Observe(ctx, src)
	}
	err := p.provide(ctx, src, false)
	if sources.KindOf(err) == sources.NotFound {
		return nil // the tenant is, or even the source by now
	}
	return err
}

// settle makes the tenant, in a transaction of its own as it may take seconds, and then the provider, also where the
// tenant has come to be since the event was on its other way. That the provider cannot be made once more is for that way
// to count.
func (p provisioner) settle(ctx context.Context, src sources.Source) error {
	if !src.WantsProvider() {
		return nil
	}
	there, err := p.db.HasTenant(ctx, src.OrgID)
	if err == nil && !there {
		err = p.ensureTenant(ctx, src)
	}
	if err != nil {
		return err
	}
	err = p.provide(ctx, src, !there)
	if there && src.State == sources.Failed && sources.KindOf(err) == sources.Blocked {
		return nil
	}
	return err
}

// ensureTenant has those who want the same tenant wait for one maker of it, and only that one hold a connection.
func (p provisioner) ensureTenant(ctx context.Context, src sources.Source) error {
	made := p.making.DoChan(src.OrgID, func() (any, error) {
		// It is not only for the event that happened to be first, whose sender may give up.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), events.HandleWithin)
		defer cancel()
		if err := p.makers.Acquire(ctx, 1); err != nil {
			return nil, err
		}
		defer p.makers.Release(1)
		return nil, p.db.EnsureTenant(ctx, src, p.makeSchema)
	})
	select {
	case result := <-made:
		return result.Err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// provide makes the provider. A change that comes in between is seen under the lock; where it leaves nothing to
// provide for, its own event sees to the rest.
func (p provisioner) provide(ctx context.Context, src sources.Source, newTenant bool) error {
	var changedAt time.Time // of what has been provided
	err := p.locked(ctx, src, func(tx *store.Store, src sources.Source) error {
		if src.UpToDate() || !src.WantsProvider() || src.ProviderDetachedAt != nil {
			return nil
		}
		changedAt = src.UpdatedAt
		return tx.PutProvider(ctx, src)
	})
	if err == nil && !changedAt.IsZero() {
		p.record(ctx, changedAt, newTenant)
	}
	return err
}

// remove takes the provider out of use at once, then removes what refers to it, which may take more than
// one event's time, and then the provider. Once begun it is finished, also where the source has got an
// application again meanwhile: what is half gone is of no use.
func (p provisioner) remove(ctx context.Context, src sources.Source) error {
	done := false
	err := p.locked(ctx, src, func(tx *store.Store, now sources.Source) error {
		if done = !now.WantsRemoval() && now.ProviderDetachedAt == nil; done {
			return nil
		}
		exists, err := tx.DetachProvider(ctx, &now)
		src = now
		if done = !exists; err != nil || exists {
			return err
		}
		return tx.FinishRemoval(ctx, now)
	})
	if err != nil || done {
		return err
	}
	if err := p.db.RemoveReferences(ctx, src); err != nil {
		return err
	}
	return p.locked(ctx, src, func(tx *store.Store, now sources.Source) error {
		if !now.DetachedWith(src) {
			return nil // somebody else has finished; a new one may be there already, or on its way out
		}
		return tx.FinishRemoval(ctx, now)
	})
}

// locked runs do with the registry row of src locked, and as it is now.
func (p provisioner) locked(ctx context.Context, src sources.Source, do func(tx *store.Store, now sources.Source) error) error {
	return p.db.InTx(ctx, func(tx *store.Store) error {
		now, err := tx.LockRegistered(ctx, src.OrgID, sources.Ref{ID: src.ID})
		if err != nil {
			return err
		}
		return do(tx, now)
	})
}
