package store

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"

	"github.com/insights-onprem/cost-sources/shared/sources"
)

// A Key names a registry row.
type Key struct {
	OrgID string
	ID    int64
}

// Due lists sources with work undone whose time has come and of which nothing waits in the outbox, at
// most limit of them.
func (s *Store) Due(ctx context.Context, limit int) ([]Key, error) {
	return all(ctx, s, pgx.RowToStructByPos[Key], `
		SELECT s.org_id, s.id FROM `+sourceTables+`
		WHERE s.next_attempt_at <= now()
			AND (s.observed_generation < s.generation
				OR s.state = 'waiting' AND s.ros_cleaned_at IS NULL AND (s.deleted_at IS NOT NULL OR a.deleted_at IS NOT NULL))
			AND NOT EXISTS (SELECT FROM sources.outbox o WHERE o.source_id = s.id AND o.parked_at IS NULL)
		ORDER BY s.next_attempt_at LIMIT $1`, limit)
}

// Repair puts the event that make makes of a source into the outbox, if its work is still due, and puts
// the next time off. It does nothing where somebody has the row locked: the work may just be being done, and whoever
// waited for that would hold up the repair of all other sources.
func (s *Store) Repair(ctx context.Context, key Key, make EventFunc) (asked bool, err error) {
	err = s.InTx(ctx, func(tx *Store) error {
		free, err := tx.db.Exec(ctx, `
			SELECT FROM sources.source WHERE org_id = $1 AND id = $2 FOR NO KEY UPDATE SKIP LOCKED`, key.OrgID, key.ID)
		if err != nil || free.RowsAffected() == 0 {
			return err
		}
		src, err := tx.LockRegistered(ctx, key.OrgID, sources.Ref{ID: key.ID})
		if err != nil || src.UpToDate() && !src.ROSDue() {
			return err
		}
		err = tx.db.QueryRow(ctx, `
			UPDATE sources.source SET sequence = sequence + 1, next_attempt_at = `+backOff+`
			WHERE org_id = $1 AND id = $2 AND next_attempt_at <= now() RETURNING sequence`, key.OrgID, key.ID).
			Scan(&src.Sequence)
		if errors.Is(err, pgx.ErrNoRows) {
			return nil // another relay was faster
		}
		if err != nil {
			return err
		}
		asked = true
		return tx.emit(ctx, src, []EventFunc{make})
	})
	return asked, err
}

// The bounds of one Tidy, in rows of each table.
const tidyRows = 1000

// Tidy forgets what has had its time: answers to idempotency keys after 24 hours, leases that have run out
// because their dispatcher was killed (the DELETE looks again, as somebody may just have taken one over),
// registry rows 90 days after everything of theirs is done, and how often an event was redriven 90 days after
// the last time, which is as long as the topic of the dead letters keeps what could be redriven again. And it
// makes the ROS data of what was cleaned up a day ago due once more: an upload that was queued at the delete
// makes rows anew (contract section 5).
//
// Each of these is done whatever becomes of the others, and waits for no lock for long: a transaction whose client is
// gone without a word may hold one for hours.
func (s *Store) Tidy(ctx context.Context) (err error) {
	for _, sql := range []string{`
		DELETE FROM sources.idempotency_key WHERE (org_id, path, key) IN (
			SELECT org_id, path, key FROM sources.idempotency_key
			WHERE created_at < now() - interval '24 hours' LIMIT $1)`, `
		DELETE FROM sources.outbox_lease WHERE source_id IN (
			SELECT source_id FROM sources.outbox_lease WHERE until < clock_timestamp() LIMIT $1 FOR UPDATE SKIP LOCKED)
			AND until < clock_timestamp()`, `
		DELETE FROM sources.redrive WHERE (event_source, event_id) IN (
			SELECT event_source, event_id FROM sources.redrive
			GROUP BY event_source, event_id HAVING max(redriven_at) < now() - interval '90 days' LIMIT $1)`, `
		UPDATE sources.source SET ros_cleaned_at = NULL, ros_rechecked_at = now(), next_attempt_at = now()
		WHERE id IN (
			SELECT id FROM sources.source
			WHERE state = 'waiting' AND ros_rechecked_at IS NULL AND ros_cleaned_at < now() - interval '1 day'
			LIMIT $1 FOR NO KEY UPDATE SKIP LOCKED)`, `
		DELETE FROM sources.source WHERE id IN (
			SELECT id FROM sources.source s
			WHERE deleted_at < now() - interval '90 days' AND observed_generation = generation
				AND provider_removed_at < now() - interval '90 days'
				AND ros_cleaned_at < now() - interval '90 days' AND ros_rechecked_at IS NOT NULL
				AND NOT EXISTS (SELECT FROM sources.outbox o WHERE o.source_id = s.id)
			LIMIT $1 FOR UPDATE SKIP LOCKED)`,
	} {
		batch := &pgx.Batch{}
		batch.Queue(`SELECT set_config('lock_timeout', '2s', true)`) // until the end of the batch, which is a transaction
		batch.Queue(sql, tidyRows)
		err = errors.Join(err, domainError(s.db.SendBatch(ctx, batch).Close(), nil))
	}
	return err
}

// RelayRan records that the relay has finished a run.
func (s *Store) RelayRan(ctx context.Context) error {
	return s.exec(ctx, `
		INSERT INTO sources.relay_run (finished_at) VALUES (now())
		ON CONFLICT (singleton) DO UPDATE SET finished_at = now()`)
}

// ROSCleaned records that the ROS data of src is gone. The row of src has to be locked.
func (s *Store) ROSCleaned(ctx context.Context, src sources.Source) error {
	return s.exec(ctx, `
		UPDATE sources.source SET ros_cleaned_at = now() WHERE org_id = $1 AND id = $2`, src.OrgID, src.ID)
}
