// Package sourcesapi serves /sources and /source_types (contract section 2).
package sourcesapi

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strconv"
	"time"

	"github.com/insights-onprem/cost-sources/shared/events"
	"github.com/insights-onprem/cost-sources/shared/httpapi"
	"github.com/insights-onprem/cost-sources/shared/identity"
	"github.com/insights-onprem/cost-sources/shared/outbox"
	"github.com/insights-onprem/cost-sources/shared/sources"
	"github.com/insights-onprem/cost-sources/shared/store"
)

// Config is what the function reads from the environment.
type Config struct {
	Database store.Config
	Outbox   outbox.Config
	Identity identity.Config

	// RefRequired refuses sources without a cluster, as some installations expect.
	RefRequired bool `envconfig:"SOURCE_REF_REQUIRED"`
	// CreateWait is how long a POST waits for the provider: a metrics operator uploads right after the
	// answer, and what is uploaded without a provider is dropped.
	CreateWait time.Duration `envconfig:"CREATE_WAIT"`
}

// maxCreateWait leaves a request time for the rest of its work.
const maxCreateWait = 15 * time.Second

// How often a waiting POST looks for its provider, at first and at last.
const (
	firstPoll = 25 * time.Millisecond
	lastPoll  = 500 * time.Millisecond
)

// Validate reports the variables that cannot be.
func (c Config) Validate() error {
	if c.CreateWait < 0 || c.CreateWait > maxCreateWait {
		return fmt.Errorf("CREATE_WAIT: between 0s and %v", maxCreateWait)
	}
	return errors.Join(c.Database.Validate(), c.Outbox.Validate(), c.Identity.Validate())
}

type api struct {
	cfg  Config
	db   *store.Store
	wake func(sources.Source) // says that events of the source have been committed
}

// New serves the API. wake is called with a source after each commit that put events of it into the
// outbox.
func New(cfg Config, db *store.Store, wake func(sources.Source)) http.Handler {
	a := api{cfg: cfg, db: db, wake: wake}
	routes := append(
		httpapi.Types("/source_types", httpapi.Type{ID: strconv.Itoa(sources.TypeID), Name: sources.TypeName},
			sources.IsTypeID, "No SourceTypes matches the given query."),
		httpapi.Route{Path: "/sources", Methods: map[string]httpapi.HandlerFunc{"GET": a.list, "POST": a.create}},
		httpapi.Route{Path: "/sources/{id}", Methods: map[string]httpapi.HandlerFunc{"GET": a.get, "PATCH": a.change, "DELETE": a.delete}},
		httpapi.Route{Path: "/sources/{id}/stats", Methods: map[string]httpapi.HandlerFunc{"GET": a.stats}},
	)
	return httpapi.Routes(identity.New(cfg.Identity).Require, routes...)
}

// own is the store as the caller's organization sees it.
func (a api) own(r *http.Request) *store.Store { return a.db.For(identity.OrgID(r.Context())) }

// fields are what the list of sources can be filtered and ordered by.
var fields = httpapi.Fields{
	"name":                {Search: true, Order: true},
	"type":                {Search: true},
	"source_type":         {Order: true},
	"source_type_id":      httpapi.ID,
	"source_ref":          {},
	"uuid":                httpapi.UUID,
	"paused":              httpapi.Bool,
	"availability_status": {},
	"created_timestamp":   {Order: true, Unfiltered: true},
	"updated_timestamp":   {Order: true, Unfiltered: true},
}

func (a api) list(w http.ResponseWriter, r *http.Request) error {
	q, err := httpapi.ParseQuery(r, fields)
	if err != nil {
		return err
	}
	org := identity.OrgID(r.Context())
	var count int
	views, err := a.views(r.Context(), org, func(db *store.Store) (page []sources.Source, err error) {
		page, count, err = db.Sources(r.Context(), org, q)
		return page, err
	})
	if err != nil {
		return err
	}
	return httpapi.WriteList(w, r, q, count, views)
}

func (a api) get(w http.ResponseWriter, r *http.Request) error {
	ref, err := httpapi.PathRef(r)
	if err != nil {
		return err
	}
	include, err := httpapi.ParseInclude(r)
	if err != nil {
		return err
	}
	org := identity.OrgID(r.Context())
	var src sources.Source
	views, err := a.views(r.Context(), org, func(db *store.Store) ([]sources.Source, error) {
		src, err = db.SourceWith(r.Context(), org, ref, include)
		return []sources.Source{src}, err
	})
	if err != nil {
		return err
	}
	if include.Deleted {
		views[0].deletion = &deletion{sources.TimeOf(src.DeletedAt), src.Removal()}
	}
	return httpapi.WriteJSON(w, http.StatusOK, views[0])
}

