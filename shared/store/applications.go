package store

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/insights-onprem/cost-sources/shared/sources"
)

// maybeApplication is an application as an outer join reads it.
type maybeApplication struct {
	id        *int64
	extra     sources.Object
	createdAt *time.Time
	updatedAt *time.Time
	deletedAt *time.Time
}

func (a maybeApplication) of(src sources.Source) *sources.Application {
	if a.id == nil {
		return nil
	}
	return &sources.Application{ID: *a.id, OrgID: src.OrgID, SourceID: src.ID, Extra: a.extra,
		CreatedAt: *a.createdAt, UpdatedAt: *a.updatedAt, DeletedAt: a.deletedAt}
}

// SourceOfApplication says which living source of the organization has the living application id.
func (s *Store) SourceOfApplication(ctx context.Context, orgID string, id int64) (sources.Ref, error) {
	source, err := one(ctx, s, pgx.RowTo[int64], sources.NoApplication(), `
		SELECT source_id FROM sources.application WHERE org_id = $1 AND id = $2 AND deleted_at IS NULL`, orgID, id)
	return sources.Ref{ID: source}, err
}

// saveApplication stores the application of src if it has changed. One that is made anew after a delete
// takes the place of the deleted one, under an id of its own: ids are not used again.
func saveApplication(b *pgx.Batch, src *sources.Source) {
	a := src.Application
	if a == nil || !a.Changed {
		return
	}
	b.Queue(`
		INSERT INTO sources.application AS a (org_id, source_id, application_type_id, extra)
		VALUES ($1, $2, 0, $3)
		ON CONFLICT (source_id, application_type_id) DO UPDATE SET
			id = CASE WHEN $4 = 0 THEN excluded.id ELSE a.id END,
			created_at = CASE WHEN $4 = 0 THEN now() ELSE a.created_at END,
			extra = excluded.extra, updated_at = greatest(now(), a.updated_at), deleted_at = $5
		WHERE a.org_id = excluded.org_id
		RETURNING id, created_at, updated_at`, src.OrgID, src.ID, a.Extra, a.ID, a.DeletedAt).
		QueryRow(func(row pgx.Row) error { return row.Scan(&a.ID, &a.CreatedAt, &a.UpdatedAt) })
}
