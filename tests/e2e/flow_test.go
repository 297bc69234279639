//go:build e2e

package e2e_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/insights-onprem/cost-sources/functions/ros-cleanup/cleanup/rostest"
	"github.com/insights-onprem/cost-sources/migrations"
)

// TestFlow is the flow of the README: a source, its application, its provider; and all of it gone after the delete.
func TestFlow(t *testing.T) {
	w := withWorld(t)
	const org, cluster = "flow1", "test-cluster-123"
	c := w.client(t, org)

	made := c.want(t, 201, "POST", "/sources/", `{"name": "OCP Test Provider", "source_type_id": "3"}`)
	id, err := made.id()
	if err != nil {
		t.Fatal(err)
	}
	c.want(t, 201, "POST", "/applications/", fmt.Sprintf(
		`{"source_id": "%d", "application_type_id": "0", "extra": {"bucket": "koku-bucket", "cluster_id": %q}}`, id, cluster))
	w.awaitProvider(t, org, cluster)
	if got := c.want(t, 200, "GET", fmt.Sprintf("/sources/%d", id), ""); got.body["availability_status"] != "available" || got.body["provider_linked"] != true {
		t.Errorf("with a provider the source is %s", got.text)
	}
	if owner := query[string](t, w.sql, `SELECT pg_get_userbyid(nspowner)::text FROM pg_namespace WHERE nspname = 'org' || $1`, org); len(w.logins) > 0 && owner != migrations.Role("provisioner") {
		t.Errorf("the tenant was made by %s, not by the provisioner's role", owner)
	}
	for _, list := range []string{"/sources", "/source_types", "/applications", "/application_types"} {
		c.want(t, 200, "GET", list, "")
	}

	if err := rostest.Seed(t.Context(), w.rosSQL, org, id, cluster, "alias", 3); err != nil {
		t.Fatal(err)
	}
	experiments, err := rostest.Experiments(t.Context(), w.rosSQL, org, id)
	if err != nil || len(experiments) != 3 {
		t.Fatalf("ROS has the experiments %v, %v", experiments, err)
	}
	w.kruize.Learn(experiments)
	c.want(t, 204, "DELETE", fmt.Sprintf("/sources/%d", id), "")
	c.want(t, 404, "GET", fmt.Sprintf("/sources/%d", id), "")
	awaitRows(t, w.sql, 0, `SELECT count(*) FROM public.api_provider p JOIN public.api_customer c ON c.id = p.customer_id WHERE c.org_id = $1`, org)
	awaitRows(t, w.sql, 0, `SELECT count(*) FROM public.api_providerauthentication WHERE credentials = jsonb_build_object('cluster_id', $1::text)`, cluster)
	awaitRows(t, w.sql, 0, `SELECT count(*) FROM sources.source WHERE id = $1 AND ros_cleaned_at IS NULL`, id)
	left, err := rostest.Count(t.Context(), w.rosSQL, org, id)
	if diff := cmp.Diff(map[string]int{}, left); err != nil || diff != "" {
		t.Errorf("what ROS has left (-want +got):\n%s%v", diff, err)
	}
	for _, name := range experiments {
		if w.kruize.Knows(name) {
			t.Errorf("Kruize still knows %s", name)
		}
	}
}

// providers counts what report processing finds for an organization and a cluster.
const providers = `
	SELECT count(*) FROM public.api_sources s
	JOIN public.api_provider p ON p.uuid = s.provider_id
	JOIN public.api_providerauthentication a ON a.id = p.authentication_id
	JOIN public.api_customer c ON c.id = p.customer_id
	WHERE s.org_id = $1 AND c.org_id = $1 AND a.credentials = jsonb_build_object('cluster_id', $2::text) AND p.active`

func (w *world) awaitProvider(t *testing.T, org, cluster string) {
	t.Helper()
	awaitRows(t, w.sql, 1, providers, org, cluster)
}

// awaitRows waits until the database counts n.
func awaitRows(t *testing.T, db *pgxpool.Pool, n int, sql string, args ...any) {
	t.Helper()
	until(t, func() (string, error) {
		if got := query[int](t, db, sql, args...); got != n {
			return fmt.Sprintf("%d, want %d: %s %v", got, n, sql, args), nil
		}
		return "", nil
	})
}

// until asks again until ok, which says what it still waits for, says nothing. It is for what nobody tells of.
func until(t *testing.T, ok func() (string, error)) {
	t.Helper()
	untilWithin(t, patience, ok)
}

func untilWithin(t *testing.T, patience time.Duration, ok func() (string, error)) {
	t.Helper()
	ticker := time.NewTicker(10 * time.Millisecond)
	defer ticker.Stop()
	deadline := time.After(patience)
	for {
		missing, err := ok()
		if err != nil {
			t.Fatal(err)
		}
		if missing == "" {
			return
		}
		select {
		case <-ticker.C:
		case <-deadline:
			t.Fatalf("%v later still: %s", patience, missing)
		}
	}
}

// query reads one value.
func query[T any](t *testing.T, db *pgxpool.Pool, sql string, args ...any) T {
	t.Helper()
	rows, _ := db.Query(t.Context(), sql, args...) // its error comes out of Collect
	v, err := pgx.CollectExactlyOneRow(rows, pgx.RowTo[T])
	if err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	return v
}
