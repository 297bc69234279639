package migrations_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/insights-onprem/cost-sources/migrations"
	"github.com/insights-onprem/cost-sources/shared/sources"
	"github.com/insights-onprem/cost-sources/shared/store"
	"github.com/insights-onprem/cost-sources/shared/store/storetest"
	"github.com/insights-onprem/cost-sources/tests/koku"
)

// TestSharedTablesAreWhatWeMake: what is asked of Koku's tables is what our own files make where Koku is not.
func TestSharedTablesAreWhatWeMake(t *testing.T) {
	t.Parallel()

	address := storetest.Empty(t)
	migratePublic(t, address)
	made := lines(t, address, `
		SELECT format('%s %s %s', relname, attname, format_type(atttypid, atttypmod))
		FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND attnum > 0
		WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'`)
	expected := migrations.SharedColumns()
	slices.Sort(made)
	slices.Sort(expected)
	if diff := cmp.Diff(made, expected); diff != "" {
		t.Errorf("shared_tables.txt (-made +expected):\n%s", diff)
	}
}

func TestCheckShared(t *testing.T) {
	t.Parallel()

	const clone = "public.clone_schema(text, text, boolean, boolean)"
	tests := []struct {
		name   string
		change string
		want   []string // part of each finding, in order
	}{
		{"as Koku leaves it", ``, nil},
		{"a missing column", `ALTER TABLE public.api_sources DROP COLUMN provider_id`,
			[]string{"public.api_sources has no column provider_id"}},
		{"another type", `ALTER TABLE public.api_provider ALTER paused TYPE text`,
			[]string{"public.api_provider.paused is of type text instead of boolean"}},
		{"narrower text", `ALTER TABLE public.api_provider ALTER name TYPE varchar(20)`,
			[]string{"public.api_provider.name is of type character varying(20) instead of character varying(256)"}},
		{"wider text", `ALTER TABLE public.api_provider ALTER name TYPE varchar(300), ALTER type TYPE text`, nil},
		{"a new column that nobody fills", `ALTER TABLE public.api_customer ADD region text NOT NULL`,
			[]string{"public.api_customer.region may not be null"}},
		{"one that we leave empty", `ALTER TABLE public.api_sources ALTER auth_header SET NOT NULL`,
			[]string{"public.api_sources.auth_header may not be null"}},
		{"one that takes no null any more", `ALTER TABLE public.api_customer ALTER account_id SET NOT NULL`,
			[]string{"public.api_customer.account_id may not be null"}},
		{"new columns that need no filling", `
			ALTER TABLE public.api_customer ADD region text NOT NULL DEFAULT '', ADD number integer GENERATED ALWAYS AS IDENTITY;
			ALTER TABLE public.reporting_common_costusagereportmanifest ADD size integer NOT NULL`, nil},
		{"no unique key", `ALTER TABLE public.api_tenant DROP CONSTRAINT api_tenant_schema_name_key`,
			[]string{"public.api_tenant.schema_name is not unique"}},
		{"a unique key that is checked late", `
			ALTER TABLE public.api_customer DROP CONSTRAINT api_customer_org_id_key, ADD UNIQUE (org_id) DEFERRABLE`,
			[]string{"public.api_customer.org_id is not unique"}},
		{"no ordinary table", `
			ALTER TABLE public.api_tenant RENAME TO moved; CREATE VIEW public.api_tenant AS SELECT * FROM public.moved`,
			[]string{"public.api_tenant is not an ordinary table"}},
		{"no clone_schema", `DROP FUNCTION ` + clone,
			[]string{"public.clone_schema is missing, though TENANT_TEMPLATE_SCHEMA is template0"}},
		{"another clone_schema", `DROP FUNCTION ` + clone + `;
			CREATE FUNCTION public.clone_schema(text, text, include_recs boolean, boolean DEFAULT false) RETURNS boolean LANGUAGE sql AS 'SELECT true'`,
			[]string{"public.clone_schema is not the function"}},
		{"all at once", `ALTER TABLE public.api_customer ADD region text NOT NULL; ALTER TABLE public.api_sources DROP COLUMN name; DROP FUNCTION ` + clone,
			[]string{"api_customer.region", "api_sources has no column name", "clone_schema is missing"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			address := koku.Database(t)
			if tt.change != "" {
				storetest.Execute(t, address, tt.change)
			}
			misfits(t, migrations.CheckShared(t.Context(), address, koku.Template), tt.want...)
		})
	}
}

