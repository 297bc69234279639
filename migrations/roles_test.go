package migrations_test

import (
	"context"
	"errors"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/insights-onprem/cost-sources/migrations"
	"github.com/insights-onprem/cost-sources/shared/store/storetest"
	"github.com/insights-onprem/cost-sources/tests/koku"
)

// TestRights: each role has the rights that its function needs, and nothing else of the registry or of public.
func TestRights(t *testing.T) {
	t.Parallel()

	address := storetest.Database(t)
	newTenants(t, address, "org1")
	rights := func(role string) []string {
		return lines(t, address, `
			SELECT format('%s.%s %s', n.nspname, c.relname, string_agg(p, ' ' ORDER BY place))
			FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace,
				unnest('{SELECT,INSERT,UPDATE,DELETE,TRUNCATE}'::text[]) WITH ORDINALITY AS privilege (p, place)
			WHERE n.nspname IN ('sources', 'public', 'org1') AND c.relkind IN ('r', 'p', 'v')
				AND CASE WHEN p IN ('SELECT', 'INSERT', 'UPDATE') THEN has_any_column_privilege($1, c.oid, p) ELSE has_table_privilege($1, c.oid, p) END
			GROUP BY n.nspname, c.relname ORDER BY 1`, role)
	}
	api := []string{"public.api_sources SELECT INSERT UPDATE DELETE", "sources.application SELECT INSERT UPDATE",
		"sources.idempotency_key SELECT INSERT UPDATE DELETE", "sources.outbox SELECT INSERT UPDATE DELETE",
		"sources.outbox_lease SELECT INSERT UPDATE DELETE", "sources.source SELECT INSERT UPDATE"}
	for function, want := range map[string][]string{
		"applications": api,
		"sources": append([]string{"public.api_customer SELECT", "public.api_provider SELECT", "public.api_providerinfrastructuremap SELECT",
			api[0], "public.reporting_common_costusagereportmanifest SELECT", "public.reporting_common_costusagereportstatus SELECT"}, api[1:]...),
		"ros-cleanup":  {"public.api_sources SELECT", "sources.application SELECT", "sources.source SELECT UPDATE"},
		"dead-letters": {"sources.application SELECT", "sources.redrive SELECT INSERT", "sources.source SELECT"},
		"interop": {"public.api_sources SELECT INSERT UPDATE DELETE", "sources.application SELECT INSERT UPDATE", "sources.outbox SELECT INSERT UPDATE DELETE",
			"sources.outbox_lease SELECT INSERT UPDATE DELETE", "sources.plain_event SELECT INSERT DELETE", "sources.plain_source SELECT INSERT UPDATE", "sources.source SELECT INSERT UPDATE"},
		"relay": {"sources.application SELECT", "sources.health SELECT", "sources.idempotency_key SELECT DELETE", "sources.outbox SELECT INSERT UPDATE DELETE",
			"sources.outbox_lease SELECT INSERT UPDATE DELETE", "sources.redrive SELECT DELETE", "sources.relay_run SELECT INSERT UPDATE",
			"sources.source SELECT UPDATE DELETE"},
	} {
		if diff := cmp.Diff(want, rights(migrations.Role(function))); diff != "" {
			t.Errorf("the rights of %s (-want +got):\n%s", function, diff)
		}
	}
	if got := lines(t, address, `SELECT column_name::text FROM information_schema.columns
		WHERE table_schema = 'public' AND table_name = 'api_provider' AND column_name = 'authentication_id'
			AND has_column_privilege('cost_sources_sources', 'public.api_provider', column_name, 'SELECT')`); len(got) > 0 {
		t.Error("the sources API may read which credentials a provider has")
	}
}

// TestRightsGo: what a role was given and does not need goes with the next run.
func TestRightsGo(t *testing.T) {
	t.Parallel()

	address := storetest.Database(t)
	storetest.Execute(t, address, `GRANT DELETE ON sources.source TO cost_sources_sources`, `GRANT SELECT ON public.api_providerauthentication TO cost_sources_relay`)
	if err := migrations.Roles(t.Context(), address); err != nil {
		t.Fatal(err)
	}
	if got := lines(t, address, `SELECT 'kept' WHERE has_table_privilege('cost_sources_sources', 'sources.source', 'DELETE')
		OR has_table_privilege('cost_sources_relay', 'public.api_providerauthentication', 'SELECT')`); len(got) > 0 {
		t.Error("a right that no function needs was kept")
	}
}

