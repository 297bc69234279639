// Package provision makes the provider of a source match the source (contract section 5).
package provision

import (
	"context"
	"log/slog"
	"net/http"

	cloudevents "github.com/cloudevents/sdk-go/v2"
	"github.com/jackc/pgx/v5"

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

type provisioner struct {
	db         *store.Store
	makeSchema store.SchemaFunc
}

// New receives our events. Each is a hint to look at the registry row of a source, nothing more: what is
// to be done stands there, so that an event may come twice, late, in any order, or from a forger.
func New(cfg Config, db *store.Store) http.Handler {
	p := provisioner{db: db, makeSchema: migrations.NewTenant}
	if cfg.TemplateSchema != "" {
		p.makeSchema = cloneOf(cfg.TemplateSchema)
	}
	return events.Handle(p.look,
		events.TypeSourceCreate, events.TypeSourceUpdate, events.TypeSourceDelete,
		events.TypeApplicationCreate, events.TypeApplicationUpdate, events.TypeApplicationDelete)
}

func (p provisioner) look(ctx context.Context, event cloudevents.Event) error {
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
	if !src.WantsProvider() || src.ProviderDetachedAt != nil {
		if err := p.remove(ctx, src); err != nil {
			return err
		}
	}
	if !src.WantsProvider() {
		return nil
	}
	err = p.provide(ctx, src)
	if sources.KindOf(err) == sources.Blocked {
		slog.WarnContext(ctx, "provider cannot be made", "source", src.ID, "err", err)
		return p.db.FailProvider(ctx, src, err.Error())
	}
	return err
}

// provide makes the tenant, in a transaction of its own as it may take seconds, and then the provider. A
// change that comes in between is seen under the lock; where it leaves nothing to provide for, its own
// event sees to the rest.
func (p provisioner) provide(ctx context.Context, src sources.Source) error {
	if err := p.db.EnsureTenant(ctx, src, p.makeSchema); err != nil {
		return err
	}
	return p.locked(ctx, src, func(tx *store.Store, src sources.Source) error {
		if src.UpToDate() || !src.WantsProvider() || src.ProviderDetachedAt != nil {
			return nil
		}
		return tx.PutProvider(ctx, src)
	})
}

// remove takes the provider out of use at once, then removes what refers to it, which may take more than
// one event's time, and then the provider. Once begun it is finished, also where the source has got an
// application again meanwhile: what is half gone is of no use.
func (p provisioner) remove(ctx context.Context, src sources.Source) error {
	done := false
	err := p.locked(ctx, src, func(tx *store.Store, now sources.Source) error {
		if done = now.WantsProvider() && now.ProviderDetachedAt == nil; done {
			return nil
		}
		exists, err := tx.DetachProvider(ctx, now)
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
		if now.WantsProvider() && now.ProviderDetachedAt == nil {
			return nil // somebody else has finished, and a new one may be there already
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

// cloneOf makes tenants as Koku does. Its function reports by false that there is no such template.
func cloneOf(template string) store.SchemaFunc {
	return func(ctx context.Context, tx pgx.Tx, schema string) error {
		var done bool
		err := tx.QueryRow(ctx, `SELECT public.clone_schema($1, $2, copy_data => true)`, template, schema).Scan(&done)
		if err == nil && !done {
			return &sources.Error{Kind: sources.Blocked, Msg: "The template schema " + template + " does not exist."}
		}
		return err
	}
}
