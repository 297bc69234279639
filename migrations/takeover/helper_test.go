package takeover_test

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/insights-onprem/cost-sources/migrations"
	"github.com/insights-onprem/cost-sources/migrations/takeover"
	"github.com/insights-onprem/cost-sources/shared/store/storetest"
	"github.com/insights-onprem/cost-sources/tests/koku"
)

// uuid is the n-th UUID of the tests.
func uuid(n int) string { return fmt.Sprintf("%08d-1111-2222-3333-444444444444", n) }

// source is what Koku has made for organization 1.
func source(id int, cluster string) koku.Source {
	return koku.Source{ID: id, Org: "1", Name: fmt.Sprintf("name of %d", id), Cluster: cluster, UUID: uuid(id)}
}

// world is a database of Koku's with our tables beside and the tenants 1 and 2.
func world(t *testing.T, all ...koku.Source) (address string) {
	t.Helper()
	address = koku.Database(t)
	koku.Tenant(t, address, "1")
	koku.Tenant(t, address, "2")
	koku.Add(t, address, all...)
	if err := migrations.Public(t.Context(), address); err != nil {
		t.Fatal(err)
	}
	return address
}

// run takes over; it has to succeed.
func run(t *testing.T, address string, opts takeover.Options) takeover.Report {
	t.Helper()
	report, err := takeover.Run(t.Context(), address, opts)
	if err != nil {
		t.Fatal(err)
	}
	return report
}

// lines returns the only column of a query.
func lines(t *testing.T, address, sql string, args ...any) []string {
	t.Helper()
	rows, _ := storetest.Connect(t, address).Query(t.Context(), sql, args...)
	values, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	return values
}

// registry describes the sources that ours know.
func registry(t *testing.T, address string) []string {
	t.Helper()
	return lines(t, address, `
		SELECT format('%s %s %s %s%s%s', id, state, coalesce(cluster_id, '-'), observed_generation || '/' || generation,
			CASE WHEN deleted_at IS NULL THEN '' ELSE ' deleted' END, CASE WHEN paused THEN ' paused' ELSE '' END)
		FROM sources.source ORDER BY id`)
}

func same(t *testing.T, what string, want, got []string) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}
