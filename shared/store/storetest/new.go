package storetest

import (
	"testing"

	"github.com/insights-onprem/cost-sources/shared/store"
)

// New opens a store on a fresh, migrated database of the test's own. It is closed when the test ends.
func New(t testing.TB) *store.Store {
	t.Helper()
	db, closeDB, err := store.Open(store.Config{DatabaseURL: Database(t), MaxConns: 20})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(closeDB)
	return db
}
