package interop

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"time"
	"unicode/utf8"

	cloudevents "github.com/cloudevents/sdk-go/v2"

	"github.com/insights-onprem/cost-sources/shared/events"
	"github.com/insights-onprem/cost-sources/shared/plainrecord"
	"github.com/insights-onprem/cost-sources/shared/sources"
	"github.com/insights-onprem/cost-sources/shared/store"
)

type changeFunc func(context.Context, *store.Store, *sources.Source, foreign) ([]store.EventFunc, error)

// changes are what the records of other producers tell of. Each says what becomes of a source, and which events tell
// of it: none where it is so already.
var changes = map[string]changeFunc{
	"Application.create":  attach,
	"Application.update":  update(events.ApplicationUpdated),
	"Application.pause":   pausing(true),
	"Application.unpause": pausing(false),
	"Application.destroy": detach,
	"Source.update":       update(events.SourceUpdated),
	"Source.destroy":      destroy,
}

// A foreign change is what a record of another producer tells of.
type foreign struct {
	kind, orgID, account string
	sourceID, id         int64
	name, cluster        string // empty where the record does not say
	at                   time.Time
}

type taker struct {
	db   *store.Store
	wake func(sources.Source)
}

// handle makes the change that a record tells of, to a source that came from such records: those that the API made
// are changed by the API alone, and those that Koku made in its database are taken over by migrate.
func (t taker) handle(ctx context.Context, e cloudevents.Event) error {
	if changes[plainrecord.EventType(e)] == nil || plainrecord.Ours(e) {
		return nil
	}
	rec, meant, err := readForeign(e)
	if err != nil || !meant {
		return err
	}
	if lifted, err := t.db.IDsLifted(ctx); err != nil || !lifted {
		if err == nil {
			err = &sources.Error{Kind: sources.Unavailable, Msg: "Ids of ours could be those of other producers: run migrate --foreign."}
		}
		return err
	}
	var changed *sources.Source
	err = t.db.InTx(ctx, func(tx *store.Store) (err error) {
		changed, err = apply(ctx, tx, rec)
		return err
	})
	if err == nil && changed != nil {
		t.wake(*changed)
	}
	return err
}

// apply returns the source that it has changed, if any.
func apply(ctx context.Context, tx *store.Store, rec foreign) (*sources.Source, error) {
	src, at, err := tx.LockForeign(ctx, rec.orgID, rec.sourceID)
	switch {
	case sources.KindOf(err) == sources.NotFound:
		return create(ctx, tx, rec)
	case err != nil:
		return nil, err
	case at == nil:
		slog.WarnContext(ctx, "plain record of a source that is known here, not acted on", "source", rec.sourceID)
		return nil, nil
	case src.DeletedAt != nil || rec.at.Before(*at): // too late
		return nil, nil
	}
	told, err := changes[rec.kind](ctx, tx, &src, rec)
	if err != nil {
		return nil, err
	}
	if len(told) > 0 {
		if err := tx.SaveSource(ctx, &src, told...); err != nil {
			return nil, err
		}
	}
	return &src, tx.RecordedAt(ctx, rec.orgID, src.ID, rec.at) // also where it is so already: an older record must not change it
}

// create makes a source where an application of it is told of. Of any other record it would be a source that nobody
// has made, or has deleted. An id that another organization, or Koku's own database, has is not to be had.
func create(ctx context.Context, tx *store.Store, rec foreign) (*sources.Source, error) {
	if rec.kind != "Application.create" {
		return nil, nil
	}
	_, err := tx.Registered(ctx, rec.sourceID)
	known := err == nil
	if sources.KindOf(err) == sources.NotFound {
		known, err = tx.Projected(ctx, rec.sourceID)
	}
	if err != nil || known {
		if known {
			slog.WarnContext(ctx, "plain record of a source that somebody else has, not acted on", "source", rec.sourceID)
		}
		return nil, err
	}
	draft := sources.Source{ID: rec.sourceID, OrgID: rec.orgID, AccountNumber: rec.account, Name: rec.name}
	if rec.name == "" {
		draft.Name = fmt.Sprintf("source %d", rec.sourceID)
	}
	if rec.cluster != "" {
		draft.SetCluster(rec.cluster)
	}
	src, err := tx.CreateForeign(ctx, draft, rec.at)
	if err != nil {
		return nil, err
	}
	if err := tx.AttachForeign(ctx, &src, rec.id); err != nil {
		return nil, err
	}
	return &src, tx.SaveSource(ctx, &src, events.SourceCreated, events.ApplicationCreated)
}

// attach gives a source its application. After it was deleted a record has to be newer to do so.
func attach(ctx context.Context, tx *store.Store, src *sources.Source, rec foreign) ([]store.EventFunc, error) {
	if src.HasApplication() || src.Application != nil && !rec.at.After(*src.Application.DeletedAt) {
		return nil, nil
	}
	told := []store.EventFunc{events.ApplicationCreated}
	if describe(src, rec) {
		told = []store.EventFunc{events.SourceUpdated, events.ApplicationCreated}
	}
	return told, tx.AttachForeign(ctx, src, rec.id)
}

