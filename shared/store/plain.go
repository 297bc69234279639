package store

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// PlainLeaseFor is how long the right to write the plain records of a source lasts. Whoever takes it over after that
// looks whether its former owner has written; so it is longer than a write takes until it has failed for good, and
// longer than the 30 s after which Kafka no longer waits for a replica (replica.lag.time.max.ms): until then a record
// may be there that nobody can read yet.
const PlainLeaseFor = 40 * time.Second

// A PlainEvent is the next of a source whose record is to be written.
type PlainEvent struct {
	Sequence int64
	Event    []byte // in CloudEvents' JSON format
	Told     []byte // the data of the last event whose record was written; nil if there is none

	// MayBeWritten says that a former owner of the lease may have written the record, to the partition, at the offset
	// or behind it.
	MayBeWritten bool
	Partition    int32
	Offset       int64
}

// nextPlain finds, of the source $1, the event that follows the last whose record is written.
const nextPlain = `
	FROM sources.plain_source p JOIN sources.plain_event e ON e.source_id = p.source_id AND e.sequence = p.written + 1
	WHERE p.source_id = $1`

// KeepPlain keeps an event of a source until its record is written, unless that has been done. Of a source that has
// no record yet, those up to begin count as written.
//
// Three statements, each of which sees what was committed before it: the row of the source is locked by the second, so
// that no event can be kept behind the back of who writes just that one.
func (s *Store) KeepPlain(ctx context.Context, sourceID, sequence, begin int64, event []byte) error {
	batch := &pgx.Batch{}
	batch.Queue(`
		INSERT INTO sources.plain_source (source_id, written) VALUES ($1, $2) ON CONFLICT DO NOTHING`, sourceID, begin)
	batch.Queue(`SELECT FROM sources.plain_source WHERE source_id = $1 FOR UPDATE`, sourceID)
	batch.Queue(`
		INSERT INTO sources.plain_event (source_id, sequence, event)
		SELECT $1, $2, $3 FROM sources.plain_source WHERE source_id = $1 AND written < $2
		ON CONFLICT DO NOTHING`, sourceID, sequence, json.RawMessage(event))
	return domainError(s.db.SendBatch(ctx, batch).Close(), nil)
}

// LeasePlain gives owner the right to write the next record of a source for PlainLeaseFor, and reports whether it did:
// another owner may have it. Without an error and an event there is nothing to write: the next event has not come.
func (s *Store) LeasePlain(ctx context.Context, sourceID int64, owner string) (taken bool, next *PlainEvent, err error) {
	batch := &pgx.Batch{}
	batch.Queue(`
		UPDATE sources.plain_source SET owner = $2, until = clock_timestamp() + $3::interval
		WHERE source_id = $1 AND (until IS NULL OR until < clock_timestamp()) AND EXISTS (SELECT `+nextPlain+`)`,
		sourceID, owner, PlainLeaseFor).
		Exec(func(tag pgconn.CommandTag) error {
			taken = tag.RowsAffected() == 1
			return nil
		})
	batch.Queue(`
		SELECT e.sequence, e.event, p.told, (p.sending = e.sequence) IS TRUE, coalesce(p.partition, 0), coalesce(p.from_offset, 0)`+
		nextPlain, sourceID).
		QueryRow(func(row pgx.Row) error {
			var e PlainEvent
			err := row.Scan(&e.Sequence, &e.Event, &e.Told, &e.MayBeWritten, &e.Partition, &e.Offset)
			if errors.Is(err, pgx.ErrNoRows) {
				return nil
			}
			next = &e
			return err
		})
	if err := s.db.SendBatch(ctx, batch).Close(); err != nil {
		return false, nil, domainError(err, nil)
	}
	return taken, next, nil
}

// SendingPlain records where the record of an event is about to be written, lasts the lease of owner anew, and reports
// whether owner still has it.
func (s *Store) SendingPlain(ctx context.Context, sourceID int64, owner string, e PlainEvent) (held bool, err error) {
	tag, err := s.db.Exec(ctx, `
		UPDATE sources.plain_source
		SET until = clock_timestamp() + $3::interval, sending = $4, partition = $5, from_offset = $6
		WHERE source_id = $1 AND owner = $2 AND until > clock_timestamp() AND written = $4 - 1`,
		sourceID, owner, PlainLeaseFor, e.Sequence, e.Partition, e.Offset)
	return tag.RowsAffected() == 1, domainError(err, nil)
}

// WrittenPlain records that the record of an event is in Kafka, and ends the lease. It does so whoever has the lease:
// what is written is written.
func (s *Store) WrittenPlain(ctx context.Context, sourceID, sequence int64, told []byte) error {
	batch := &pgx.Batch{}
	batch.Queue(`
		UPDATE sources.plain_source SET written = $2, told = $3, owner = NULL, until = NULL, sending = NULL
		WHERE source_id = $1 AND written = $2 - 1`, sourceID, sequence, json.RawMessage(told))
	batch.Queue(`
		DELETE FROM sources.plain_event WHERE source_id = $1 AND sequence <= $2
			AND EXISTS (SELECT FROM sources.plain_source WHERE source_id = $1 AND written >= $2)`, sourceID, sequence)
	return domainError(s.db.SendBatch(ctx, batch).Close(), nil)
}

// ReleasePlain ends the lease of an owner who has written nothing, and could not have.
func (s *Store) ReleasePlain(ctx context.Context, sourceID int64, owner string) error {
	return s.exec(ctx, `
		UPDATE sources.plain_source SET owner = NULL, until = NULL WHERE source_id = $1 AND owner = $2`, sourceID, owner)
}

// PlainLate is a source with an event that has waited too long: for its turn, or for the events between After and
// Before, of which there are none where it was its turn.
type PlainLate struct{ SourceID, After, Before int64 }

// Gap says whether events are missing.
func (l PlainLate) Gap() bool { return l.Before > l.After+1 }

// SkipPlain finds, for at most limit sources, events that have waited longer than d, and gives up to wait for those
// before them. It is not for who is being written. A source is found again until its events are written: whoever gave
// up to wait may have died before it wrote them, and no delivery of theirs is left that would come again.
func (s *Store) SkipPlain(ctx context.Context, d time.Duration, limit int) ([]PlainLate, error) {
	rows, _ := s.db.Query(ctx, `
		WITH late AS (
			SELECT p.source_id, p.written AS after, (SELECT min(sequence) FROM sources.plain_event WHERE source_id = p.source_id) AS before
			FROM sources.plain_source p
			WHERE p.source_id IN (SELECT source_id FROM sources.plain_event WHERE kept_at < now() - $1::interval)
				AND (p.until IS NULL OR p.until < clock_timestamp())
			ORDER BY p.source_id LIMIT $2 FOR UPDATE OF p SKIP LOCKED
		)
		UPDATE sources.plain_source p SET written = late.before - 1
		FROM late WHERE p.source_id = late.source_id AND p.written = late.after AND late.before > late.after
		RETURNING p.source_id, late.after, late.before`, d, limit) // its error comes out of Collect
	late, err := pgx.CollectRows(rows, pgx.RowToStructByPos[PlainLate])
	return late, domainError(err, nil)
}
