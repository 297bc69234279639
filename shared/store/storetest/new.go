package storetest

import (
	"context"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/insights-onprem/cost-sources/shared/store"
)

// New opens a store of a function, by the name of its folder and with its role, on a fresh, migrated database of the
// test's own. It is closed when the test ends.
func New(t testing.TB, function string) *store.Store {
	t.Helper()
	return Store(t, function, Database(t))
}

// Store is New on a database that is there.
func Store(t testing.TB, function, address string) *store.Store {
	t.Helper()
	db, closeDB, err := store.Open(store.Config{DatabaseURL: As(function, address), MaxConns: 20})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(closeDB)
	return db
}

// Open is New with a way into the database that goes round the store and its role, for what tests want to see and to
// break.
func Open(t testing.TB, function string) (*store.Store, *pgxpool.Pool) {
	t.Helper()
	address := Database(t)
	return Store(t, function, address), Pool(t, address)
}

// Pool is that way into a database that is there.
func Pool(t testing.TB, address string) *pgxpool.Pool {
	t.Helper()
	sql, err := pgxpool.New(t.Context(), address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(sql.Close)
	return sql
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
