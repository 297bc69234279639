//go:build pgbouncer

package pgbouncer_test

import (
	"context"
	"slices"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/insights-onprem/cost-sources/shared/store"
	"github.com/insights-onprem/cost-sources/shared/store/storetest"
	"github.com/insights-onprem/cost-sources/tests/pgbouncer"
)

// TestPgBouncerLosesSessions: what tests rely on is that a client's transactions come to different connections,
// so that whatever depends on a session fails.
func TestPgBouncerLosesSessions(t *testing.T) {
	t.Parallel()

	address := pgbouncer.Front(t, storetest.Empty(t))
	var held []pgx.Tx
	for range pgbouncer.PoolSize { // each opens another connection
		tx, err := connect(t, address).Begin(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		backend(t, tx)
		held = append(held, tx)
	}
	for _, tx := range held {
		if err := tx.Rollback(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	one := connect(t, address)
	var met []int
	for range 4 * pgbouncer.PoolSize {
		met = append(met, backend(t, one))
	}
	slices.Sort(met)
	if met = slices.Compact(met); len(met) != pgbouncer.PoolSize {
		t.Errorf("one client's statements came to the connections %v, want %d of them", met, pgbouncer.PoolSize)
	}
}

// TestPgBouncerIsToldNoStatements: what a function prepared would be on one connection, and asked for on another.
func TestPgBouncerIsToldNoStatements(t *testing.T) {
	t.Parallel()

	pool, err := store.OpenPool(store.Config{DatabaseURL: pgbouncer.Front(t, storetest.Empty(t)), MaxConns: 2})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	for range 4 * pgbouncer.PoolSize {
		var n int
		if err := pool.QueryRow(t.Context(), `SELECT count(*) FROM pg_prepared_statements WHERE name <> $1`, "").Scan(&n); err != nil || n > 0 {
			t.Fatalf("%d statements are prepared, %v", n, err)
		}
	}
}

func connect(t *testing.T, address string) *pgx.Conn {
	t.Helper()
	cfg, err := pgx.ParseConfig(address)
	if err != nil {
		t.Fatal(err)
	}
	cfg.DefaultQueryExecMode = pgx.QueryExecModeExec
	conn, err := pgx.ConnectConfig(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.PgConn().Conn().Close() })
	return conn
}

// backend is the connection that a statement comes to.
func backend(t *testing.T, on interface {
	QueryRow(context.Context, string, ...any) pgx.Row
}) int {
	t.Helper()
	var pid int
	if err := on.QueryRow(t.Context(), "SELECT pg_backend_pid()").Scan(&pid); err != nil {
		t.Fatal(err)
	}
	return pid
}
