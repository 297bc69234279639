package store

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// LeaseFor is how long a lease on a source's events lasts (contract section 4).
const LeaseFor = 10 * time.Second

const (
	// ofSource finds the events of the source $1 that wait, by the primary key. "parked_at IS NULL" would let
	// the planner take outbox_waiting_idx for it, all of which would be read: it does so where statistics
	// are missing, or were made when nothing but parked events was there.
	ofSource = `source_id = $1 AND num_nulls(parked_at) = 1`
	// waits says whether there are any.
	waits = `EXISTS (SELECT FROM sources.outbox WHERE ` + ofSource + `)`
)

// Lease gives owner the right to send the events of a source for LeaseFor, and reports whether it did:
// another owner may have it, or nothing waits. With it come the oldest of the events, at most limit.
//
// The events are read by a statement of their own, in the same transaction. One statement for both would
// see the outbox as it was before it waited for the former owner, with events that were sent since.
func (s *Store) Lease(ctx context.Context, sourceID int64, owner string, limit int) (taken bool, events []Queued, err error) {
	batch := &pgx.Batch{}
	batch.Queue(`
		INSERT INTO sources.outbox_lease AS l (source_id, owner, until)
		SELECT $1::bigint, $2::uuid, clock_timestamp() + $3::interval WHERE `+waits+`
		ON CONFLICT (source_id) DO UPDATE SET owner = excluded.owner, until = excluded.until
		WHERE l.until < clock_timestamp()`, sourceID, owner, LeaseFor).
		Exec(func(tag pgconn.CommandTag) error {
			taken = tag.RowsAffected() == 1
			return nil
		})
	batch.Queue(`
		SELECT sequence, event FROM sources.outbox
		WHERE `+ofSource+`
			AND EXISTS (SELECT FROM sources.outbox_lease WHERE source_id = $1 AND owner = $2)
		ORDER BY sequence LIMIT $3`, sourceID, owner, limit).
		Query(func(rows pgx.Rows) (err error) {
			events, err = pgx.CollectRows(rows, pgx.RowToStructByPos[Queued])
			return err
		})
	err = domainError(s.db.SendBatch(ctx, batch).Close(), nil)
	return taken, events, err
}

// Release ends the lease of owner, after it has removed the event of the source with the sequence sent, if that is not 0.
// It reports whether events of the source wait nevertheless: ones that were committed since they were last looked for, by
// somebody who found the lease taken.
//
// It looks after the delete, in a statement of its own: whoever came before the delete has committed the
// event by then, and whoever comes after it waits for this transaction and gets the lease. One statement
// for both would look first, and an event between the two would be nobody's.
func (s *Store) Release(ctx context.Context, sourceID int64, owner string, sent int64) (more bool, err error) {
	batch := &pgx.Batch{}
	if sent > 0 {
		batch.Queue(removeSent, sourceID, sent)
	}
	batch.Queue(`DELETE FROM sources.outbox_lease WHERE source_id = $1 AND owner = $2`, sourceID, owner)
	batch.Queue(`SELECT `+waits, sourceID).QueryRow(func(row pgx.Row) error { return row.Scan(&more) })
	err = domainError(s.db.SendBatch(ctx, batch).Close(), nil)
	return more, err
}
