package storetest

import (
	"context"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/insights-onprem/cost-sources/shared/store"
)

// New opens a store on a fresh, migrated database of the test's own. It is closed when the test ends.
func New(t testing.TB) *store.Store {
	t.Helper()
	db, _ := Open(t)
	return db
}

// Open is New with a way into the database that goes round the store, for what tests want to see and to
// break.
func Open(t testing.TB) (*store.Store, *pgxpool.Pool) {
	t.Helper()
	url := Database(t)
	db, closeDB, err := store.Open(store.Config{DatabaseURL: url, MaxConns: 20})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(closeDB)
	sql, err := pgxpool.New(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(sql.Close)
	return db, sql
}

// Connect opens a connection that closes with the test.
func Connect(t testing.TB, address string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close(context.WithoutCancel(t.Context())) })
	return conn
}

// Execute runs statements on a connection of their own.
func Execute(t testing.TB, address string, statements ...string) {
	t.Helper()
	conn := Connect(t, address)
	for _, sql := range statements {
		if _, err := conn.Exec(t.Context(), sql); err != nil {
			t.Fatalf("%s: %v", sql, err)
		}
	}
}