// TestRolesGiveUp: who waits for a table that somebody reads for long, as a backup does, soon gives up: the functions
// wait behind.
func TestRolesGiveUp(t *testing.T) {
	t.Parallel()

	address := storetest.Database(t)
	storetest.Execute(t, address, `DROP POLICY every_organization ON sources.source`) // as before there was one
	reader, err := storetest.Connect(t, address).Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := reader.Exec(t.Context(), `SELECT FROM sources.source`); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if err := migrations.Roles(ctx, address); err == nil || !strings.Contains(err.Error(), "lock timeout") {
		t.Errorf("Roles() = %v, want that it waited for a lock", err)
	}
	if err := reader.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := migrations.Roles(t.Context(), address); err != nil {
		t.Errorf("afterwards Roles() = %v", err)
	}
}

// TestCheckRoles: whether the provisioner can be let to Koku's tenants is found out before anything is changed.
func TestCheckRoles(t *testing.T) {
	t.Parallel()

	storetest.Database(t) // with which the roles come, to all of the server
	address := koku.Database(t)
	login, err := url.Parse(koku.Login(t, address)) // no more than a role that owns something
	if err != nil {
		t.Fatal(err)
	}
	owner := login.User.Username()
	migrating := koku.Login(t, address, "GRANT "+koku.Role+", cost_sources_provisioner TO R", "GRANT "+owner+" TO R",
		"GRANT CREATE ON SCHEMA public TO "+owner, "ALTER TABLE public.api_provider OWNER TO "+owner)
	err = migrations.CheckRoles(t.Context(), migrating)
	misfit, ok := errors.AsType[*migrations.MisfitError](err)
	if !ok || !strings.Contains(strings.Join(misfit.Findings, " "), `GRANT "`+owner+`" TO cost_sources_provisioner;`) {
		t.Errorf("CheckRoles() = %v, want the statement that mends it", err)
	}
	storetest.Execute(t, address, "GRANT "+owner+" TO cost_sources_provisioner")
	if err := migrations.CheckRoles(t.Context(), migrating); err != nil && strings.Contains(err.Error(), owner) {
		t.Errorf("CheckRoles() = %v with the provisioner a member", err)
	}
}

// TestRolesMayNotLetIn: where everybody's right to connect was taken away, and who migrates may not give it, that is
// said with what mends it.
func TestRolesMayNotLetIn(t *testing.T) {
	t.Parallel()

	storetest.Database(t) // with which the roles come, to all of the server
	address := koku.Database(t)
	database := storetest.Connect(t, address).Config().Database
	migrating := koku.Login(t, address, "REASSIGN OWNED BY "+koku.Role+" TO R", "REVOKE CONNECT ON DATABASE "+database+" FROM PUBLIC",
		"GRANT CONNECT, CREATE ON DATABASE "+database+" TO R", "GRANT CREATE ON DATABASE "+database+" TO cost_sources_provisioner",
		"GRANT CREATE ON SCHEMA public TO R", "GRANT R TO cost_sources_provisioner")
	if err := migrations.Public(t.Context(), migrating); err != nil {
		t.Fatal(err)
	}
	err := migrations.Roles(t.Context(), migrating)
	if err == nil {
		t.Fatal("Roles() = nil, and nobody can log in")
	}
	_, mend, _ := strings.Cut(err.Error(), "have the database's owner run: ")
	mend, _, _ = strings.Cut(mend, " (SQLSTATE")
	storetest.Execute(t, address, mend)
	if err := migrations.Roles(t.Context(), migrating); err != nil {
		t.Errorf("after %s Roles() = %v", mend, err)
	}
}

