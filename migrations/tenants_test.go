package migrations_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sync/errgroup"

	"github.com/insights-onprem/cost-sources/migrations"
	"github.com/insights-onprem/cost-sources/shared/store/storetest"
)

// addColumn is a next migration that fails the second time, and in a tenant without the table.
const addColumn = "ALTER TABLE user_settings ADD COLUMN added integer;"

func status(t *testing.T, address, next string) migrations.State {
	t.Helper()
	state, err := migrations.StatusWith(t.Context(), address, withNext(t, next), withNext(t, next))
	if err != nil {
		t.Fatal(err)
	}
	return state
}

// failures returns the names of the tenants in an error of AllTenants.
func failures(t *testing.T, err error) (schemas []string) {
	t.Helper()
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		t.Fatalf("AllTenants = %v, want errors of tenants", err)
	}
	for _, err := range joined.Unwrap() {
		failure, ok := errors.AsType[*migrations.TenantError](err)
		if !ok {
			t.Fatalf("AllTenants = %v, want errors of tenants only", err)
		}
		schemas = append(schemas, failure.Schema)
	}
	return schemas
}

func TestTenantsAreThoseOfOurs(t *testing.T) {
	t.Parallel()

	address := storetest.Database(t)
	newTenants(t, address, "orgB", "orga", "unregistered")
	storetest.Execute(t, address,
		"DELETE FROM public.api_tenant WHERE schema_name = 'unregistered'",
		"CREATE SCHEMA kokus", "CREATE TABLE kokus.user_settings (id int)",
		"INSERT INTO public.api_tenant (schema_name) VALUES ('kokus'), ('public'), ('gone')")

	got, err := migrations.Tenants(t.Context(), address)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"orgB", "orga"}, got); diff != "" {
		t.Errorf("Tenants (-want +got):\n%s", diff)
	}

	before := catalogue(t, address, "kokus")
	if err := migrations.AllTenantsWith(t.Context(), address, migrations.Options{}, withNext(t, addColumn)); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(before, catalogue(t, address, "kokus")); diff != "" {
		t.Errorf("Koku's tenant was migrated (-before +after):\n%s", diff)
	}
}

func TestBadTenantDoesNotStopTheOthers(t *testing.T) {
	t.Parallel()

	address := storetest.Database(t)
	newTenants(t, address, "org1", "org2", "org3", "org4", "org5")
	storetest.Execute(t, address, "ALTER TABLE org2.user_settings RENAME TO hidden")
	busy, err := storetest.Connect(t, address).Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := busy.Exec(t.Context(), "SELECT FROM org4.user_settings"); err != nil {
		t.Fatal(err)
	}

	next := withNext(t, addColumn)
	err = migrations.AllTenantsWith(t.Context(), address, migrations.Options{Workers: 2}, next)
	if diff := cmp.Diff([]string{"org2", "org4"}, failures(t, err)); diff != "" {
		t.Errorf("tenants that failed (-want +got):\n%s\n%v", diff, err)
	}
	if got := status(t, address, addColumn); got.Tenants[999] != 3 || got.Behind() != 2 {
		t.Errorf("after the first run %+v, want 3 done and 2 behind", got)
	}

	storetest.Execute(t, address, "ALTER TABLE org2.hidden RENAME TO user_settings")
	if err := busy.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := migrations.AllTenantsWith(t.Context(), address, migrations.Options{}, next); err != nil {
		t.Fatal(err)
	}
	if got := status(t, address, addColumn); got.Tenants[999] != 5 || got.Behind() != 0 {
		t.Errorf("after the second run %+v, want all done", got)
	}
}

func TestAllTenantsTwiceAtOnce(t *testing.T) {
	t.Parallel()

	address := storetest.Database(t)
	newTenants(t, address, "org1", "org2", "org3")
	next := withNext(t, addColumn)
	var runs errgroup.Group
	for range 2 {
		runs.Go(func() error {
			return migrations.AllTenantsWith(t.Context(), address, migrations.Options{}, next)
		})
	}
	if err := runs.Wait(); err != nil {
		t.Error(err)
	}
	if got := status(t, address, addColumn); got.Tenants[999] != 3 {
		t.Errorf("after two runs %+v, want all done", got)
	}
}

func TestAllTenantsReportsProgress(t *testing.T) {
	t.Parallel()

	address := storetest.Database(t)
	newTenants(t, address, "org1", "org2")
	storetest.Execute(t, address, "DROP TABLE org1.user_settings")
	var got []string
	opts := migrations.Options{Workers: 1, Progress: func(p migrations.Progress) {
		result := "done"
		if p.Err != nil {
			result = "failed"
		}
		got = append(got, fmt.Sprintf("%d/%d %s %s", p.Done, p.Total, p.Schema, result))
	}}
	failures(t, migrations.AllTenantsWith(t.Context(), address, opts, withNext(t, addColumn)))
	if diff := cmp.Diff([]string{"0/2  done", "1/2 org1 failed", "2/2 org2 done"}, got); diff != "" {
		t.Errorf("progress (-want +got):\n%s", diff)
	}
}

