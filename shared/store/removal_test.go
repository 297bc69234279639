package store_test

import (
	"slices"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/insights-onprem/cost-sources/shared/store"
	"github.com/insights-onprem/cost-sources/shared/store/storetest"
)

// TestBlocks: what PostgreSQL 13 is asked for is what the newer ones are, in ranges that together are all of a table.
func TestBlocks(t *testing.T) {
	t.Parallel()

	conn := storetest.Connect(t, storetest.Empty(t))
	// Rows of one byte, of which a block holds as many as it can, and others; some are gone again.
	_, err := conn.Exec(t.Context(), `
		CREATE TABLE rows (a "char");
		INSERT INTO rows SELECT 'x' FROM generate_series(1, 2000);
		CREATE TABLE wide (a text);
		INSERT INTO wide SELECT repeat('x', n) FROM generate_series(1, 1000) n;
		DELETE FROM wide WHERE length(a) % 3 = 0`)
	if err != nil {
		t.Fatal(err)
	}
	for table, all := range map[string]int{"rows": 2000, "wide": 667} {
		found := 0
		for from := int64(0); from < 100; from += 7 {
			var places [2][]string
			for i, blocks := range []func(from, to int64) string{store.BlockRange, store.BlockPlaces} {
				rows, _ := conn.Query(t.Context(), "SELECT ctid::text FROM "+table+" WHERE "+blocks(from, from+7)+" ORDER BY ctid")
				if places[i], err = pgx.CollectRows(rows, pgx.RowTo[string]); err != nil {
					t.Fatal(err)
				}
			}
			if !slices.Equal(places[0], places[1]) {
				t.Errorf("%s from block %d: %d rows by range, %d by place", table, from, len(places[0]), len(places[1]))
			}
			found += len(places[0])
		}
		if found != all {
			t.Errorf("%s: %d rows found in all, want %d", table, found, all)
		}
	}
}