// TestRolesAsKoku: the role that Koku's tables belong to can migrate itself, which the provisioner's role is a member of
// and which can then not be one of that.
func TestRolesAsKoku(t *testing.T) {
	t.Parallel()

	storetest.Database(t) // with which the roles come, to all of the server
	address := koku.Database(t)
	database := storetest.Connect(t, address).Config().Database
	migrating := koku.Login(t, address, "REASSIGN OWNED BY "+koku.Role+" TO R",
		"GRANT ALL ON DATABASE "+database+" TO R WITH GRANT OPTION", "GRANT ALL ON SCHEMA public TO R WITH GRANT OPTION")
	u, err := url.Parse(migrating)
	if err != nil {
		t.Fatal(err)
	}
	owner := u.User.Username()
	misfit, ok := errors.AsType[*migrations.MisfitError](migrations.CheckRoles(t.Context(), migrating))
	if want := `GRANT "` + owner + `" TO cost_sources_provisioner;`; !ok || !strings.Contains(misfit.Findings[0], want) {
		t.Fatalf("CheckRoles() = %v, want %q", misfit, want)
	}
	storetest.Execute(t, address, "GRANT "+owner+" TO cost_sources_provisioner")
	for _, do := range []func() error{
		func() error { return migrations.CheckRoles(t.Context(), migrating) },
		func() error { return migrations.Public(t.Context(), migrating) },
		func() error { return migrations.Roles(t.Context(), migrating) },
		func() error { return migrations.Roles(t.Context(), migrating) },
		func() error { return migrations.AllTenants(t.Context(), migrating, migrations.Options{}) },
	} {
		if err := do(); err != nil {
			t.Fatal(err)
		}
	}
	// As who Koku is, the API reads a tenant's cost models.
	storetest.Execute(t, address, `
		BEGIN; SET LOCAL ROLE `+owner+`; SELECT public.clone_schema('`+koku.Template+`', 'org1', copy_data => true);
		SET LOCAL search_path = org1, public;
		INSERT INTO api_customer (date_created, date_updated, uuid, schema_name, org_id) VALUES (now(), now(), gen_random_uuid(), 'org1', '1');
		INSERT INTO api_tenant (schema_name) VALUES ('org1');
		INSERT INTO cost_model VALUES (gen_random_uuid(), 'm', '', 'OCP', now(), now(), '{}', '{}', '', 'USD', '{}');
		INSERT INTO cost_model_map (provider_uuid, cost_model_id) SELECT uuid, uuid FROM cost_model; COMMIT`)
	got := lines(t, storetest.As("sources", address), `
		SELECT m.name FROM set_config('cost_sources.org_id', '1', true), sources.cost_models('1', $1) m`, []string{lines(t, address, `SELECT uuid::text FROM org1.cost_model`)[0]})
	if diff := cmp.Diff([]string{"m"}, got); diff != "" {
		t.Errorf("the cost models that the API sees (-want +got):\n%s", diff)
	}
}

// TestAnotherOrganization: PostgreSQL lets the APIs' roles add nothing to a source of another organization.
func TestAnotherOrganization(t *testing.T) {
	t.Parallel()

	address := storetest.Database(t)
	storetest.Execute(t, address, `
		INSERT INTO sources.source (id, org_id, name, source_type, state) VALUES (1, '1', 'n', 'OCP', 'waiting'), (2, '2', 'n', 'OCP', 'waiting')`)
	api := storetest.Connect(t, storetest.As("applications", address))
	for what, add := range map[string]string{
		"an application": `INSERT INTO sources.application (org_id, source_id, application_type_id) VALUES ('1', $1, 0)`,
		"a lease":        `INSERT INTO sources.outbox_lease (source_id, owner, until) VALUES ($1, gen_random_uuid(), now())`,
	} {
		for id, want := range map[int]bool{1: true, 2: false} {
			err := pgx.BeginFunc(t.Context(), api, func(tx pgx.Tx) error {
				if _, err := tx.Exec(t.Context(), `SELECT set_config('cost_sources.org_id', '1', true)`); err != nil {
					return err
				}
				_, err := tx.Exec(t.Context(), add, id)
				return err
			})
			if (err == nil) != want {
				t.Errorf("%s for source %d: %v", what, id, err)
			}
		}
	}
}

// TestOldTenant: in a tenant from before it had a role the provisioner may work also on what its owner adds later.
func TestOldTenant(t *testing.T) {
	t.Parallel()

	address := storetest.Database(t)
	newTenants(t, address, "org1")
	if err := migrations.Roles(t.Context(), address); err != nil {
		t.Fatal(err)
	}
	storetest.Execute(t, address, `
		CREATE TABLE org1.reporting_ocpusagelineitem_daily_summary_2026_11
		PARTITION OF org1.reporting_ocpusagelineitem_daily_summary FOR VALUES FROM ('2026-11-01') TO ('2026-12-01')`)
	provisioner := storetest.Connect(t, storetest.As("provisioner", address))
	for _, table := range []string{"cost_model", "reporting_ocpusagelineitem_daily_summary_2026_11"} {
		if _, err := provisioner.Exec(t.Context(), "DELETE FROM org1."+table); err != nil {
			t.Errorf("%s: %v", table, err)
		}
	}
}

// migrateAs looks at the roles, migrates the tables and makes the roles, as the command does.
func migrateAs(t *testing.T, address string) {
	t.Helper()
	for _, step := range []func(context.Context, string) error{migrations.CheckRoles, migrations.Public, migrations.Roles} {
		if err := step(t.Context(), address); err != nil {
			t.Fatal(err)
		}
	}
}

