package store_test

import (
	"testing"
	"time"

	"github.com/insights-onprem/cost-sources/shared/events"
	"github.com/insights-onprem/cost-sources/shared/sources"
	"github.com/insights-onprem/cost-sources/shared/store"
)

// TestTimeGoesOn: a change that had to wait for another is not the earlier one.
func TestTimeGoesOn(t *testing.T) {
	t.Parallel()

	db, sql := openAPI(t)
	src := addSource(t, db, sources.Source{Name: "a"})
	attach := func(src *sources.Source) {
		src.Attach()
		src.Application.Changed = true
	}
	projected := func() (at time.Time) {
		if err := sql.QueryRow(t.Context(), `SELECT updated_timestamp FROM public.api_sources`).Scan(&at); err != nil {
			t.Fatal(err)
		}
		return at
	}
	var shown time.Time
	var first, second sources.Source
	err := db.InTx(t.Context(), func(tx *store.Store) (err error) {
		if _, err := tx.Source(t.Context(), "org1", sources.Ref{ID: src.ID}); err != nil { // the transaction has begun
			return err
		}
		first = save(t, db, src.ID, attach)
		shown = projected()
		if second, err = tx.LockSource(t.Context(), "org1", sources.Ref{ID: src.ID}); err != nil {
			return err
		}
		attach(&second)
		return tx.SaveSource(t.Context(), &second, events.SourceUpdated)
	})
	if err != nil {
		t.Fatal(err)
	}
	if second.Sequence != first.Sequence+1 || second.UpdatedAt.Before(first.UpdatedAt) {
		t.Errorf("event %d is of %v, the one before it of %v", second.Sequence, second.UpdatedAt, first.UpdatedAt)
	}
	if was, is := first.Application.UpdatedAt, second.Application.UpdatedAt; is.Before(was) {
		t.Errorf("the application was changed at %v, before that at %v", is, was)
	}
	if is := projected(); is.Before(shown) {
		t.Errorf("api_sources has %v, had %v", is, shown)
	}
}
