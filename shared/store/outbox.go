package store

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	cloudevents "github.com/cloudevents/sdk-go/v2"
	"github.com/jackc/pgx/v5"

	"github.com/insights-onprem/cost-sources/shared/sources"
)

// maxEvent is the greatest size of an event in bytes of JSON: beyond what the sink's Kafka takes it would
// be refused for ever (contract section 4).
const maxEvent = 256 << 10

// An EventFunc makes an event of a change; src.Sequence is already the event's.
type EventFunc func(ctx context.Context, src sources.Source) (cloudevents.Event, error)

// emit puts the events of a change into the outbox. The row of src has counted them: src.Sequence is the
// last one's.
func (s *Store) emit(ctx context.Context, src sources.Source, make []EventFunc) error {
	batch := &pgx.Batch{}
	src.Sequence -= int64(len(make))
	for _, event := range make {
		src.Sequence++
		e, err := event(ctx, src)
		if err != nil {
			return fmt.Errorf("source %d: event %d: %w", src.ID, src.Sequence, err)
		}
		body, err := json.Marshal(e)
		if err != nil {
			return fmt.Errorf("source %d: event %d: %w", src.ID, src.Sequence, err)
		}
		if len(body) > maxEvent {
			return fmt.Errorf("source %d: event %d has %d bytes, more than %d", src.ID, src.Sequence, len(body), maxEvent)
		}
		batch.Queue(`INSERT INTO sources.outbox (source_id, sequence, id, event) VALUES ($1, $2, $3, $4)`,
			src.ID, src.Sequence, e.ID(), json.RawMessage(body))
	}
	return domainError(s.db.SendBatch(ctx, batch).Close(), nil)
}

// A Queued event waits in the outbox.
type Queued struct {
	Sequence int64
	Event    []byte // in CloudEvents' JSON format
}

// LeaseFor is how long a lease on a source's events lasts.
const LeaseFor = 10 * time.Second

// Lease gives owner the right to send the events of a source for LeaseFor, and reports whether it did:
// another owner may have it.
func (s *Store) Lease(ctx context.Context, sourceID int64, owner string) (bool, error) {
	tag, err := s.db.Exec(ctx, `
		INSERT INTO sources.outbox_lease AS l (source_id, owner, until)
		VALUES ($1, $2, clock_timestamp() + $3::interval)
		ON CONFLICT (source_id) DO UPDATE SET owner = excluded.owner, until = excluded.until
		WHERE l.until < clock_timestamp()`, sourceID, owner, LeaseFor)
	return tag.RowsAffected() == 1, domainError(err, nil)
}

// Release ends the lease of owner, and reports whether events of the source wait nevertheless: ones that
// were committed since they were last looked for, by somebody who found the lease taken.
func (s *Store) Release(ctx context.Context, sourceID int64, owner string) (more bool, err error) {
	if err := s.exec(ctx, `DELETE FROM sources.outbox_lease WHERE source_id = $1 AND owner = $2`, sourceID, owner); err != nil {
		return false, err
	}
	return value[bool](ctx, s, `
		SELECT EXISTS (SELECT FROM sources.outbox WHERE source_id = $1 AND parked_at IS NULL)`, sourceID)
}

// Queue reads the events of a source that wait, at most limit of them, in order.
func (s *Store) Queue(ctx context.Context, sourceID int64, limit int) ([]Queued, error) {
	return all(ctx, s, pgx.RowToStructByPos[Queued], `
		SELECT sequence, event FROM sources.outbox
		WHERE source_id = $1 AND parked_at IS NULL ORDER BY sequence LIMIT $2`, sourceID, limit)
}

// Sent removes an event that the sink has accepted.
func (s *Store) Sent(ctx context.Context, sourceID, sequence int64) error {
	return s.exec(ctx, `DELETE FROM sources.outbox WHERE source_id = $1 AND sequence = $2`, sourceID, sequence)
}

// Park sets an event aside that the sink refuses for good. sources.health counts it until a person has
// looked at it; the later events of the source go on.
func (s *Store) Park(ctx context.Context, sourceID, sequence int64, reason string) error {
	return s.exec(ctx, `
		UPDATE sources.outbox SET parked_at = now(), parked_reason = $3
		WHERE source_id = $1 AND sequence = $2`, sourceID, sequence, reason)
}

// Waiting lists sources whose events wait and are not being sent, the ones that have waited longest first,
// at most limit of them and none of except.
func (s *Store) Waiting(ctx context.Context, limit int, except []int64) ([]int64, error) {
	return all(ctx, s, pgx.RowTo[int64], `
		SELECT o.source_id FROM sources.outbox o
		WHERE o.parked_at IS NULL AND o.source_id <> ALL (coalesce($2::bigint[], '{}')) AND NOT EXISTS (
			SELECT FROM sources.outbox_lease l WHERE l.source_id = o.source_id AND l.until > clock_timestamp())
		GROUP BY o.source_id ORDER BY min(o.created_at) LIMIT $1`, limit, except)
}