// misfits checks that err has exactly these findings.
func misfits(t *testing.T, err error, want ...string) {
	t.Helper()
	misfit, ok := errors.AsType[*migrations.MisfitError](err)
	if len(want) == 0 && err == nil {
		return
	}
	if !ok || len(misfit.Findings) != len(want) {
		t.Fatalf("the check says %v, want findings on %q", err, want)
	}
	for i, finding := range misfit.Findings {
		if !strings.Contains(finding, want[i]) || !strings.Contains(err.Error(), finding) {
			t.Errorf("finding %q, want %q in it, and it in %v", finding, want[i], err)
		}
	}
}

// TestFilledColumns: what shared_tables.txt says that we give is what an INSERT gives, and nothing else.
func TestFilledColumns(t *testing.T) {
	t.Parallel()

	address := storetest.Database(t)
	db, closeDB, err := store.Open(store.Config{DatabaseURL: address, MaxConns: 2})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(closeDB)
	sql := storetest.Connect(t, address)
	for _, statement := range []string{
		`CREATE TABLE given (name text)`,
		`CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$
		BEGIN
			INSERT INTO public.given SELECT TG_TABLE_NAME || '.' || key FROM jsonb_each(to_jsonb(NEW)) WHERE key <> 'id' AND value <> 'null';
			RETURN NEW;
		END $$`,
		`DO $$
		DECLARE t regclass;
		BEGIN
			FOR t IN SELECT oid FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' AND relname <> 'given' LOOP
				EXECUTE format('CREATE TRIGGER note BEFORE INSERT ON %s FOR EACH ROW EXECUTE FUNCTION note()', t);
			END LOOP;
		END $$`,
	} {
		if _, err := sql.Exec(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	draft := sources.Source{OrgID: "1", AccountNumber: "account", Name: "name"}
	draft.SetCluster("c")
	var src sources.Source
	err = db.InTx(t.Context(), func(tx *store.Store) (err error) {
		src, err = tx.CreateSource(t.Context(), draft)
		if err != nil {
			return err
		}
		src.Attach()
		return tx.SaveSource(t.Context(), &src)
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := db.EnsureTenant(t.Context(), src, migrations.NewTenant); err != nil {
		t.Fatal(err)
	}
	if err := db.InTx(t.Context(), func(tx *store.Store) error { return tx.PutProvider(t.Context(), src) }); err != nil {
		t.Fatal(err)
	}
	rows, _ := sql.Query(t.Context(), `SELECT DISTINCT name FROM given`) // its error comes out of Collect
	given, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	said := migrations.FilledColumns()
	slices.Sort(given)
	slices.Sort(said)
	if diff := cmp.Diff(given, said); diff != "" {
		t.Errorf("the columns that are filled (-given +said):\n%s", diff)
	}
}

// TestPublicChangesNothingThatDoesNotFit: Koku's database is as it was where something is wrong with it.
func TestPublicChangesNothingThatDoesNotFit(t *testing.T) {
	t.Parallel()

	address := koku.Database(t)
	koku.Execute(t, address, `DROP TABLE public.delayed_celery_tasks`, `ALTER TABLE public.api_sources DROP COLUMN paused`)
	before := koku.Catalogue(t, address, "public")
	misfits(t, migrations.Public(t.Context(), address), "api_sources has no column paused")
	if diff := cmp.Diff(before, koku.Catalogue(t, address, "public")); diff != "" {
		t.Errorf("public was changed (-before +after):\n%s", diff)
	}
	if left := lines(t, address, `SELECT nspname::text FROM pg_namespace WHERE nspname = 'sources'`); len(left) > 0 {
		t.Error("there is a schema sources")
	}
}

// TestOwner: migrate may be run by whoever may act as the owner of Koku's tables.
func TestOwner(t *testing.T) {
	t.Parallel()

	address := koku.Database(t)
	var database string
	if err := storetest.Connect(t, address).QueryRow(t.Context(), `SELECT quote_ident(current_database())`).Scan(&database); err != nil {
		t.Fatal(err)
	}
	may := "GRANT CREATE ON DATABASE " + database + " TO R"
	stranger := koku.Login(t, address, may)
	member := koku.Login(t, address, may, "GRANT "+koku.Role+" TO R")
	err := migrations.Public(t.Context(), stranger)
	misfit, ok := errors.AsType[*migrations.MisfitError](err)
	if !ok || len(misfit.Findings) != 10 || !strings.Contains(misfit.Findings[0], `GRANT "koku" TO "test_`) {
		t.Errorf("as a stranger Public says %v, want a finding for each of ten tables with the GRANT", err)
	}
	if err := migrations.Public(t.Context(), member); err != nil {
		t.Errorf("as a member of Koku's role: %v", err)
	}
}
