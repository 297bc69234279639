package migrations_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sync/errgroup"

	"github.com/insights-onprem/cost-sources/migrations"
	"github.com/insights-onprem/cost-sources/shared/store/storetest"
)

func migratePublic(t *testing.T, address string) {
	t.Helper()
	if err := migrations.Public(t.Context(), address); err != nil {
		t.Fatal(err)
	}
}

func TestPublicMakesKokusTables(t *testing.T) {
	t.Parallel()

	address := storetest.Empty(t)
	migratePublic(t, address)
	got := lines(t, address, `
		SELECT format('%s: %s columns, %s indexes', relname, relnatts,
		              (SELECT count(*) FROM pg_index WHERE indrelid = c.oid))
		FROM pg_class c WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'
		ORDER BY relname`)
	want := []string{
		"api_customer: 7 columns, 8 indexes",
		"api_provider: 15 columns, 7 indexes",
		"api_providerauthentication: 3 columns, 3 indexes",
		"api_providerbillingsource: 3 columns, 2 indexes",
		"api_providerinfrastructuremap: 3 columns, 3 indexes",
		"api_sources: 19 columns, 5 indexes",
		"api_tenant: 2 columns, 3 indexes",
		"api_user: 7 columns, 5 indexes",
		"reporting_common_costusagereportmanifest: 21 columns, 3 indexes",
		"reporting_common_costusagereportstatus: 9 columns, 3 indexes",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("tables of public (-want +got):\n%s", diff)
	}
}

// Report processing tells these errors apart by name, and they must show at the commit and not before.
func TestPublicForeignKeys(t *testing.T) {
	t.Parallel()

	got := lines(t, storetest.Database(t), `
		SELECT format('%s: %s -> %s', conname, conrelid::regclass, confrelid::regclass)
		FROM pg_constraint
		WHERE contype = 'f' AND connamespace = 'public'::regnamespace AND condeferrable AND condeferred
		ORDER BY conname`)
	want := []string{
		"api_provider_authentication_id_201fd4b9_fk_api_provi: api_provider -> api_providerauthentication",
		"api_provider_billing_source_id_cb6b5a6f_fk_api_provi: api_provider -> api_providerbillingsource",
		"api_provider_created_by_id_e740fc35_fk_api_user_id: api_provider -> api_user",
		"api_provider_customer_id_87062290_fk_api_customer_id: api_provider -> api_customer",
		"api_provider_infrastructure_id_1a0be3a0_fk_api_provi: api_provider -> api_providerinfrastructuremap",
		"api_providerinfrastr_infrastructure_provi_cfa87d94_fk_api_provi: api_providerinfrastructuremap -> api_provider",
		"api_user_customer_id_90bd21ef_fk_api_customer_id: api_user -> api_customer",
		"reporting_common_cos_manifest_id_62ef64b9_fk_reporting: reporting_common_costusagereportstatus -> reporting_common_costusagereportmanifest",
		"reporting_common_cos_provider_id_6abb15de_fk_api_provi: reporting_common_costusagereportmanifest -> api_provider",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("foreign keys of public (-want +got):\n%s", diff)
	}
}

func TestPublicTwice(t *testing.T) {
	t.Parallel()

	address := storetest.Empty(t)
	everything := func() []string {
		return append(append(catalogue(t, address, "public"), catalogue(t, address, "sources")...),
			lines(t, address, "SELECT v::text FROM sources.schema_version v ORDER BY id")...)
	}
	migratePublic(t, address)
	want := everything()
	migratePublic(t, address)
	if diff := cmp.Diff(want, everything()); diff != "" {
		t.Errorf("the second time changed something (-first +second):\n%s", diff)
	}
}

// Koku's tables may be of another release: with columns that we do not know, and without indexes that we would make.
func TestPublicLeavesKokusTablesAlone(t *testing.T) {
	t.Parallel()

	address := storetest.Empty(t)
	storetest.Execute(t, address,
		`CREATE TABLE public.api_customer (id serial PRIMARY KEY, novelty text, schema_name text UNIQUE, org_id text UNIQUE,
			account_id text, uuid uuid, date_created timestamptz, date_updated timestamptz)`,
		`CREATE TABLE public.api_providerinfrastructuremap (id serial PRIMARY KEY, infrastructure_provider_id uuid, infrastructure_type text)`,
		`CREATE TABLE public.api_providerbillingsource (data_source jsonb, id serial PRIMARY KEY, uuid uuid)`,
		`INSERT INTO public.api_customer (novelty) VALUES ('kept')`)
	before := catalogue(t, address, "public")
	migratePublic(t, address)

	var after []string
	for _, line := range catalogue(t, address, "public") {
		table, _, _ := strings.Cut(line, " ")
		switch table {
		case "api_customer", "api_providerinfrastructuremap", "api_providerbillingsource":
			after = append(after, line)
		}
	}
	if diff := cmp.Diff(before, after); diff != "" {
		t.Errorf("tables that were there before (-before +after):\n%s", diff)
	}
	if got := lines(t, address, "SELECT novelty FROM public.api_customer"); !cmp.Equal(got, []string{"kept"}) {
		t.Errorf("rows that were there before = %q", got)
	}
	if got := lines(t, address, "SELECT to_regclass('public.api_provider')::text"); !cmp.Equal(got, []string{"api_provider"}) {
		t.Errorf("a table that was not there before = %q", got)
	}
}

// Koku's table of credentials gets no index, and ours does.
func TestPublicIndexesCredentials(t *testing.T) {
	t.Parallel()

	for _, tt := range []struct {
		name, before string
		want         []string
	}{
		{"ours", "SELECT 1", []string{"hash"}},
		{"Koku's", "CREATE TABLE public.django_migrations (id int); " +
			"CREATE TABLE public.api_providerauthentication (id serial PRIMARY KEY, uuid uuid, credentials jsonb)", nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			address := storetest.Empty(t)
			storetest.Execute(t, address, tt.before)
			migratePublic(t, address)
			got := lines(t, address, `
				SELECT a.amname::text FROM pg_index i
				JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_am a ON a.oid = c.relam
				WHERE i.indrelid = 'public.api_providerauthentication'::regclass AND a.amname <> 'btree'`)
			if !slices.Equal(tt.want, got) {
				t.Errorf("indexes of the credentials: %q, want %q", got, tt.want)
			}
		})
	}
}

func TestPublicSeveralAtOnce(t *testing.T) {
	t.Parallel()

	address := storetest.Empty(t)
	var runs errgroup.Group
	for range 4 {
		runs.Go(func() error { return migrations.Public(t.Context(), address) })
	}
	if err := runs.Wait(); err != nil {
		t.Fatal(err)
	}
	state, err := migrations.Status(t.Context(), address)
	if err != nil || state.Public != state.PublicNewest {
		t.Errorf("Status = %+v, %v, want the newest version", state, err)
	}
}
