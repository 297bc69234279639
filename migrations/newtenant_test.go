package migrations_test

import (
	"context"
	"errors"
	"io/fs"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/insights-onprem/cost-sources/migrations"
	"github.com/insights-onprem/cost-sources/shared/store/storetest"
)

func TestNewTenantTables(t *testing.T) {
	t.Parallel()

	address := storetest.Database(t)
	newTenants(t, address, "org123")
	got := lines(t, address, `
		SELECT format('%s: %s columns, %s indexes', relname, relnatts,
		              (SELECT count(*) FROM pg_index WHERE indrelid = c.oid))
		FROM pg_class c WHERE relnamespace = 'org123'::regnamespace AND relkind IN ('r', 'p')
		ORDER BY relname`)
	want := []string{
		"cost_model: 11 columns, 4 indexes",
		"cost_model_audit: 15 columns, 1 indexes",
		"cost_model_map: 3 columns, 3 indexes",
		"cost_sources_version: 4 columns, 1 indexes",
		"partitioned_tables: 10 columns, 5 indexes",
		"reporting_enabledtagkeys: 4 columns, 4 indexes",
		"reporting_ocp_clusters: 4 columns, 3 indexes",
		"reporting_ocp_cost_category: 6 columns, 3 indexes",
		"reporting_ocp_nodes: 7 columns, 2 indexes",
		"reporting_ocp_projects: 3 columns, 3 indexes",
		"reporting_ocp_pvcs: 5 columns, 3 indexes",
		"reporting_ocptags_values: 7 columns, 3 indexes",
		"reporting_ocpusagelineitem_daily_summary: 58 columns, 12 indexes",
		"reporting_ocpusagelineitem_daily_summary_default: 58 columns, 12 indexes",
		"reporting_ocpusagereportperiod: 10 columns, 3 indexes",
		"reporting_tenant_api_provider: 4 columns, 2 indexes",
		"tenant_settings: 3 columns, 2 indexes",
		"user_settings: 2 columns, 1 indexes",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("tables of a tenant (-want +got):\n%s", diff)
	}
}

func TestNewTenantForeignKeys(t *testing.T) {
	t.Parallel()

	address := storetest.Database(t)
	newTenants(t, address, "org123")
	got := lines(t, address, `
		SELECT format('%s -> %s', conname, replace(confrelid::regclass::text, 'org123.', ''))
		FROM pg_constraint
		WHERE contype = 'f' AND connamespace = 'org123'::regnamespace AND conparentid = 0 AND condeferrable AND condeferred
		ORDER BY conname`)
	want := []string{
		"cost_model_map_cost_model_id_3c67db61_fk_cost_model_uuid -> cost_model",
		"reporting_ocp_cluste_provider_id_ef184970_fk_reporting -> reporting_tenant_api_provider",
		"reporting_ocp_nodes_cluster_id_fbf78679_fk_reporting -> reporting_ocp_clusters",
		"reporting_ocp_projec_cluster_id_318d7969_fk_reporting -> reporting_ocp_clusters",
		"reporting_ocp_pvcs_cluster_id_c6f60f16_fk_reporting -> reporting_ocp_clusters",
		"reporting_ocpusageli_cost_category_id_282623a2_fk_reporting -> reporting_ocp_cost_category",
		"reporting_ocpusageli_report_period_id_fc68baea_fk_reporting -> reporting_ocpusagereportperiod",
		"reporting_ocpusagere_provider_id_7348fe66_fk_reporting -> reporting_tenant_api_provider",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("foreign keys of a tenant (-want +got):\n%s", diff)
	}
}

// What refers to a public table would be asked about each of its rows that goes, in every tenant.
func TestTenantRefersToNothingOutside(t *testing.T) {
	t.Parallel()

	address := storetest.Database(t)
	newTenants(t, address, "org1")
	toPublic := func() []string {
		return lines(t, address, `
			SELECT conname::text FROM pg_constraint
			WHERE contype = 'f' AND connamespace = 'org1'::regnamespace
				AND confrelid NOT IN (SELECT oid FROM pg_class WHERE relnamespace = 'org1'::regnamespace)`)
	}
	if got := toPublic(); len(got) > 0 {
		t.Errorf("a new tenant has foreign keys that lead out of it: %q", got)
	}

	// As an earlier version made it.
	storetest.Execute(t, address, `
		ALTER TABLE org1.reporting_tenant_api_provider
			ADD CONSTRAINT reporting_tenant_api_provider_id_a3bf3f0b_fk_api_provi
			FOREIGN KEY (provider_id) REFERENCES public.api_provider (uuid) DEFERRABLE INITIALLY DEFERRED`,
		"DELETE FROM org1.cost_sources_version WHERE version_id > 1")
	if err := migrations.AllTenants(t.Context(), address, migrations.Options{}); err != nil {
		t.Fatal(err)
	}
	if got := toPublic(); len(got) > 0 {
		t.Errorf("a tenant of an earlier version has kept %q", got)
	}
}

// Without its row in partitioned_tables report processing would not find the default partition.
func TestNewTenantRegistersDefaultPartition(t *testing.T) {
	t.Parallel()

	address := storetest.Database(t)
	for _, schema := range []string{"org123", "org-A.b_C", `the "best"`} {
		newTenants(t, address, schema)
		got := lines(t, address, `
			SELECT concat_ws(' ', schema_name, table_name, partition_of_table_name, partition_type, partition_col,
			                 partition_parameters, active)
			FROM `+pgx.Identifier{schema, "partitioned_tables"}.Sanitize())
		want := []string{schema + " reporting_ocpusagelineitem_daily_summary_default reporting_ocpusagelineitem_daily_summary" +
			` range usage_start {"default": true} t`}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("partitions of %s (-want +got):\n%s", schema, diff)
		}
	}
}

