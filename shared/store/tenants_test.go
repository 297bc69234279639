package store_test

import (
	"context"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/insights-onprem/cost-sources/migrations"
	"github.com/insights-onprem/cost-sources/shared/sources"
	"github.com/insights-onprem/cost-sources/shared/store"
	"github.com/insights-onprem/cost-sources/shared/store/storetest"
)

// TestTenantEndsItsConnection: what a server process has learnt of a tenant that it made goes with the process, and
// the pool has as many connections as it may have, not one more.
func TestTenantEndsItsConnection(t *testing.T) {
	t.Parallel()

	address := storetest.Database(t)
	db, closeDB, err := store.Open(store.Config{DatabaseURL: storetest.As("provisioner", address), MaxConns: 1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(closeDB)
	sql := storetest.Pool(t, address)
	for _, org := range []string{"org1", "org2", "org3"} {
		if err := db.EnsureTenant(t.Context(), sources.Source{OrgID: org}, migrations.NewTenant); err != nil {
			t.Fatal(err)
		}
		if n := connections(t, sql); n > 1 { // of which the one that made the tenant may still be ending
			t.Errorf("a pool of one has %d connections", n)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		for connections(t, sql) > 0 {
			if ctx.Err() != nil {
				t.Fatalf("the connection that made the tenant of %s is still there", org)
			}
		}
	}
}

// connections counts those of the provisioner.
func connections(t *testing.T, sql *pgxpool.Pool) (n int) {
	t.Helper()
	err := sql.QueryRow(t.Context(), `SELECT count(*) FROM pg_stat_activity
		WHERE datname = current_database() AND query LIKE '%public.api_customer%' AND pid <> pg_backend_pid()`).Scan(&n)
	if err != nil {
		t.Fatal(err)
	}
	return n
}
