// Package applicationsapi serves /applications and /application_types (contract section 2).
package applicationsapi

import (
	"context"
	"errors"
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
}

// Validate reports the variables that cannot be.
func (c Config) Validate() error {
	return errors.Join(c.Database.Validate(), c.Outbox.Validate(), c.Identity.Validate())
}

type api struct {
	db   *store.Store
	wake func(sources.Source) // says that events of the source have been committed
}

// New serves the API. wake is called with a source after each commit that put events of it into the
// outbox.
func New(cfg Config, db *store.Store, wake func(sources.Source)) http.Handler {
	a := api{db: db, wake: wake}
	routes := append(
		httpapi.Types("/application_types", httpapi.Type{ID: strconv.Itoa(sources.ApplicationTypeID), Name: sources.ApplicationTypeName},
			sources.IsApplicationTypeID, "No ApplicationTypes matches the given query."),
		httpapi.Route{Path: "/applications", Methods: map[string]httpapi.HandlerFunc{"GET": a.list, "POST": a.create}},
		httpapi.Route{Path: "/applications/{id}", Methods: map[string]httpapi.HandlerFunc{"GET": a.get, "PATCH": a.change, "DELETE": a.delete}},
	)
	return httpapi.Routes(identity.New(cfg.Identity).Require, routes...)
}

// own is the store as the caller's organization sees it.
func (a api) own(r *http.Request) *store.Store { return a.db.For(identity.OrgID(r.Context())) }

// fields are what the list of applications can be filtered and ordered by.
var fields = httpapi.Fields{
	"source_id":           httpapi.ID,
	"application_type_id": httpapi.ID,
	"created_timestamp":   {Order: true, Unfiltered: true},
	"updated_timestamp":   {Order: true, Unfiltered: true},
}

func (a api) list(w http.ResponseWriter, r *http.Request) error {
	q, err := httpapi.ParseQuery(r, fields)
	if err != nil {
		return err
	}
	page, count, err := a.own(r).Applications(r.Context(), identity.OrgID(r.Context()), q)
	if err != nil {
		return err
	}
	views := make([]view, 0, len(page))
	for _, src := range page {
		views = append(views, viewOf(src))
	}
	return httpapi.WriteList(w, r, q, count, views)
}

func (a api) get(w http.ResponseWriter, r *http.Request) error {
	id, err := pathID(r)
	if err != nil {
		return err
	}
	org := identity.OrgID(r.Context())
	ref, err := a.own(r).SourceOfApplication(r.Context(), org, id)
	if err != nil {
		return err
	}
	src, err := a.own(r).Source(r.Context(), org, ref)
	if err != nil || !hasApplication(src, id) {
		return orNoApplication(err)
	}
	return httpapi.WriteJSON(w, http.StatusOK, viewOf(src))
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
	var changed sources.Source // stays empty where an earlier answer is given again
	answer, err := a.own(r).Once(r.Context(), key, httpapi.Refused, func(tx *store.Store) (sources.Answer, error) {
		src, err := attachTo(r.Context(), tx, raw)
		if err != nil {
			return sources.Answer{}, err
		}
		changed = src
		return httpapi.Answer(http.StatusCreated, viewOf(changed))
	})
	if err != nil {
		return err
	}
	if changed.ID != 0 {
		a.wake(changed)
	}
	httpapi.WriteAnswer(w, answer)
	return nil
}

// attachTo gives the source that the body names the application that it describes.
func attachTo(ctx context.Context, tx *store.Store, raw []byte) (src sources.Source, err error) {
	body, err := httpapi.ParseJSON(raw)
	if err != nil {
		return src, err
	}
	sourceID, err := readSourceID(body)
	if err != nil {
		return src, err
	}
	extra, err := readExtra(body)
	if err != nil {
		return src, err
	}
	id, ok := sources.ParseID(sourceID)
	if ok {
		src, err = edit(ctx, tx, identity.OrgID(ctx), sources.Ref{ID: id}, func(src *sources.Source) ([]store.EventFunc, error) {
			return attach(src, extra)
		})
	}
	if !ok || sources.KindOf(err) == sources.NotFound {
		return src, sources.NotFoundf("Source %s not found", sourceID)
	}
	return src, err
}

