package store

import (
	"context"
	"time"

	"github.com/insights-onprem/cost-sources/shared/sources"
)

// Projected reports whether api_sources has a row with that source id, whosever it is: one that Koku made
// lives there without being in the registry.
func (s *Store) Projected(ctx context.Context, sourceID int64) (bool, error) {
	return value[bool](ctx, s, `SELECT EXISTS (SELECT FROM public.api_sources WHERE source_id = $1::bigint)`, sourceID)
}

// ForeignIDs are the ids that other producers may give: those below it. Ours are above, once LiftIDs has lifted them.
const ForeignIDs = 1_000_000_000

// IDsLifted reports whether no source or application of ours can get an id that another producer may give.
func (s *Store) IDsLifted(ctx context.Context) (bool, error) {
	return value[bool](ctx, s, `
		SELECT (a.last_value >= $1 - 1 AND b.last_value >= $1 - 1)
		FROM sources.source_id_seq a, sources.application_id_seq b`, ForeignIDs)
}

// LockForeign is LockRegistered, with the time of the newest record of another producer that the source was changed by;
// nil if it is one of ours.
func (s *Store) LockForeign(ctx context.Context, orgID string, id int64) (src sources.Source, at *time.Time, err error) {
	if src, err = s.LockRegistered(ctx, orgID, sources.Ref{ID: id}); err != nil {
		return src, nil, err
	}
	at, err = value[*time.Time](ctx, s, `SELECT record_at FROM sources.source WHERE org_id = $1 AND id = $2`, orgID, id)
	return src, at, err
}

// RecordedAt marks a source, which is locked, as changed by a record of another producer of that time.
func (s *Store) RecordedAt(ctx context.Context, orgID string, id int64, at time.Time) error {
	return s.exec(ctx, `UPDATE sources.source SET record_at = greatest(record_at, $3) WHERE org_id = $1 AND id = $2`, orgID, id, at)
}

// CreateForeign is CreateSource for one that another producer has made, under the id that it was given there. Its
// error is Unavailable where somebody else is making it.
func (s *Store) CreateForeign(ctx context.Context, draft sources.Source, at time.Time) (sources.Source, error) {
	tag, err := s.db.Exec(ctx, `
		INSERT INTO sources.source
			(id, org_id, account_number, name, source_type, cluster_id, credentials, paused, state, record_at)
		VALUES ($1, $2, $3, $4, $5, nullif($6, ''), $7, $8, 'waiting', $9)
		ON CONFLICT (id) DO NOTHING`,
		draft.ID, draft.OrgID, draft.AccountNumber, draft.Name, sources.TypeOCP, draft.ClusterID,
		orEmpty(draft.Credentials), draft.Paused, at)
	if err == nil && tag.RowsAffected() == 0 {
		return sources.Source{}, &sources.Error{Kind: sources.Unavailable, Msg: "The source is being made."}
	}
	if err != nil {
		return sources.Source{}, domainError(err, nil)
	}
	return s.Registered(ctx, draft.ID)
}

// AttachForeign gives a source, which is locked and has none, an application under the id that another producer has
// given it. SaveSource has to follow. Its error is Invalid where another source has an application with that id.
func (s *Store) AttachForeign(ctx context.Context, src *sources.Source, id int64) error {
	if taken, err := value[bool](ctx, s, `
		SELECT EXISTS (SELECT FROM sources.application WHERE id = $1 AND source_id <> $2)`, id, src.ID); err != nil || taken {
		if taken {
			err = sources.Invalidf("", "Another source has an application with this id.")
		}
		return err
	}
	if err := s.exec(ctx, `
		INSERT INTO sources.application (id, org_id, source_id, application_type_id) VALUES ($1, $2, $3, 0)
		ON CONFLICT (source_id, application_type_id) DO UPDATE
			SET id = excluded.id, created_at = now(), updated_at = now(), deleted_at = NULL`, id, src.OrgID, src.ID); err != nil {
		return err
	}
	attached, err := s.Registered(ctx, src.ID)
	src.Application, src.ROSCleanedAt, src.ROSRecheckedAt = attached.Application, nil, nil
	return err
}
