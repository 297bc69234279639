package store_test

import (
	"testing"

	"github.com/insights-onprem/cost-sources/shared/sources"
	"github.com/insights-onprem/cost-sources/shared/store"
	"github.com/insights-onprem/cost-sources/shared/store/storetest"
)

// TestPrepared: where no pooler is in between, PostgreSQL plans a statement once for each connection. (tests/pgbouncer has
// the other case.)
func TestPrepared(t *testing.T) {
	t.Parallel()

	pool, err := store.OpenPool(store.Config{DatabaseURL: storetest.Database(t), MaxConns: 1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	var n int
	for range 3 { // the first connection is used once, to find out
		if err := pool.QueryRow(t.Context(), `SELECT count(*) FROM pg_prepared_statements WHERE name <> $1`, "").Scan(&n); err != nil {
			t.Fatal(err)
		}
	}
	if n != 1 {
		t.Errorf("%d statements are prepared, want the one that was asked", n)
	}
}

// TestTableChangesMeanwhile: a migration while a function runs is in the way of a statement once at most, which may heal.
func TestTableChangesMeanwhile(t *testing.T) {
	t.Parallel()

	address := storetest.Database(t)
	db, closeDB, err := store.Open(store.Config{DatabaseURL: storetest.As("relay", address), MaxConns: 1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(closeDB)
	sql := storetest.Pool(t, address)
	execute(t, sql, `INSERT INTO sources.source (id, org_id, name, source_type, state) VALUES (1, 'org1', 'a', 'OCP', 'waiting')`)
	read := func() error {
		_, err := db.Registered(t.Context(), 1)
		return err
	}
	for range 3 {
		if err := read(); err != nil {
			t.Fatal(err)
		}
	}
	execute(t, sql, `ALTER TABLE sources.source ALTER account_number TYPE varchar(100)`)
	if err := read(); sources.KindOf(err) != sources.Unavailable {
		t.Errorf("Registered() after the column's type has changed = %v, want it to be unavailable", err)
	}
	if err := read(); err != nil {
		t.Errorf("Registered() again = %v", err)
	}
}
