package store

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"

	"github.com/insights-onprem/cost-sources/shared/sources"
)

// DetachProvider takes the provider of src out of use at once: reports find it no more, and another
// source may have its cluster. It reports whether there is one, and fills in since when it is detached, by which
// RemoveReferences tells this removal from a later one. The row of src has to be locked.
func (s *Store) DetachProvider(ctx context.Context, src *sources.Source) (exists bool, err error) {
	if err := s.exec(ctx, boundWaiting); err != nil {
		return false, err
	}
	authentication, exists, err := s.lockProvider(ctx, *src)
	if err != nil || !exists {
		return exists, err
	}
	batch := &pgx.Batch{}
	batch.Queue(`
		UPDATE public.api_sources SET provider_id = NULL, koku_uuid = NULL
		WHERE org_id = $1 AND source_id = $2 AND source_uuid = $3`, src.OrgID, src.ID, src.UUID)
	batch.Queue(`
		UPDATE public.api_provider p SET authentication_id = NULL, active = false
		FROM public.api_customer c WHERE c.id = p.customer_id AND c.org_id = $1 AND p.uuid = $2`, src.OrgID, src.UUID)
	// Who was late with a removal that another has finished may have left how far it came with that.
	batch.Queue(`
		UPDATE sources.source SET provider_detached_at = coalesce(provider_detached_at, now()),
			removal_progress = CASE WHEN provider_detached_at IS NULL THEN '{}' ELSE removal_progress END
		WHERE org_id = $1 AND id = $2
		RETURNING provider_detached_at`, src.OrgID, src.ID).
		QueryRow(func(row pgx.Row) error { return row.Scan(&src.ProviderDetachedAt) })
	if err := domainError(s.db.SendBatch(ctx, batch).Close(), nil); err != nil || authentication == nil {
		return true, err
	}
	return true, s.dropAuthentication(ctx, *authentication)
}

// RemoveReferences deletes what refers to the provider of src, in public and in the organization's own
// schema, children first and in bounded batches, each committed: what was interrupted is gone on with. It ends
// without an error where somebody else has finished the removal: from then on there may be a new provider,
// which has the same UUID, and a removal of that. Its errors are Unavailable where time was too short or somebody was in the way.
func (s *Store) RemoveReferences(ctx context.Context, src sources.Source) error {
	schema, err := s.schemaFor(ctx, src.OrgID)
	if err != nil {
		return err
	}
	blocks, err := s.blocksFunc(ctx)
	if err != nil {
		return err
	}
	r := removal{db: s, src: src, schema: schema, blocks: blocks}
	err = r.takeAll(ctx)
	switch {
	case errors.Is(err, errFinished):
		return nil
	case err == nil || isReferredTo(err):
		// What could not be deleted because of new rows that refer to it is begun anew: they may be where we
		// have been. So is everything, should the provider itself not go.
		return errors.Join(err, r.forgetProgress(ctx))
	default:
		return err
	}
}

// FinishRemoval removes the provider of src itself and records that it is gone. The row of src has to be
// locked. Where something refers to the provider again, the commit fails with an Unavailable error.
func (s *Store) FinishRemoval(ctx context.Context, src sources.Source) error {
	batch := &pgx.Batch{}
	batch.Queue(boundWaiting)
	batch.Queue(`
		DELETE FROM public.api_provider p USING public.api_customer c
		WHERE c.id = p.customer_id AND c.org_id = $1 AND p.uuid = $2`, src.OrgID, src.UUID)
	// A source that wants a provider again has not been seen to the end yet.
	batch.Queue(`
		UPDATE sources.source SET provider_detached_at = NULL, provider_removed_at = now(),
			observed_generation = CASE WHEN $3::boolean THEN observed_generation ELSE generation END
		WHERE org_id = $1 AND id = $2`, src.OrgID, src.ID, src.WantsProvider())
	batch.Queue(`UPDATE public.api_customer SET date_updated = now() WHERE org_id = $1`, src.OrgID)
	return domainError(s.db.SendBatch(ctx, batch).Close(), nil)
}