// update has a source be as the record says, in what it says.
func update(event store.EventFunc) changeFunc {
	return func(_ context.Context, _ *store.Store, src *sources.Source, rec foreign) ([]store.EventFunc, error) {
		if !describe(src, rec) {
			return nil, nil
		}
		if !src.HasApplication() { // nothing that an event of an application could tell of
			return []store.EventFunc{events.SourceUpdated}, nil
		}
		return []store.EventFunc{event}, nil
	}
}

func describe(src *sources.Source, rec foreign) (changed bool) {
	if rec.name != "" && rec.name != src.Name {
		src.Name, changed = rec.name, true
	}
	if rec.cluster != "" && rec.cluster != src.ClusterID {
		src.SetCluster(rec.cluster)
		changed = true
	}
	return changed
}

func pausing(paused bool) changeFunc {
	return func(_ context.Context, _ *store.Store, src *sources.Source, _ foreign) ([]store.EventFunc, error) {
		if src.Paused == paused {
			return nil, nil
		}
		src.Paused = paused
		return []store.EventFunc{events.SourceUpdated}, nil
	}
}

func detach(_ context.Context, _ *store.Store, src *sources.Source, rec foreign) ([]store.EventFunc, error) {
	if !src.HasApplication() {
		return nil, nil
	}
	src.Detach(rec.at)
	return []store.EventFunc{events.ApplicationDeleted}, nil
}

func destroy(_ context.Context, _ *store.Store, src *sources.Source, rec foreign) ([]store.EventFunc, error) {
	told := []store.EventFunc{events.SourceDeleted}
	if src.HasApplication() {
		told = []store.EventFunc{events.ApplicationDeleted, events.SourceDeleted}
	}
	src.MarkDeleted(rec.at)
	return told, nil
}

// readForeign reads a record. It is not meant for us where it is about an application of another type. Its errors are
// Invalid.
func readForeign(e cloudevents.Event) (rec foreign, meant bool, err error) {
	var value struct { // in any case: encoding/json folds it, and producers differ
		ID                *int64  `json:"id"`
		SourceID          *int64  `json:"source_id"`
		ApplicationTypeID *int64  `json:"application_type_id"`
		Tenant            *string `json:"tenant"`
		Name              string  `json:"name"`
		SourceRef         string  `json:"source_ref"`
		ClusterID         string  `json:"cluster_id"`
		Extra             struct {
			ClusterID string `json:"cluster_id"`
		} `json:"extra"`
	}
	if err := json.Unmarshal(e.Data(), &value); err != nil {
		return rec, false, &sources.Error{Kind: sources.Invalid, Msg: "The record holds no change.", Err: err}
	}
	rec = foreign{kind: plainrecord.EventType(e), account: plainrecord.Account(e), name: value.Name, at: e.Time(),
		cluster: cmp.Or(value.Extra.ClusterID, value.ClusterID, value.SourceRef)}
	ofSource := strings.HasPrefix(rec.kind, "Source.")
	if ofSource && value.SourceID == nil { // some producers tell of a source by its own id alone
		value.SourceID = value.ID
	}
	switch {
	case value.ApplicationTypeID == nil && !ofSource:
		return rec, false, sources.Invalidf("", "The record holds no application_type_id.")
	case value.ApplicationTypeID != nil && *value.ApplicationTypeID != sources.ApplicationTypeID:
		return rec, false, nil
	}
	if rec.sourceID, err = foreignID(value.SourceID, "source_id"); err != nil {
		return rec, false, err
	}
	if rec.id, err = foreignID(value.ID, "id"); err != nil && rec.kind == "Application.create" {
		return rec, false, err
	}
	if rec.orgID, err = plainrecord.Org(e, value.Tenant); err != nil {
		return rec, false, err
	}
	return rec, true, rec.check()
}

// foreignID is an id that another producer may give: beyond it they are ours.
func foreignID(id *int64, name string) (int64, error) {
	if id == nil || *id < 1 || *id >= store.ForeignIDs {
		return 0, sources.Invalidf("", "The record holds no %s that is an integer from 1 to %d.", name, store.ForeignIDs-1)
	}
	return *id, nil
}

// check is for what the API would check.
func (rec foreign) check() error {
	if rec.at.IsZero() {
		return sources.Invalidf("", "The record has no time.")
	}
	if err := sources.CheckOrg(rec.orgID); err != nil {
		return err
	}
	for field, text := range map[string]string{"name": rec.name, "cluster_id": rec.cluster, "account_number": rec.account} {
		if text == "" {
			continue
		}
		if err := sources.CheckName(text); err != nil || !utf8.ValidString(text) || strings.ContainsRune(text, 0) {
			return sources.Invalidf("", "The record's %s cannot be taken.", field)
		}
	}
	return nil
}
