//go:build pgbouncer

package interop_test

import (
	"slices"
	"testing"

	"github.com/insights-onprem/cost-sources/shared/sources"
	"github.com/insights-onprem/cost-sources/shared/store"
	"github.com/insights-onprem/cost-sources/shared/store/storetest"
	"github.com/insights-onprem/cost-sources/tests/pgbouncer"
)

// TestPgBouncerInterop: records are written in order, and taken, where each transaction comes to another connection.
func TestPgBouncerInterop(t *testing.T) {
	t.Parallel()

	w := setup(t)
	if err := storetest.Store(t, "", w.cfg.DatabaseURL).LiftIDs(t.Context(), store.ForeignIDs-1); err != nil {
		t.Fatal(err)
	}
	db, closeDB, err := store.Open(store.Config{DatabaseURL: pgbouncer.Front(t, storetest.As("interop", w.cfg.DatabaseURL)), MaxConns: 4})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(closeDB)
	w.cfg.PlainRecords = true
	url := w.start(w.cfg, db)
	src, all := w.life("prod")
	backwards := slices.Clone(all)
	slices.Reverse(backwards)
	w.want(204, url, backwards...)
	w.wantRecords(src, all...)
	w.wantNothingLeft()

	w.want(204, url, record("Application.create", apiForm, 1), record("Application.pause", apiForm, 2))
	taken, err := w.api.Source(t.Context(), "org1", sources.Ref{ID: 7})
	if err != nil || !taken.Paused || taken.Application == nil || taken.Application.ID != 3 {
		t.Errorf("what the records tell of is %+v, %v", taken, err)
	}
}
