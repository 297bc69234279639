package store_test

import (
	"context"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/insights-onprem/cost-sources/shared/sources"
	"github.com/insights-onprem/cost-sources/shared/store"
	"github.com/insights-onprem/cost-sources/shared/store/storetest"
)

// TestOrganization: an API's role sees the rows of the organization that its store is for, and no others, whatever
// its statement says; without an organization it sees none.
func TestOrganization(t *testing.T) {
	t.Parallel()

	for _, function := range []string{"sources", "applications"} {
		t.Run(function, func(t *testing.T) {
			t.Parallel()
			db, sql := storetest.Open(t, function)
			own := addSource(t, db.For("org1"), sources.Source{Name: "a"})
			for as, want := range map[string]bool{"org1": true, "org2": false, "": false, "org1'": false, `\`: false} {
				if found, err := seen(t, db.For(as), own.ID); found != want || err != nil {
					t.Errorf("%q sees the source: %v, %v", as, found, err)
				}
			}
			if found, err := seen(t, db, own.ID); found || err != nil {
				t.Errorf("without an organization the source is seen: %v, %v", found, err)
			}
			exec(t, sql, `INSERT INTO sources.idempotency_key (org_id, path, key, body_sha256) VALUES ('org1', '/', 'k', '')`)
			for table, want := range map[string]int{"source": 1, "outbox": 1, "idempotency_key": 1, "application": 0} {
				raw := storetest.Pool(t, storetest.As(function, sql.Config().ConnString()))
				if got := visible(t, raw, table, "org1"); got != want {
					t.Errorf("org1 sees %d rows of %s, want %d", got, table, want)
				}
				if got := visible(t, raw, table, "org2") + visible(t, raw, table, ""); got != 0 {
					t.Errorf("others see %d rows of %s", got, table)
				}
			}
		})
	}
}

// seen asks in each of the ways that a store has: a statement by itself, a transaction, one connection.
func seen(t *testing.T, db *store.Store, id int64) (found bool, err error) {
	t.Helper()
	_, err = db.Registered(t.Context(), id)
	found = err == nil
	for _, way := range []func(context.Context, func(*store.Store) error) error{db.InTx, db.OnOne} {
		err := way(t.Context(), func(db *store.Store) error {
			_, err := db.Registered(t.Context(), id)
			return err
		})
		if (err == nil) != found {
			t.Errorf("one way finds the source: %v, another: %v", found, err)
		}
	}
	if sources.KindOf(err) == sources.NotFound {
		err = nil
	}
	return found, err
}

// visible counts the rows of a table that a role sees as an organization.
func visible(t *testing.T, sql *pgxpool.Pool, table, as string) (n int) {
	t.Helper()
	tx, err := sql.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback(context.WithoutCancel(t.Context()))
	execute(t, tx, `SELECT set_config('cost_sources.org_id', $1, true)`, as)
	if err := tx.QueryRow(t.Context(), `SELECT count(*) FROM sources.`+table).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

// TestOrganizationLastsNoLonger: on one connection, what comes after a statement of an organization is not its.
func TestOrganizationLastsNoLonger(t *testing.T) {
	t.Parallel()

	address := storetest.Database(t)
	db, closeDB, err := store.Open(store.Config{DatabaseURL: storetest.As("sources", address), MaxConns: 1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(closeDB)
	own := addSource(t, db.For("org1"), sources.Source{Name: "a"})
	for _, wrong := range []*store.Store{db, db.For("org2")} {
		if found, err := seen(t, db.For("org1"), own.ID); !found || err != nil {
			t.Fatal(found, err)
		}
		if found, err := seen(t, wrong, own.ID); found || err != nil {
			t.Errorf("the source is seen by somebody else after its organization: %v, %v", found, err)
		}
	}
}

// TestForeignOrganizationIsNotWritten: nor can an organization write for another.
func TestForeignOrganizationIsNotWritten(t *testing.T) {
	t.Parallel()

	db, sql := storetest.Open(t, "sources")
	err := db.For("org2").InTx(t.Context(), func(tx *store.Store) error {
		_, err := tx.CreateSource(t.Context(), sources.Source{OrgID: "org1", Name: "a"})
		return err
	})
	if err == nil {
		t.Error("a source of another organization was made")
	}
	var n int
	if err := sql.QueryRow(t.Context(), `SELECT count(*) FROM sources.source`).Scan(&n); err != nil || n != 0 {
		t.Errorf("%d sources, %v", n, err)
	}
}