func (a api) create(w http.ResponseWriter, r *http.Request) error {
	raw, err := httpapi.ReadRaw(w, r)
	if err != nil {
		return err
	}
	key, err := httpapi.IdempotencyKey(r, identity.OrgID(r.Context()), raw)
	if err != nil {
		return err
	}
	var made sources.Source // stays empty where an earlier answer is given again
	answer, err := a.own(r).Once(r.Context(), key, httpapi.Refused, func(tx *store.Store) (sources.Answer, error) {
		src, err := a.store(r.Context(), tx, raw)
		if err != nil {
			return sources.Answer{}, err
		}
		made = src
		return httpapi.Answer(http.StatusCreated, viewOf(made, sources.Details{}))
	})
	if err != nil {
		return err
	}
	if made.ID == 0 {
		httpapi.WriteAnswer(w, answer)
		return nil
	}
	a.wake(made)
	if a.cfg.CreateWait > 0 && made.State == sources.Pending {
		err := a.reply(w, r, http.StatusCreated, a.await(r.Context(), made))
		if err == nil {
			return nil
		}
		slog.WarnContext(r.Context(), "a source is answered as it was when it was made", "err", err)
	}
	// What is committed is never answered with an error: a client that tries again would only be told of a duplicate.
	httpapi.WriteAnswer(w, answer)
	return nil
}

func (a api) store(ctx context.Context, tx *store.Store, raw []byte) (sources.Source, error) {
	body, err := httpapi.ParseJSON(raw)
	if err != nil {
		return sources.Source{}, err
	}
	draft, err := a.newSource(body)
	if err != nil {
		return sources.Source{}, err
	}
	caller := identity.From(ctx)
	draft.OrgID, draft.AccountNumber = caller.OrgID, caller.AccountNumber
	src, err := tx.CreateSource(ctx, draft)
	if err != nil {
		return src, err
	}
	return src, save(ctx, tx, &src, src.ClusterID != "", events.SourceCreated)
}

// await waits until the provider of src is linked, or for as long as CREATE_WAIT says, and returns src as it
// is then. The wait is polled for, as a listening connection would be bound to a session.
func (a api) await(ctx context.Context, src sources.Source) sources.Source {
	ctx, cancel := context.WithTimeout(ctx, a.cfg.CreateWait)
	defer cancel()
	for pause := firstPoll; src.State == sources.Pending; pause = min(2*pause, lastPoll) {
		select {
		case <-ctx.Done():
			return src
		case <-time.After(pause):
		}
		now, err := a.db.For(src.OrgID).Source(ctx, src.OrgID, sources.Ref{ID: src.ID})
		if err != nil {
			return src // the source is made; what has become of it is for another request to ask
		}
		src = now
	}
	return src
}

// save stores a changed source with its event. Where it has just got its first cluster it also gets its
// application, so that the source alone is enough.
func save(ctx context.Context, tx *store.Store, src *sources.Source, firstCluster bool, changed store.EventFunc) error {
	if firstCluster && src.Attach() {
		return tx.SaveSource(ctx, src, changed, events.ApplicationCreated)
	}
	return tx.SaveSource(ctx, src, changed)
}

func (a api) change(w http.ResponseWriter, r *http.Request) error {
	ref, err := httpapi.PathRef(r)
	if err != nil {
		return err
	}
	body, err := httpapi.ReadJSON(w, r)
	if err != nil {
		return err
	}
	edit, err := readEdit(body)
	if err != nil {
		return err
	}
	var src sources.Source
	err = a.own(r).InTx(r.Context(), func(tx *store.Store) error {
		if src, err = tx.LockSource(r.Context(), identity.OrgID(r.Context()), ref); err != nil {
			return err
		}
		return save(r.Context(), tx, &src, edit.apply(&src), events.SourceUpdated)
	})
	if err != nil {
		return err
	}
	a.wake(src)
	return a.reply(w, r, http.StatusOK, src)
}

func (a api) delete(w http.ResponseWriter, r *http.Request) error {
	ref, err := httpapi.PathRef(r)
	if err != nil {
		return err
	}
	var src sources.Source
	err = a.own(r).InTx(r.Context(), func(tx *store.Store) error {
		if src, err = tx.LockSource(r.Context(), identity.OrgID(r.Context()), ref); err != nil {
			return err
		}
		gone := []store.EventFunc{events.SourceDeleted}
		if src.HasApplication() {
			gone = []store.EventFunc{events.ApplicationDeleted, events.SourceDeleted}
		}
		src.MarkDeleted(time.Now())
		return tx.SaveSource(r.Context(), &src, gone...)
	})
	if err != nil {
		return err
	}
	a.wake(src)
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func (a api) stats(w http.ResponseWriter, r *http.Request) error {
	ref, err := httpapi.PathRef(r)
	if err != nil {
		return err
	}
	org := identity.OrgID(r.Context())
	src, err := a.own(r).Source(r.Context(), org, ref)
	if err != nil {
		return err
	}
	stats, err := a.own(r).Stats(r.Context(), org, src)
	if err != nil {
		return err
	}
	return httpapi.WriteJSON(w, http.StatusOK, statsView(stats))
}

func (a api) reply(w http.ResponseWriter, r *http.Request, status int, src sources.Source) error {
	views, err := a.views(r.Context(), src.OrgID, func(*store.Store) ([]sources.Source, error) { return []sources.Source{src}, nil })
	if err != nil {
		return err
	}
	return httpapi.WriteJSON(w, status, views[0])
}
