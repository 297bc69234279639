package store

import (
	"context"

	"github.com/jackc/pgx/v5"
)

// Health is what an operator alerts on. Ages are seconds, 0 where nothing waits.
type Health struct {
	OutboxDepth, OutboxAge, OutboxParked float64
	SourcesPending, PendingAge           float64
	SourcesFailed, FailedAge             float64
	DeletionsUndone, DeletionAge         float64
}

// Health looks at the outbox and at every source.
func (s *Store) Health(ctx context.Context) (Health, error) {
	return one(ctx, s, pgx.RowToStructByPos[Health], nil, `
		SELECT outbox_depth::float8, coalesce(outbox_age, 0)::float8, outbox_parked::float8,
			sources_pending::float8, coalesce(pending_age, 0)::float8,
			sources_failed::float8, coalesce(failed_age, 0)::float8,
			deletions_undone::float8, coalesce(deletion_age, 0)::float8
		FROM sources.health`)
}