// TestKokusRoleIsEnough: who may act as Koku's role, and pass that on, needs no more than that to have the provisioner
// make schemas, also where the database is somebody else's.
func TestKokusRoleIsEnough(t *testing.T) {
	t.Parallel()

	storetest.Database(t) // with which the roles come
	address := koku.Database(t)
	var grant string
	if err := storetest.Connect(t, address).QueryRow(t.Context(), `SELECT format('GRANT CREATE ON DATABASE %I TO R', current_database())`).Scan(&grant); err != nil {
		t.Fatal(err)
	}
	migrating := koku.Login(t, address, "GRANT "+koku.Role+" TO R WITH ADMIN OPTION", "GRANT cost_sources_provisioner TO R", grant)
	migrateAs(t, migrating)
}

// TestCheckMember: who may not act as the provisioner is told so before anything is changed.
func TestCheckMember(t *testing.T) {
	t.Parallel()

	storetest.Database(t) // with which the roles come
	address := koku.Database(t)
	migrating := koku.Login(t, address, "GRANT "+koku.Role+" TO R WITH ADMIN OPTION")
	if err := migrations.CheckRoles(t.Context(), migrating); err == nil || !strings.Contains(err.Error(), "GRANT cost_sources_provisioner TO test_") {
		t.Errorf("CheckRoles() = %v, want the statement that mends it", err)
	}
}

// TestProvisionerActsAsWhoMigrates: a role that the provisioner is a member of cannot be one of the provisioner's, so that
// nobody is asked to make it one.
func TestProvisionerActsAsWhoMigrates(t *testing.T) {
	t.Parallel()

	storetest.Database(t) // with which the roles come
	address := koku.Database(t)
	database := storetest.Connect(t, address).Config().Database
	migrating := koku.Login(t, address, "GRANT "+koku.Role+" TO R WITH ADMIN OPTION", "GRANT R TO cost_sources_provisioner",
		"GRANT CREATE ON DATABASE "+database+" TO R")
	migrateAs(t, migrating)
}

// TestTenantOfAnother: who may not act as the owner of a tenant is told which it is, and what mends it.
func TestTenantOfAnother(t *testing.T) {
	t.Parallel()

	address := storetest.Database(t)
	newTenants(t, address, "org1")
	owner, err := url.Parse(koku.Login(t, address))
	if err != nil {
		t.Fatal(err)
	}
	storetest.Execute(t, address, `GRANT USAGE ON SCHEMA org1 TO cost_sources_provisioner`, inAll("org1", owner.User.Username()))
	migrating := koku.Login(t, address, "GRANT cost_sources_provisioner TO R", inAll("sources", "R"), inAll("public", "R"))
	err = migrations.Roles(t.Context(), migrating)
	if err == nil || !strings.Contains(err.Error(), "the tenant org1 belongs to "+owner.User.Username()) {
		t.Fatalf("Roles() = %v, want whose the tenant is", err)
	}
	_, mend, _ := strings.Cut(err.Error(), "run: ")
	mend, _, _ = strings.Cut(mend, " (SQLSTATE")
	storetest.Execute(t, address, mend)
	if err := migrations.Roles(t.Context(), migrating); err != nil {
		t.Errorf("after %s Roles() = %v", mend, err)
	}
}

// inAll gives a schema and its tables to a role.
func inAll(schema, role string) string {
	return `DO $do$ DECLARE name text; BEGIN
		ALTER SCHEMA ` + schema + ` OWNER TO ` + role + `;
		FOR name IN SELECT oid::regclass FROM pg_class WHERE relnamespace = '` + schema + `'::regnamespace AND relkind IN ('r', 'p', 'v') LOOP
			EXECUTE format('ALTER TABLE %s OWNER TO ` + role + `', name);
		END LOOP;
	END $do$`
}

// TestPoliciesLast: giving rights in many tenants takes its time, in which no table of the registry is locked.
func TestPoliciesLast(t *testing.T) {
	t.Parallel()

	address := storetest.Database(t)
	newTenants(t, address, "org1")
	admin := storetest.Connect(t, address)
	storetest.Execute(t, address, // as before it had a policy
		`DROP POLICY every_organization ON sources.outbox_lease; ALTER TABLE sources.outbox_lease DISABLE ROW LEVEL SECURITY`)
	busy, err := storetest.Connect(t, address).Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := busy.Exec(t.Context(), `GRANT USAGE ON SCHEMA org1 TO cost_sources_provisioner`); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- migrations.Roles(t.Context(), address) }()
	for waits := false; !waits; {
		err := admin.QueryRow(t.Context(), `
			SELECT EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock')`).Scan(&waits)
		if err != nil {
			t.Fatal(err)
		}
	}
	if _, err := admin.Exec(t.Context(), `BEGIN; LOCK sources.outbox_lease IN ROW EXCLUSIVE MODE NOWAIT; COMMIT`); err != nil {
		t.Errorf("the leases meanwhile: %v", err)
	}
	if err := busy.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Errorf("Roles() = %v", err)
	}
}