// attach gives src its application, or the one that it has what extra says.
func attach(src *sources.Source, extra sources.Object) ([]store.EventFunc, error) {
	event := events.ApplicationUpdated
	if src.Attach() {
		event = events.ApplicationCreated
	}
	return merge(src, extra, event)
}

// merge gives the application of src what extra says, the cluster among it. A first cluster is a change
// of the source too, and told before that of the application.
func merge(src *sources.Source, extra sources.Object, event store.EventFunc) ([]store.EventFunc, error) {
	told := []store.EventFunc{event}
	cluster, err := readCluster(extra)
	if err != nil {
		return nil, err
	}
	switch {
	case cluster == "" || cluster == src.ClusterID:
	case src.ClusterID != "":
		return nil, sources.Invalidf("extra", "The source belongs to another cluster.")
	default:
		src.SetCluster(cluster)
		told = []store.EventFunc{events.SourceUpdated, event}
	}
	return told, src.Application.Merge(extra, src.ClusterID)
}

func (a api) change(w http.ResponseWriter, r *http.Request) error {
	id, err := pathID(r)
	if err != nil {
		return err
	}
	body, err := httpapi.ReadJSON(w, r)
	if err != nil {
		return err
	}
	extra, err := readExtra(body)
	if err != nil {
		return err
	}
	src, err := a.editApplication(r.Context(), identity.OrgID(r.Context()), id, func(src *sources.Source) ([]store.EventFunc, error) {
		return merge(src, extra, events.ApplicationUpdated)
	})
	if err != nil {
		return err
	}
	return httpapi.WriteJSON(w, http.StatusOK, viewOf(src))
}

func (a api) delete(w http.ResponseWriter, r *http.Request) error {
	id, err := pathID(r)
	if err != nil {
		return err
	}
	_, err = a.editApplication(r.Context(), identity.OrgID(r.Context()), id, func(src *sources.Source) ([]store.EventFunc, error) {
		src.Detach(time.Now())
		return []store.EventFunc{events.ApplicationDeleted}, nil
	})
	if err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// A change is what is done to a source, and the events that tell of it.
type change func(*sources.Source) ([]store.EventFunc, error)

// edit locks a source, has it changed, and stores it with the events that tell of it.
func edit(ctx context.Context, tx *store.Store, org string, ref sources.Ref, do change) (sources.Source, error) {
	src, err := tx.LockSource(ctx, org, ref)
	if err != nil {
		return src, err
	}
	told, err := do(&src)
	if err != nil {
		return src, err
	}
	return src, tx.SaveSource(ctx, &src, told...)
}

// editApplication is edit, in a transaction, for the source of an application that is there.
func (a api) editApplication(ctx context.Context, org string, id int64, do change) (src sources.Source, err error) {
	ref, err := a.db.For(org).SourceOfApplication(ctx, org, id)
	if err != nil {
		return src, err
	}
	err = a.db.For(org).InTx(ctx, func(tx *store.Store) error {
		src, err = edit(ctx, tx, org, ref, func(src *sources.Source) ([]store.EventFunc, error) {
			if !hasApplication(*src, id) {
				return nil, sources.NoApplication()
			}
			return do(src)
		})
		return err
	})
	if err != nil {
		return src, orNoApplication(err)
	}
	a.wake(src)
	return src, nil
}

// hasApplication reports whether an application of src that was looked up is still there: it may be gone since, also
// with another one in its place.
func hasApplication(src sources.Source, id int64) bool {
	return src.HasApplication() && src.Application.ID == id
}

func orNoApplication(err error) error {
	if err == nil || sources.KindOf(err) == sources.NotFound {
		return sources.NoApplication()
	}
	return err
}

func pathID(r *http.Request) (int64, error) {
	id, ok := sources.ParseID(r.PathValue("id"))
	if !ok {
		return 0, sources.NoApplication()
	}
	return id, nil
}
