// Package cleanup removes from ROS and Kruize what was kept there for a source that is gone or has no
// application any more (contract section 5).
package cleanup

import (
	"context"
	"errors"
	"net/http"

	cloudevents "github.com/cloudevents/sdk-go/v2"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/insights-onprem/cost-sources/shared/events"
	"github.com/insights-onprem/cost-sources/shared/plainrecord"
	"github.com/insights-onprem/cost-sources/shared/sources"
	"github.com/insights-onprem/cost-sources/shared/store"
)

// maxRounds is how often one event asks Kruize again because workloads turned up in between. Reports are
// hours apart; more rounds than these mean that something else is wrong.
const maxRounds = 3

type cleaner struct {
	db     *store.Store
	ros    *pgxpool.Pool
	kruize kruize
}

// New makes the receiver of deletions: ours, and with PLAIN_RECORDS those of other producers.
func New(cfg Config, db *store.Store, ros *pgxpool.Pool) http.Handler {
	c := cleaner{db: db, ros: ros, kruize: newKruize(cfg.KruizeURL, cfg.KruizeTimeout)}
	types := []string{events.TypeSourceDelete, events.TypeApplicationDelete}
	if cfg.PlainRecords {
		types = append(types, plainrecord.Type)
	}
	return events.Handle(c.handle, types...)
}

func (c cleaner) handle(ctx context.Context, e cloudevents.Event) error {
	if e.Type() == plainrecord.Type {
		return c.foreign(ctx, e)
	}
	return c.registered(ctx, e)
}

// registered cleans up after a source of ours. The event is a hint to look at its row, whatever it says of
// it, so that duplicates, forgeries and events out of order do no harm.
func (c cleaner) registered(ctx context.Context, e cloudevents.Event) error {
	id, err := events.SourceID(e)
	if err != nil {
		return err
	}
	src, err := c.db.Registered(ctx, id)
	switch {
	case sources.KindOf(err) == sources.NotFound:
		return nil
	case err != nil:
		return err
	case !src.ROSDue():
		return nil
	}
	return c.clean(ctx, target{orgID: src.OrgID, sourceID: src.ID}, func(remove removeFunc) (bool, error) {
		return c.whileDue(ctx, src, remove)
	})
}

// A removeFunc removes a part of what is to be removed, and reports whether it was the last.
type removeFunc func() (done bool, err error)

// whileDue calls remove and records when it is done, unless src has come back to life in the meantime: no
// application can be given to it before this is over. A commit here that fails after that of ROS costs
// nothing but another look.
func (c cleaner) whileDue(ctx context.Context, src sources.Source, remove removeFunc) (done bool, err error) {
	err = c.db.InTx(ctx, func(tx *store.Store) error {
		src, err := tx.LockRegistered(ctx, src.OrgID, sources.Ref{ID: src.ID})
		if done = err == nil && !src.ROSDue(); err != nil || done {
			return err
		}
		if done, err = remove(); err != nil || !done {
			return err
		}
		return tx.ROSCleaned(ctx, src)
	})
	if sources.KindOf(err) == sources.NotFound {
		return true, nil // forgotten, which is only done after a cleanup
	}
	return done, err
}

// clean removes everything of t. Kruize comes first, as only the rows know what it has been told. Then
// locked is called until it is done, which calls remove once nothing can come in between.
//
// Where all of it does not fit into events.HandleWithin, the answer is 503, and the event comes again to
// go on: Kruize answers at once for what it has already forgotten, and the rows go in batches.
func (c cleaner) clean(ctx context.Context, t target, locked func(removeFunc) (bool, error)) error {
	asked := forgotten{}
	for range maxRounds {
		experiments, err := t.left(ctx, c.ros)
		if err != nil {
			return err
		}
		var names []string
		for _, e := range experiments {
			if !asked.covers(e) {
				names = append(names, e.Name)
			}
		}
		if err := c.kruize.forget(ctx, names); err != nil {
			return err
		}
		for _, e := range experiments {
			asked[e.Name] = e.UploadedAt
		}
		for done := false; !done && err == nil; {
			done, err = locked(func() (bool, error) { return t.remove(ctx, c.ros, asked) })
		}
		if !errors.Is(err, errMore) {
			return err
		}
	}
	return &sources.Error{Kind: sources.Unavailable, Msg: "ROS makes new workloads of this source all the time.", Err: errMore}
}