func TestAllTenantsBrokenOff(t *testing.T) {
	t.Parallel()

	address := storetest.Database(t)
	newTenants(t, address, "org1", "org2", "org3")
	next := withNext(t, addColumn)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	opts := migrations.Options{Workers: 1, Progress: func(p migrations.Progress) {
		if p.Done == 1 {
			cancel()
		}
	}}
	err := migrations.AllTenantsWith(ctx, address, opts, next)
	if !errors.Is(err, context.Canceled) || err.Error() != "stopped after 1 of 3 tenants: context canceled" {
		t.Errorf("AllTenants = %v, want that it was stopped", err)
	}
	if got := status(t, address, addColumn); got.Tenants[999] != 1 {
		t.Errorf("after it was stopped %+v, want 1 done", got)
	}
	if err := migrations.AllTenantsWith(t.Context(), address, migrations.Options{}, next); err != nil {
		t.Fatal(err)
	}
	if got := status(t, address, addColumn); got.Behind() != 0 {
		t.Errorf("after another run %+v, want none behind", got)
	}
}

func TestStatus(t *testing.T) {
	t.Parallel()

	address := storetest.Empty(t)
	check := func(want migrations.State) {
		t.Helper()
		got, err := migrations.Status(t.Context(), address)
		if err != nil {
			t.Fatal(err)
		}
		want.PublicNewest, want.TenantNewest = got.PublicNewest, got.TenantNewest
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("Status (-want +got):\n%s", diff)
		}
	}
	check(migrations.State{Tenants: map[int64]int{}})
	if got := catalogue(t, address, "public"); len(got) > 0 {
		t.Errorf("Status made %q", got)
	}

	migratePublic(t, address)
	newTenants(t, address, "org1", "org2")
	storetest.Execute(t, address, "DELETE FROM org2.cost_sources_version WHERE version_id > 0")
	newest, err := migrations.Status(t.Context(), address)
	if err != nil {
		t.Fatal(err)
	}
	check(migrations.State{Public: newest.PublicNewest, Tenants: map[int64]int{0: 1, newest.TenantNewest: 1}})
}

// TestTenantsFilesAreItsOwners: what a file makes belongs to who the tenant belongs to, so that the provisioner may
// do with it as with the rest.
func TestTenantsFilesAreItsOwners(t *testing.T) {
	t.Parallel()

	address := storetest.Database(t)
	newTenants(t, address, "org1", "org2")
	storetest.Execute(t, address, "ALTER SCHEMA org1 OWNER TO cost_sources_provisioner",
		"ALTER TABLE org1.cost_sources_version OWNER TO cost_sources_provisioner")
	if err := migrations.AllTenantsWith(t.Context(), address, migrations.Options{}, withNext(t, "CREATE TABLE added (id integer);")); err != nil {
		t.Fatal(err)
	}
	got := lines(t, address, `SELECT schemaname || ' ' || tableowner FROM pg_tables WHERE tablename = 'added' ORDER BY 1`)
	if diff := cmp.Diff([]string{"org1 cost_sources_provisioner", "org2 postgres"}, got); diff != "" {
		t.Errorf("owners of the new tables (-want +got):\n%s", diff)
	}
}

// TestUnreadableRecord: a tenant whose record is broken is one that fails, not all of them.
func TestUnreadableRecord(t *testing.T) {
	t.Parallel()

	address := storetest.Database(t)
	newTenants(t, address, "org1", "org2", "org3")
	storetest.Execute(t, address, "ALTER TABLE org2.cost_sources_version RENAME COLUMN version_id TO something")
	err := migrations.AllTenantsWith(t.Context(), address, migrations.Options{}, withNext(t, addColumn))
	if diff := cmp.Diff([]string{"org2"}, failures(t, err)); diff != "" {
		t.Errorf("tenants that failed (-want +got):\n%s\n%v", diff, err)
	}
	if got := lines(t, address, `SELECT schemaname::text FROM pg_tables JOIN information_schema.columns ON table_schema = schemaname AND table_name = tablename
		WHERE tablename = 'user_settings' AND column_name = 'added' ORDER BY 1`); !cmp.Equal([]string{"org1", "org3"}, got) {
		t.Errorf("migrated were %v", got)
	}
}

// TestNothingToDoRunsNothing: tenants at the newest version are not gone to.
func TestNothingToDoRunsNothing(t *testing.T) {
	t.Parallel()

	address := storetest.Database(t)
	newTenants(t, address, "org1", "org2")
	var got []string
	opts := migrations.Options{Progress: func(p migrations.Progress) { got = append(got, fmt.Sprintf("%d/%d %s", p.Done, p.Total, p.Schema)) }}
	if err := migrations.AllTenants(t.Context(), address, opts); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"2/2 "}, got); diff != "" {
		t.Errorf("progress (-want +got):\n%s", diff)
	}
}
