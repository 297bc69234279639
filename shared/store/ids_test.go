package store_test

import (
	"testing"

	"github.com/insights-onprem/cost-sources/shared/sources"
	"github.com/insights-onprem/cost-sources/shared/store"
	"github.com/insights-onprem/cost-sources/shared/store/storetest"
)

// TestLiftIDs: the next id is above what was asked for, and never lower than it was.
func TestLiftIDs(t *testing.T) {
	t.Parallel()

	db, sql := storetest.Open(t, "")
	next := func() (id int64) {
		t.Helper()
		err := db.InTx(t.Context(), func(tx *store.Store) error {
			src, err := tx.CreateSource(t.Context(), sources.Source{OrgID: "org1", Name: "x"})
			id = src.ID
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return id
	}
	for _, tt := range []struct{ above, want int64 }{{0, 1}, {0, 2}, {9, 10}, {9, 11}, {3, 12}, {20, 21}} {
		if err := db.LiftIDs(t.Context(), tt.above); err != nil {
			t.Fatal(err)
		}
		if got := next(); got != tt.want {
			t.Errorf("after LiftIDs(%d) the next id is %d, want %d", tt.above, got, tt.want)
		}
	}
	// A row that brought its id with it.
	if _, err := sql.Exec(t.Context(), `INSERT INTO sources.source (id, org_id, name, source_type, state) VALUES (30, 'org1', 'x', 'OCP', 'waiting')`); err != nil {
		t.Fatal(err)
	}
	if err := db.LiftIDs(t.Context(), 0); err != nil || next() != 31 {
		t.Errorf("beside a row with the id 30: %v, or the next one is not 31", err)
	}
	// Ids are not given again where their rows have been forgotten.
	if _, err := sql.Exec(t.Context(), `DELETE FROM sources.source`); err != nil {
		t.Fatal(err)
	}
	if err := db.LiftIDs(t.Context(), 5); err != nil || next() != 32 {
		t.Errorf("after all rows have gone: %v, or the next one is not 32", err)
	}
	var application int64
	if err := sql.QueryRow(t.Context(), `SELECT nextval(pg_get_serial_sequence('sources.application', 'id'))`).Scan(&application); err != nil || application != 21 {
		t.Errorf("the next application would be %d (%v), want 21", application, err)
	}
	if err := db.LiftIDs(t.Context(), 2_000_000_001); err == nil {
		t.Error("an id that leaves too few is taken")
	}
}
