// Package interop writes a plain record for each of our events, for the consumers that know nothing of CloudEvents.
//
// An event is kept in PostgreSQL until its record is in Kafka. Whoever has kept one writes the records of its source
// that are next, under a lease; so they are written in the order of the sequence, whatever comes twice, late or out of
// order, and the delivery is done when its own is written, or waits for an event whose delivery is still to come.
//
// The other way, where a site wants it, records of other producers become changes of the sources that came by such
// records, as if they had been made through the APIs (inward.go).
//
// Before a record is written, the row of its source says where that is going to be. Where the writer then dies, the
// next one looks from there on whether the record is there.
package interop

import (
	"context"
	"encoding/json"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"time"

	cloudevents "github.com/cloudevents/sdk-go/v2"
	"github.com/cloudevents/sdk-go/v2/types"

	"github.com/insights-onprem/cost-sources/shared/events"
	"github.com/insights-onprem/cost-sources/shared/kafkaevents"
	"github.com/insights-onprem/cost-sources/shared/plainrecord"
	"github.com/insights-onprem/cost-sources/shared/sources"
	"github.com/insights-onprem/cost-sources/shared/store"
)

// maxSkips is how many sources are helped over a gap by one event of another.
const maxSkips = 10

type writer struct {
	db       *store.Store
	topic    *Topic
	identity string
	wait     time.Duration
}

// New makes the receiver of our events, and with PLAIN_RECORDS of the records of other producers. wake is told of each
// source that such a record has changed, once that is committed.
func New(cfg Config, db *store.Store, topic *Topic, wake func(sources.Source)) http.Handler {
	w := writer{db: db, topic: topic, identity: cfg.LegacyIdentity, wait: cfg.LegacyWait}
	kinds := slices.Collect(maps.Keys(eventTypes))
	if cfg.PlainRecords {
		kinds = append(kinds, plainrecord.Type)
	}
	return events.Handle(func(ctx context.Context, e cloudevents.Event) error {
		if e.Type() == plainrecord.Type {
			return taker{db, wake}.handle(ctx, e)
		}
		return w.handle(ctx, e)
	}, kinds...)
}

func (w writer) handle(ctx context.Context, e cloudevents.Event) error {
	about, err := read(e)
	if err != nil {
		return err
	}
	src, err := w.db.Registered(ctx, about.data.SourceID)
	switch {
	case err != nil && sources.KindOf(err) != sources.NotFound:
		return err
	case err != nil || !about.confirmedBy(src):
		slog.WarnContext(ctx, "the registry knows of no such event", "event", e.ID(), "type", e.Type(), "source", about.data.SourceID)
		return nil
	}
	body, err := json.Marshal(e)
	if err != nil {
		return err
	}
	begin := int64(0) // of a source that is younger than what the topic keeps, all events can still be delivered
	if time.Since(src.CreatedAt) > w.wait {
		begin = about.sequence - 1
	}
	if err := w.db.KeepPlain(ctx, src.ID, about.sequence, begin, body); err != nil {
		return err
	}
	if err := w.writeAll(ctx, src.ID); err != nil {
		return err
	}
	return w.skip(ctx)
}

// skip helps sources over an event that has not come for so long that it never will: it was parked, or died, or was
// older than the topic when interop was switched on. Nothing but an event wakes this function, so any event does it.
// Where it fails the event has nothing to do with that, and the next one goes on. Nor does it wait: all events that come
// at once find the same sources.
func (w writer) skip(ctx context.Context) error {
	all, err := w.db.SkipPlain(ctx, w.wait, maxSkips)
	if err != nil {
		return err
	}
	for _, late := range all {
		if late.Gap() {
			slog.WarnContext(ctx, "events never came, no plain record is written of them", "source", late.SourceID,
				"after", late.After, "before", late.Before, "waited", w.wait)
		}
		if err := w.writeFree(ctx, late.SourceID); err != nil {
			slog.WarnContext(ctx, "events that have waited are not written yet", "source", late.SourceID, "err", err)
			return nil
		}
	}
	return nil
}

// A message is what an event says.
type message struct {
	kind     string
	sequence int64
	data     events.Data
}

// read reads an event of ours. Its errors are Invalid.
func read(e cloudevents.Event) (m message, err error) {
	if err := kafkaevents.Check(e); err != nil { // it is going to be a record's headers
		return m, &sources.Error{Kind: sources.Invalid, Msg: "The CloudEvent is not valid.", Err: err}
	}
	if _, err := events.SourceID(e); err != nil {
		return m, err
	}
	if err := json.Unmarshal(e.Data(), &m.data); err != nil {
		return m, &sources.Error{Kind: sources.Invalid, Msg: "The data is not that of an event of ours.", Err: err}
	}
	text, _ := types.Format(e.Extensions()["sequence"]) // of what has no text there is no sequence either
	if m.sequence, err = strconv.ParseInt(text, 10, 64); err != nil || m.sequence < 1 {
		return m, &sources.Error{Kind: sources.Invalid, Msg: "The event has no sequence.", Err: err}
	}
	if e.Source() != events.Source {
		return m, sources.Invalidf("", "The event is not of the registry.")
	}
	m.kind = e.Type()
	return m, nil
}

// confirmedBy says whether the registry may have made the event. What is read from it goes out to others, so other
// than with our own functions it matters that a forged one is none; and of a delete, whoever hears of it asks the API
// whether the source is gone.
func (m message) confirmedBy(src sources.Source) bool {
	return m.data.OrgID == src.OrgID && m.data.SourceUUID == src.UUID && m.sequence <= src.Sequence &&
		(m.kind != events.TypeSourceDelete || src.DeletedAt != nil)
}
