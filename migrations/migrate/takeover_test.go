package main

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/insights-onprem/cost-sources/functions/ros-cleanup/cleanup/rostest"
	"github.com/insights-onprem/cost-sources/shared/store/storetest"
	"github.com/insights-onprem/cost-sources/tests/koku"
	"github.com/insights-onprem/cost-sources/tests/process"
)

// kokus is a database of Koku's with one source in it.
func kokus(t *testing.T) (address string) {
	t.Helper()
	address = koku.Database(t)
	koku.Tenant(t, address, "1")
	koku.Add(t, address, koku.Source{ID: 7, Org: "1", Name: "seven", Cluster: "c7", UUID: "77777777-1111-2222-3333-444444444444"})
	return address
}

// refused runs migrate, which has to fail with want on its standard error and to have changed nothing.
func refused(t *testing.T, address, want string, env []string, args ...string) {
	t.Helper()
	before := koku.Catalogue(t, address, "public")
	c := process.NewCommand(t.Context(), env, args...)
	if status := c.Status(t); status != 1 || !strings.Contains(c.Errs.String(), want) {
		t.Errorf("exit status %d, standard error %q; want 1 and %q", status, &c.Errs, want)
	}
	if diff := cmp.Diff(before, koku.Catalogue(t, address, "public")); diff != "" {
		t.Errorf("public was changed (-before +after):\n%s", diff)
	}
	var registry bool
	if err := storetest.Connect(t, address).QueryRow(t.Context(), `SELECT to_regnamespace('sources') IS NOT NULL`).Scan(&registry); err != nil || registry {
		t.Errorf("there is a schema sources: %v, %v", registry, err)
	}
}

// TestTakesOver: the command takes over, above what ROS knows, and tells; without a word about ROS it does nothing.
func TestTakesOver(t *testing.T) {
	t.Parallel()

	address, ros := kokus(t), storetest.Empty(t)
	if err := rostest.Load(t.Context(), ros); err != nil {
		t.Fatal(err)
	}
	storetest.Execute(t, ros, `
		WITH a AS (INSERT INTO rh_accounts (org_id) VALUES ('5') RETURNING id)
		INSERT INTO clusters (tenant_id, source_id, cluster_uuid, cluster_alias) SELECT id, '33', 'c', 'c' FROM a`)
	env := []string{"DATABASE_URL=" + address, "TENANT_TEMPLATE_SCHEMA=" + koku.Template}
	refused(t, address, "ROS_DATABASE_URL is not set", env)
	refused(t, address, "ROS_DATABASE_URL: nothing was changed", append(env, "ROS_DATABASE_URL=postgres://127.0.0.1:1/ros"))
	env = append(env, "ROS_DATABASE_URL="+ros)
	if got, want := migrated(t, env), "taken over from Koku: 1 (1 ready, 0 pending, 0 waiting, 0 failed, 0 deleted)\n"; got != want {
		t.Errorf("migrate tells %q, want %q", got, want)
	}
	storetest.Execute(t, address, `UPDATE public.api_sources SET name = 'new'`)
	if got := migrated(t, env); !strings.HasPrefix(got, "1 have another name") {
		t.Errorf("after a change of Koku's migrate tells %q", got)
	}
	if got := migrated(t, env, "--adopt"); got != "1 changed, as Koku has: source 7\n" {
		t.Errorf("migrate --adopt tells %q", got)
	}
	if got := migrated(t, []string{"DATABASE_URL=" + address}); got != "" {
		t.Errorf("with nothing left migrate tells %q", got)
	}
	var next int
	if err := storetest.Connect(t, address).QueryRow(t.Context(), `SELECT nextval(pg_get_serial_sequence('sources.source', 'id'))`).Scan(&next); err != nil || next != 34 {
		t.Errorf("the next source is number %d, %v; want 34, above what ROS knows", next, err)
	}
}

// TestTemplateIsLookedAt: with a template the command wants Koku's function, and says so before it changes anything.
func TestTemplateIsLookedAt(t *testing.T) {
	t.Parallel()

	address := kokus(t)
	koku.Execute(t, address, `DROP FUNCTION public.clone_schema`)
	refused(t, address, "public.clone_schema is missing", []string{"DATABASE_URL=" + address, "ROS_DATABASE_URL=off", "TENANT_TEMPLATE_SCHEMA=template0"})
	migrated(t, []string{"DATABASE_URL=" + address, "ROS_DATABASE_URL=off"})
}
