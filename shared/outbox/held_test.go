package outbox_test

import (
	"context"
	"errors"
	"net/http"
	"testing"

	"github.com/insights-onprem/cost-sources/shared/outbox"
	"github.com/insights-onprem/cost-sources/shared/sources"
	"github.com/insights-onprem/cost-sources/shared/store"
	"github.com/insights-onprem/cost-sources/shared/store/storetest"
)

// TestCutOff: a drain whose context ends leaves no lease behind.
func TestCutOff(t *testing.T) {
	t.Parallel()

	db, sql := storetest.Open(t, "relay")
	fill(t, sql, upTo(1, 100), 2)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	sink := newRecorder(func(n int, _ int64, _ *http.Request) int {
		if n == 30 {
			cancel()
		}
		return http.StatusAccepted
	})
	d := startAt(t, db, sink, nil)
	if err := d.Drain(ctx); !errors.Is(err, outbox.ErrUnsent) || errors.Is(err, outbox.ErrAway) {
		t.Errorf("Drain() = %v, want events unsent", err)
	}
	if n := count(t, sql, "sources.outbox_lease"); n != 0 {
		t.Errorf("%d leases stay behind", n)
	}
	if n := count(t, sql, "sources.outbox"); n == 0 {
		t.Error("the drain went on after the end of its context")
	}
	if err := d.Drain(t.Context()); err != nil {
		t.Error(err)
	}
	sink.wantInOrder(t, upTo(1, 100), 2)
}

// TestHoldsNothing: while the sink is waited for, no connection is in a transaction, active or taken.
func TestHoldsNothing(t *testing.T) {
	t.Parallel()

	address := storetest.Database(t)
	db, closeDB, err := store.Open(store.Config{DatabaseURL: storetest.As("sources", address), MaxConns: 1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(closeDB)
	var added []sources.Source
	for range 3 {
		added = append(added, addSource(t, db, 2))
	}
	reached, gate := make(chan string), make(chan struct{})
	sink := newRecorder(func(n int, _ int64, _ *http.Request) int {
		if n <= 3 {
			reached <- "held"
			<-gate
		}
		return http.StatusAccepted
	})
	d := startAt(t, db, sink, nil)
	for _, src := range added {
		d.Wake(src)
	}
	for range 3 {
		await(t, reached, "held")
	}
	var busy int
	err = storetest.Connect(t, address).QueryRow(t.Context(), `
		SELECT count(*) FROM pg_stat_activity
		WHERE datname = current_database() AND pid <> pg_backend_pid() AND (state <> 'idle' OR backend_xmin IS NOT NULL)`).Scan(&busy)
	if err != nil || busy != 0 {
		t.Errorf("%d connections are busy (%v)", busy, err)
	}
	addSource(t, db, 1) // it needs the pool's only connection
	close(gate)
	stop(t, d)
	sink.wantInOrder(t, upTo(1, 3), 2)
}
