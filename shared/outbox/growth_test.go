package outbox_test

import (
	"net/http"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/insights-onprem/cost-sources/shared/store/storetest"
)

// TestDoesNotGrow: however much has gone through them, the tables have the size of what waits at once.
func TestDoesNotGrow(t *testing.T) {
	t.Parallel()

	db, sql := storetest.Open(t, "relay")
	d := startAt(t, db, newRecorder(func(int, int64, *http.Request) int { return http.StatusAccepted }), nil)
	var sizes []int64
	for range 7 {
		fill(t, sql, upTo(1, 100), 4)
		if err := d.Drain(t.Context()); err != nil {
			t.Fatal(err)
		}
		sizes = append(sizes, size(t, sql))
		if _, err := sql.Exec(t.Context(), `VACUUM sources.outbox, sources.outbox_lease`); err != nil {
			t.Fatal(err)
		}
	}
	// The pages that one vacuum empties of an index are used again after the next, so it takes three rounds
	// to come to the final size. Two pages for each of the four indexes may be a matter of timing.
	if settled, last := sizes[2], sizes[6]; last > settled+4*2*8192 {
		t.Errorf("the size after each round is %v, want no more of it from the third on", sizes)
	}
}

// TestVacuumedByNumber: autovacuum does not wait for a part of what a table held on its greatest day.
func TestVacuumedByNumber(t *testing.T) {
	t.Parallel()

	_, sql := storetest.Open(t, "relay")
	if n := count(t, sql, `pg_class
		WHERE (oid IN ('sources.outbox'::regclass, 'sources.outbox_lease'::regclass)
			OR oid = (SELECT reltoastrelid FROM pg_class WHERE oid = 'sources.outbox'::regclass))
		AND 'autovacuum_vacuum_scale_factor=0' = ANY (reloptions)`); n != 3 {
		t.Errorf("%d tables are vacuumed by number, want the outbox, its long bodies, and the leases", n)
	}
}

// size is that of the tables with all that belongs to them.
func size(t *testing.T, sql *pgxpool.Pool) (bytes int64) {
	t.Helper()
	err := sql.QueryRow(t.Context(), `
		SELECT pg_total_relation_size('sources.outbox') + pg_total_relation_size('sources.outbox_lease')`).Scan(&bytes)
	if err != nil {
		t.Fatal(err)
	}
	return bytes
}
