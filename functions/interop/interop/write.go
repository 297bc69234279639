package interop

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	cloudevents "github.com/cloudevents/sdk-go/v2"
	"github.com/google/uuid"

	"github.com/insights-onprem/cost-sources/shared/sources"
	"github.com/insights-onprem/cost-sources/shared/store"
)

// lookAgain is how often it is looked whether somebody else, in another process, is done with a source.
const lookAgain = 200 * time.Millisecond

// writeAll writes the records of a source that are next. It returns when none is left: written by whomever, or behind
// an event that has not come.
func (w writer) writeAll(ctx context.Context, sourceID int64) error {
	return w.writeNext(ctx, sourceID, func() error { return pause(ctx, lookAgain) })
}

// errBusy: somebody else is writing the source's records.
var errBusy = errors.New("somebody else writes")

// writeFree is writeAll that leaves a source to who is writing it.
func (w writer) writeFree(ctx context.Context, sourceID int64) error {
	err := w.writeNext(ctx, sourceID, func() error { return errBusy })
	if errors.Is(err, errBusy) {
		return nil
	}
	return err
}

// writeNext calls busy, and goes on unless that fails, where somebody else is writing.
func (w writer) writeNext(ctx context.Context, sourceID int64, busy func() error) error {
	owner := uuid.NewString()
	for {
		taken, next, err := w.db.LeasePlain(ctx, sourceID, owner)
		switch {
		case err != nil:
			return err
		case next == nil && taken: // another event than it was taken for: somebody was faster
			return w.db.ReleasePlain(ctx, sourceID, owner)
		case next == nil:
			return nil
		case taken:
			err = w.write(ctx, sourceID, owner, *next)
		default:
			err = busy()
		}
		if err != nil {
			return err
		}
	}
}

// write writes one record, unless that has been done, and ends the lease. Where it fails after it may have written, it
// leaves the lease to end by itself, so that the record is there for whoever looks, if it is ever going to be.
func (w writer) write(ctx context.Context, sourceID int64, owner string, next store.PlainEvent) error {
	record, told, err := w.recordOf(next)
	if err != nil {
		return err
	}
	written := false
	if next.MayBeWritten {
		if written, err = w.topic.has(ctx, record.id, next.Partition, next.Offset); err != nil {
			return w.giveUp(ctx, sourceID, owner, err)
		}
	}
	if !written {
		if err := w.send(ctx, sourceID, owner, next, record); err != nil {
			return err
		}
	}
	return w.db.WrittenPlain(ctx, sourceID, next.Sequence, told)
}

func (w writer) send(ctx context.Context, sourceID int64, owner string, next store.PlainEvent, record record) (err error) {
	if next.Partition, next.Offset, err = w.topic.place(record.key); err != nil {
		return w.giveUp(ctx, sourceID, owner, err)
	}
	begun := time.Now()
	held, err := w.db.SendingPlain(ctx, sourceID, owner, next)
	switch {
	case err != nil:
		return err
	case !held:
		return &sources.Error{Kind: sources.Unavailable, Msg: "Another process writes the records of this source."}
	}
	return w.topic.send(record, next.Partition, begun.Add(store.PlainLeaseFor-sendWithin))
}

// giveUp ends the lease of who has not written anything, because of err.
func (w writer) giveUp(ctx context.Context, sourceID int64, owner string, err error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	if release := w.db.ReleasePlain(ctx, sourceID, owner); release != nil {
		return fmt.Errorf("%w; and the lease is kept: %w", err, release)
	}
	return err
}

// recordOf makes the record of an event, and what the next one is compared to.
func (w writer) recordOf(next store.PlainEvent) (r record, told []byte, err error) {
	e := cloudevents.NewEvent()
	if err := json.Unmarshal(next.Event, &e); err != nil {
		return r, nil, fmt.Errorf("event %d as it was kept: %w", next.Sequence, err)
	}
	m, err := read(e)
	if err != nil {
		return r, nil, fmt.Errorf("event %d as it was kept: %w", next.Sequence, err)
	}
	return newRecord(e, m, next.Told, w.identity)
}

func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return &sources.Error{Kind: sources.Unavailable, Msg: "Another process writes the records of this source.", Err: context.Cause(ctx)}
	}
}
