package store

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/insights-onprem/cost-sources/shared/sources"
)

// A removal is the work on one provider.
type removal struct {
	db     *Store
	src    sources.Source
	schema string
	blocks blocksFunc
}

// errFinished: somebody else has finished the removal.
var errFinished = errors.New("the provider is removed")

// takeAll takes every step, and those again that no foreign key would remind of: report processing may have had a
// payload of the provider's in work, whose rows came where we had been, or in a partition that was made for them.
func (r removal) takeAll(ctx context.Context) error {
	for _, round := range []string{"", "again "} {
		steps, err := r.db.removalSteps(ctx, r.src, r.schema)
		if err != nil {
			return err
		}
		for _, st := range steps {
			if round != "" && !st.unlinked() {
				continue
			}
			if err := r.take(ctx, st, round); err != nil {
				return err
			}
		}
	}
	return nil
}

// The bounds of one transaction of a removal, during which a change of the source has to wait.
const (
	batchRows   = 5000
	batchWithin = time.Second
)

// batch works on ranges of blocks that next gives, in one transaction, until one of the bounds is reached or there
// are no more. next also says how far that is. It returns how many rows there were.
func (r removal) batch(ctx context.Context, st step, key string, next func() (from, to int64, ok bool)) (rows int64, err error) {
	err = r.db.InTx(ctx, func(tx *Store) error {
		now, err := tx.LockRegistered(ctx, r.src.OrgID, sources.Ref{ID: r.src.ID})
		if err != nil {
			return err
		}
		if !now.DetachedWith(r.src) {
			return errFinished
		}
		if err := tx.asTenant(ctx, r.schema); err != nil {
			return err
		}
		at := int64(0)
		for begun := time.Now(); rows < batchRows && time.Since(begun) < batchWithin; {
			from, to, ok := next()
			if !ok {
				break
			}
			tag, err := tx.db.Exec(ctx, st.statement(from, to, r.blocks))
			if err != nil {
				return domainError(err, nil)
			}
			rows, at = rows+tag.RowsAffected(), to
		}
		return tx.saveProgress(ctx, r.src, key, at)
	})
	return rows, err
}

// asTenant sets how long we wait for somebody's rows, and the search path: Koku's triggers use unqualified names.
func (s *Store) asTenant(ctx context.Context, schema string) error {
	if err := s.exec(ctx, boundWaiting); err != nil {
		return err
	}
	return s.exec(ctx, `SET LOCAL search_path = `+pgx.Identifier{schema}.Sanitize()+`, public`)
}

// saveProgress remembers where to go on, if there is a key for it, and has the relay ask again soon after the
// last batch: with the back-off of work that fails, what takes hours would take days.
func (s *Store) saveProgress(ctx context.Context, src sources.Source, key string, at int64) error {
	return s.exec(ctx, `
		UPDATE sources.source SET next_attempt_at = now() + $3::interval,
			removal_progress = CASE WHEN $4 = '' OR (removal_progress->>$4)::bigint > $5::bigint THEN removal_progress
				ELSE removal_progress || jsonb_build_object($4::text, $5::bigint) END
		WHERE org_id = $1 AND id = $2`, src.OrgID, src.ID, firstRepair, key, at)
}

func (r removal) forgetProgress(ctx context.Context) error {
	return r.db.exec(ctx, `
		UPDATE sources.source SET removal_progress = '{}' WHERE org_id = $1 AND id = $2`, r.src.OrgID, r.src.ID)
}

// isReferredTo: a row could not be deleted because another refers to it.
func isReferredTo(err error) bool {
	pg, ok := errors.AsType[*pgconn.PgError](err)
	return ok && pg.Code == foreignKeyViolation
}
