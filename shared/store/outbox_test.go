package store_test

import (
	"slices"
	"testing"

	"github.com/insights-onprem/cost-sources/shared/store"
	"github.com/insights-onprem/cost-sources/shared/store/storetest"
)

// TestWaiting: the oldest first, without what is parked or being sent, and onward from a place.
func TestWaiting(t *testing.T) {
	t.Parallel()

	db, sql := storetest.Open(t, "relay")
	execute(t, sql, `INSERT INTO sources.outbox (source_id, sequence, id, event, created_at, parked_at)
		SELECT source, sequence, gen_random_uuid(), '{}', now() + age * interval '1 second', parked
		FROM (VALUES (3, 1, 1, NULL), (1, 1, 2, NULL), (1, 2, 3, NULL), (4, 1, 4, now()), (5, 1, 5, NULL), (2, 1, 5, NULL), (6, 1, 6, NULL))
			AS e (source, sequence, age, parked)`)
	execute(t, sql, `INSERT INTO sources.outbox_lease VALUES
		(3, gen_random_uuid(), now() + interval '1 hour'), (1, gen_random_uuid(), now() - interval '1 hour')`)
	var got []int64
	for place := (store.Place{}); ; {
		page, err := db.Waiting(t.Context(), place, 2)
		if err != nil {
			t.Fatal(err)
		}
		if len(page) == 0 {
			break
		}
		for _, place = range page {
			got = append(got, place.SourceID)
		}
	}
	if want := []int64{1, 1, 2, 5, 6}; !slices.Equal(got, want) {
		t.Errorf("Waiting() leads past %v, want %v", got, want)
	}
}
