package store_test

import (
	"testing"

	"github.com/insights-onprem/cost-sources/shared/events"
	"github.com/insights-onprem/cost-sources/shared/sources"
	"github.com/insights-onprem/cost-sources/shared/store"
)

// TestTimeGoesOn: a change that had to wait for another is not the earlier one.
func TestTimeGoesOn(t *testing.T) {
	t.Parallel()

	db, _ := openAPI(t)
	src := addSource(t, db, sources.Source{Name: "a"})
	var first, second sources.Source
	err := db.InTx(t.Context(), func(tx *store.Store) (err error) {
		if _, err := tx.Source(t.Context(), "org1", sources.Ref{ID: src.ID}); err != nil { // the transaction has begun
			return err
		}
		first = save(t, db, src.ID, func(*sources.Source) {})
		if second, err = tx.LockSource(t.Context(), "org1", sources.Ref{ID: src.ID}); err != nil {
			return err
		}
		return tx.SaveSource(t.Context(), &second, events.SourceUpdated)
	})
	if err != nil {
		t.Fatal(err)
	}
	if second.Sequence != first.Sequence+1 || second.UpdatedAt.Before(first.UpdatedAt) {
		t.Errorf("event %d is of %v, the one before it of %v", second.Sequence, second.UpdatedAt, first.UpdatedAt)
	}
}
