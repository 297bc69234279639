package store

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
)

// A Standing is what a registry row says of a source to whoever compares it with what others know.
type Standing struct {
	ID        int64
	OrgID     string
	Sequence  int64
	UpdatedAt time.Time
	Gone      bool
}

// Standings reads the registry rows with an id above after, in the order of their ids, at most limit of them, whosever
// they are.
func (s *Store) Standings(ctx context.Context, after int64, limit int) ([]Standing, error) {
	return all(ctx, s, pgx.RowToStructByPos[Standing], standings, after, limit)
}

const standings = `
	SELECT id, org_id, sequence, updated_at, deleted_at IS NOT NULL FROM sources.source
	WHERE id > $1::bigint ORDER BY id LIMIT $2`

// AskAgain has the next registry rows as Standings lists them be looked at again by everybody, and returns them as they
// were; none means that there are no more. sequences is the highest that an event of a source was ever seen to have:
// the source goes on after it.
//
// A source that lives is provided for again, as after a change. For one that is gone the ROS data is due again: it may
// have been removed and made anew after the backup. ROS data of a source that lives is not touched.
func (s *Store) AskAgain(ctx context.Context, after int64, limit int, sequences func(id int64) int64) (asked []Standing, err error) {
	err = s.InTx(ctx, func(tx *Store) error {
		if err := tx.exec(ctx, boundWaiting); err != nil {
			return err
		}
		asked, err = all(ctx, tx, pgx.RowToStructByPos[Standing], standings+` FOR NO KEY UPDATE`, after, limit)
		if err != nil || len(asked) == 0 {
			return err
		}
		var ids, seen []int64
		for _, row := range asked {
			ids, seen = append(ids, row.ID), append(seen, sequences(row.ID))
		}
		if err := tx.skipSeen(ctx, ids, seen); err != nil {
			return err
		}
		return tx.exec(ctx, `
			UPDATE sources.source s SET `+remember+`, generation = generation + 1, sequence = greatest(s.sequence, seen.sequence),
				state = CASE WHEN s.deleted_at IS NULL AND s.cluster_id IS NOT NULL AND EXISTS (
						SELECT FROM sources.application a
						WHERE a.org_id = s.org_id AND a.source_id = s.id AND a.application_type_id = 0 AND a.deleted_at IS NULL)
					THEN 'pending' ELSE 'waiting' END,
				reason = '', attempts = 0, state_at = now(), next_attempt_at = now(),
				ros_cleaned_at = CASE WHEN s.deleted_at IS NULL THEN s.ros_cleaned_at END,
				ros_rechecked_at = CASE WHEN s.deleted_at IS NULL THEN s.ros_rechecked_at END
			FROM unnest($1::bigint[], $2::bigint[]) AS seen (id, sequence)
			WHERE s.id = seen.id`, ids, seen)
	})
	return asked, err
}

// skipSeen has nobody wait for the plain records of events that were seen before the restore: they are written, and
// their deliveries are over. It makes rows only where such records are written at all.
func (s *Store) skipSeen(ctx context.Context, ids, sequences []int64) error {
	err := s.exec(ctx, `
		INSERT INTO sources.plain_source AS p (source_id, written)
		SELECT seen.id, seen.sequence FROM unnest($1::bigint[], $2::bigint[]) AS seen (id, sequence)
		WHERE seen.sequence > 0 AND EXISTS (SELECT FROM sources.plain_source)
		ON CONFLICT (source_id) DO UPDATE SET written = excluded.written, told = NULL, owner = NULL, until = NULL, sending = NULL
		WHERE p.written < excluded.written`, ids, sequences)
	if err != nil {
		return err
	}
	return s.exec(ctx, `
		DELETE FROM sources.plain_event e USING sources.plain_source p
		WHERE e.source_id = ANY ($1) AND p.source_id = e.source_id AND e.sequence <= p.written`, ids)
}

// OutboxDepth counts the events that wait to be sent.
func (s *Store) OutboxDepth(ctx context.Context) (int64, error) {
	return value[int64](ctx, s, `SELECT count(*) FROM sources.outbox WHERE parked_at IS NULL`)
}
