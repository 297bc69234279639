package store_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/insights-onprem/cost-sources/migrations"
	"github.com/insights-onprem/cost-sources/shared/sources"
	"github.com/insights-onprem/cost-sources/shared/store"
	"github.com/insights-onprem/cost-sources/shared/store/storetest"
)

// TestTenantsEndTheirConnection: what a server process has learnt of the tenants that it made goes with the process
// when these are many, and the pool has as many connections as it may have, not one more.
func TestTenantsEndTheirConnection(t *testing.T) {
	t.Parallel()

	address := storetest.Database(t)
	db, closeDB, err := store.Open(store.Config{DatabaseURL: storetest.As("provisioner", address) + "&application_name=maker", MaxConns: 1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(closeDB)
	sql := storetest.Pool(t, address)
	for n := range store.TenantsEach {
		if err := db.EnsureTenant(t.Context(), sources.Source{OrgID: fmt.Sprintf("org%d", n)}, migrations.NewTenant); err != nil {
			t.Fatal(err)
		}
		if got := connections(t, sql); got != 1 && n+1 < store.TenantsEach {
			t.Fatalf("after %d tenants a pool of one has %d connections", n+1, got)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for connections(t, sql) > 0 {
		if ctx.Err() != nil {
			t.Fatalf("the connection that has made %d tenants is still there", store.TenantsEach)
		}
	}
	if there, err := db.HasTenant(t.Context(), "org0"); !there || err != nil {
		t.Errorf("HasTenant() on a new connection = %v, %v", there, err)
	}
}

// connections counts those of the store that makes tenants.
func connections(t *testing.T, sql *pgxpool.Pool) (n int) {
	t.Helper()
	err := sql.QueryRow(t.Context(), `SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'maker'`).Scan(&n)
	if err != nil {
		t.Fatal(err)
	}
	return n
}