func TestNewTenantIsWhatGooseMakes(t *testing.T) {
	t.Parallel()

	address := storetest.Database(t)
	newTenants(t, address, "org1")
	// With a record that says that nothing was done goose does everything.
	storetest.Execute(t, address, "CREATE SCHEMA org2", "INSERT INTO public.api_tenant (schema_name) VALUES ('org2')",
		"CREATE TABLE org2.cost_sources_version (LIKE org1.cost_sources_version INCLUDING ALL)",
		"INSERT INTO org2.cost_sources_version (version_id, is_applied) VALUES (0, true)")

	record := func(schema string) []string {
		return lines(t, address, "SELECT concat_ws(' ', id, version_id, is_applied) FROM "+schema+".cost_sources_version ORDER BY id")
	}
	before := append(record("org1"), catalogue(t, address, "org1")...)
	if err := migrations.AllTenants(t.Context(), address, migrations.Options{}); err != nil {
		t.Fatal(err)
	}
	after := append(record("org1"), catalogue(t, address, "org1")...)
	if diff := cmp.Diff(before, after); diff != "" {
		t.Errorf("goose found something to do in a new tenant (-before +after):\n%s", diff)
	}
	goose := append(record("org2"), catalogue(t, address, "org2")...)
	if diff := cmp.Diff(goose, after); diff != "" {
		t.Errorf("a new tenant is not what goose makes (-goose +new):\n%s", diff)
	}
}

// The rest of the transaction is the caller's, and the rest of the connection is another's where a pooler is between.
func TestNewTenantLeavesTheSessionAsItWas(t *testing.T) {
	t.Parallel()

	conn := storetest.Connect(t, storetest.Database(t))
	session := func(q interface {
		QueryRow(context.Context, string, ...any) pgx.Row
	}) (state string) {
		t.Helper()
		err := q.QueryRow(t.Context(), `
			SELECT concat_ws(' | ', current_setting('search_path'), (SELECT count(*) FROM pg_prepared_statements),
			                 (SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()))`,
			pgx.QueryExecModeExec).Scan(&state)
		if err != nil {
			t.Fatal(err)
		}
		return state
	}
	if _, err := conn.Exec(t.Context(), `SET search_path = "$user", sources`); err != nil {
		t.Fatal(err)
	}
	outside := session(conn)
	err := pgx.BeginFunc(t.Context(), conn, func(tx pgx.Tx) error {
		if _, err := tx.Exec(t.Context(), `SET LOCAL search_path = "sp ace", public`); err != nil {
			return err
		}
		before := session(tx)
		if err := migrations.NewTenant(t.Context(), tx, "org123"); err != nil {
			return err
		}
		if after := session(tx); after != before {
			t.Errorf("inside the transaction: %s, before %s", after, before)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if after := session(conn); after != outside {
		t.Errorf("after the commit: %s, before %s", after, outside)
	}
}

func TestNewTenantRolledBack(t *testing.T) {
	t.Parallel()

	address := storetest.Database(t)
	change := errors.New("a change of mind")
	err := pgx.BeginFunc(t.Context(), storetest.Connect(t, address), func(tx pgx.Tx) error {
		return errors.Join(migrations.NewTenant(t.Context(), tx, "org123"), change)
	})
	if !errors.Is(err, change) {
		t.Fatal(err)
	}
	noTrace(t, address, "org123")
}

func noTrace(t *testing.T, address, schema string) {
	t.Helper()
	got := lines(t, address, `
		SELECT nspname::text FROM pg_namespace WHERE nspname = $1
		UNION ALL
		SELECT conname::text FROM pg_constraint WHERE confrelid = 'public.api_provider'::regclass AND conname ~ 'tenant'`,
		schema)
	if len(got) > 0 {
		t.Errorf("still there: %q", got)
	}
}

func TestNewTenantFails(t *testing.T) {
	t.Parallel()

	tests := []struct {
		name  string
		files fs.FS
		want  string
	}{
		{"a later file fails", withNext(t, "CREATE TABLE late (id int);\nALTER TABLE missing ADD COLUMN x int;"),
			`fill schema "org123": migration 999_next.sql: ERROR: relation "missing" does not exist (SQLSTATE 42P01)`},
		{"a file with a way back", withNext(t, "CREATE TABLE late (id int);\n-- +goose down\nDROP TABLE late;"),
			`fill schema "org123": migration 999_next.sql: "+goose Down" is not possible in a tenant's file`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			address := storetest.Database(t)
			err := pgx.BeginFunc(t.Context(), storetest.Connect(t, address), func(tx pgx.Tx) error {
				return migrations.NewTenantWith(t.Context(), tx, "org123", tt.files)
			})
			if err == nil || err.Error() != tt.want {
				t.Errorf("NewTenant = %v, want %s", err, tt.want)
			}
			noTrace(t, address, "org123")
		})
	}
}

func TestNewTenantThatIsThere(t *testing.T) {
	t.Parallel()

	address := storetest.Database(t)
	storetest.Execute(t, address, "CREATE SCHEMA org123")
	err := pgx.BeginFunc(t.Context(), storetest.Connect(t, address), func(tx pgx.Tx) error {
		return migrations.NewTenant(t.Context(), tx, "org123")
	})
	const duplicateSchema = "42P06"
	if pgErr, ok := errors.AsType[*pgconn.PgError](err); !ok || pgErr.Code != duplicateSchema {
		t.Errorf("NewTenant = %v, want that the schema exists", err)
	}
	if got := catalogue(t, address, "org123"); len(got) > 0 {
		t.Errorf("NewTenant left in somebody's schema:\n%s", strings.Join(got, "\n"))
	}
}
