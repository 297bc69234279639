package store

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
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

// Sent removes an event that the sink has accepted. The last one of a lease goes with Release.
func (s *Store) Sent(ctx context.Context, sourceID, sequence int64) error {
	return s.exec(ctx, removeSent, sourceID, sequence)
}

const removeSent = `DELETE FROM sources.outbox WHERE source_id = $1 AND sequence = $2`

// Park sets an event aside that the sink refuses for good. sources.health counts it until a person has
// looked at it; the later events of the source go on.
//
// The reason is what the sink said, perhaps cut off in the middle of a character. PostgreSQL takes no text that is not
// UTF-8 or holds a NUL, and an event that cannot be parked would hold up the later ones for ever.
func (s *Store) Park(ctx context.Context, sourceID, sequence int64, reason string) error {
	reason = strings.ReplaceAll(strings.ToValidUTF8(reason, "\uFFFD"), "\x00", "\uFFFD")
	return s.exec(ctx, `
		UPDATE sources.outbox SET parked_at = now(), parked_reason = $3
		WHERE source_id = $1 AND sequence = $2`, sourceID, sequence, reason)
}

// A Place in the outbox is where an event waits: behind those that were made before it.
type Place struct {
	CreatedAt time.Time
	SourceID  int64
}

// Waiting lists where events wait whose source nobody is sending, the oldest first, at most limit of them
// and only those behind a place: who walks on instead of beginning anew does not pass again what was sent
// meanwhile, failed, or is being sent. It reads as much of outbox_waiting_idx and no more; without the
// setting the planner reads and sorts all of it where statistics are missing, or were made of an outbox with
// nothing but parked events.
func (s *Store) Waiting(ctx context.Context, behind Place, limit int) (places []Place, err error) {
	batch := &pgx.Batch{}
	batch.Queue(`SELECT set_config('enable_sort', 'off', true)`) // until the end of the batch, which is a transaction
	batch.Queue(`
		SELECT o.created_at, o.source_id FROM sources.outbox o
		WHERE o.parked_at IS NULL AND (o.created_at, o.source_id) > ($1::timestamptz, $2::bigint)
			AND NOT EXISTS (
				SELECT FROM sources.outbox_lease l WHERE l.source_id = o.source_id AND l.until > clock_timestamp())
		ORDER BY o.created_at, o.source_id LIMIT $3`, behind.CreatedAt, behind.SourceID, limit).
		Query(func(rows pgx.Rows) (err error) {
			places, err = pgx.CollectRows(rows, pgx.RowToStructByPos[Place])
			return err
		})
	err = domainError(s.db.SendBatch(ctx, batch).Close(), nil)
	return places, err
}
