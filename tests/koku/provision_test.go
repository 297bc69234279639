package koku_test

import (
	"fmt"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/insights-onprem/cost-sources/migrations"
	"github.com/insights-onprem/cost-sources/shared/sources"
	"github.com/insights-onprem/cost-sources/shared/store/storetest"
	"github.com/insights-onprem/cost-sources/tests/koku"
)

// owners of the tables of a schema.
func (w world) owners(schema string) []string {
	w.Helper()
	return value[[]string](w, `SELECT coalesce(array_agg(DISTINCT relowner::regrole::text), '{}') FROM pg_class WHERE relnamespace = to_regnamespace($1)`, schema)
}

// asRoles are rights that a role of the functions has to have beside what Koku's role can give it.
var asRoles = []string{
	"GRANT USAGE ON SCHEMA sources TO R",
	"GRANT ALL ON ALL TABLES IN SCHEMA sources, public TO R",
	"GRANT ALL ON ALL SEQUENCES IN SCHEMA sources, public TO R",
	"ALTER ROLE R BYPASSRLS", // as an owner of the registry's tables has it
}

// notesWho has every new customer say who made it.
const notesWho = `
	CREATE TABLE who (role text);
	GRANT ALL ON who TO public;
	CREATE FUNCTION who() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN INSERT INTO public.who VALUES (current_user); RETURN NEW; END';
	CREATE TRIGGER who BEFORE INSERT ON public.api_customer FOR EACH ROW EXECUTE FUNCTION who()`

// TestNewTenantIsKokus: a tenant that the provisioner makes belongs to Koku's role, whoever the functions are, and all
// else is done as who they are.
func TestNewTenantIsKokus(t *testing.T) {
	t.Parallel()

	tests := []struct {
		name, grant, user string
	}{
		{"roles of their own", "", ""},
		{"a member of Koku's role", "GRANT " + koku.Role + " TO R", ""},
		{"Koku's role itself", "GRANT " + koku.Role + " TO R; ALTER ROLE R SET role = " + koku.Role, koku.Role},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			address := kokus(t)
			w := start(t, address, "")
			if tt.grant != "" {
				w = start(t, address, koku.Login(t, address, append(asRoles, tt.grant)...))
			}
			if tt.user == koku.Role {
				storetest.Execute(t, address, `
					GRANT USAGE ON SCHEMA sources TO koku;
					GRANT ALL ON ALL TABLES IN SCHEMA sources TO koku;
					GRANT ALL ON ALL SEQUENCES IN SCHEMA sources TO koku;
					DO $$ DECLARE t regclass; BEGIN
						FOR t IN SELECT oid FROM pg_class WHERE relnamespace = 'sources'::regnamespace AND relrowsecurity LOOP
							EXECUTE format('ALTER TABLE %s DISABLE ROW LEVEL SECURITY', t);
						END LOOP;
					END $$`)
			}
			storetest.Execute(t, address, notesWho)
			if src := w.made("33", "name", "c"); src.State != sources.Ready {
				t.Fatalf("the source is %s: %s", src.State, src.Reason)
			}
			if diff := cmp.Diff([]string{koku.Role}, w.owners("org33")); diff != "" {
				t.Errorf("owners of the tenant's tables (-want +got):\n%s", diff)
			}
			who := value[[]string](w, `SELECT array_agg(DISTINCT role) FROM who`)
			if len(who) != 1 || (who[0] == koku.Role) != (tt.user == koku.Role) {
				t.Errorf("the customer was made by %q", who)
			}
		})
	}
}

// TestMayNotActAsKoku: a role that may not act as Koku's is told which GRANT is missing, and goes on when it is there.
func TestMayNotActAsKoku(t *testing.T) {
	t.Parallel()

	address := kokus(t)
	start(t, address, "")
	w := start(t, address, koku.Login(t, address, asRoles...))
	src := w.made("33", "name", "c")
	grant := regexp.MustCompile(`GRANT "koku" TO "test_\w+"`).FindString(src.Reason)
	if src.State != sources.Failed || grant == "" || value[bool](w, `SELECT to_regnamespace('org33') IS NOT NULL`) {
		t.Fatalf("the source is %s: %s; want it failed, with the GRANT, and no schema", src.State, src.Reason)
	}
	storetest.Execute(t, address, grant)
	w.api.Org = "33"
	w.api.Want(t, http.StatusOK, "PATCH", "/sources/1", `{}`)
	if src := w.provisioned(1); src.State != sources.Ready {
		t.Errorf("with the GRANT it is %s: %s", src.State, src.Reason)
	}
}

// TestSchemaOfTheCustomer: a customer's schema is where its tenant is, whatever it is called.
func TestSchemaOfTheCustomer(t *testing.T) {
	t.Parallel()

	address := kokus(t)
	koku.TenantIn(t, address, "33", "acct4711")
	w := start(t, address, "")
	src := w.made("33", "name", "c")
	if src.State != sources.Ready {
		t.Fatalf("the source is %s: %s", src.State, src.Reason)
	}
	if got := value[string](w, `SELECT uuid::text FROM acct4711.reporting_tenant_api_provider`); got != src.UUID {
		t.Errorf("the customer's schema has the provider %s, want %s", got, src.UUID)
	}
	w.api.Org = "33"
	w.api.Want(t, http.StatusNoContent, "DELETE", "/sources/1", "")
	w.provisioned(1)
	if left := koku.Mentions(t, address, "acct4711", src.UUID); len(left) != 0 {
		t.Errorf("after its deletion the source is mentioned in %v", left)
	}

	// A customer may be there before its schema, from its first request to Koku on.
	koku.Execute(t, address, `INSERT INTO public.api_customer (date_created, date_updated, uuid, schema_name, org_id) VALUES (now(), now(), gen_random_uuid(), 'acct5', '5')`)
	if src := w.made("5", "name", "c"); src.State != sources.Ready || len(w.owners("acct5")) != 1 {
		t.Errorf("the source of a customer without a schema is %s: %s", src.State, src.Reason)
	}
	if value[bool](w, `SELECT to_regnamespace('org33') IS NOT NULL OR to_regnamespace('org5') IS NOT NULL`) {
		t.Error("there is a second schema for an organization")
	}
}

// TestSharedAuthentication: credentials that another organization's provider has too are never changed.
func TestSharedAuthentication(t *testing.T) {
	t.Parallel()

	foreign := source(8, "c")
	foreign.Org = "2"
	address := kokus(t, source(7, "c"), foreign)
	w := start(t, address, "")
	const authentications = `SELECT array_agg(id || ' ' || uuid || ' ' || credentials::text ORDER BY id) FROM public.api_providerauthentication`
	before := value[[]string](w, authentications)
	w.api.Want(t, http.StatusOK, "PATCH", "/sources/7", `{"source_ref": "other"}`)
	w.provisioned(7)
	if after := value[[]string](w, authentications); len(before) != 1 || len(after) != 2 || after[0] != before[0] {
		t.Errorf("the credentials were %q, and are %q", before, after)
	}
	for org, cluster := range map[string]string{"1": "other", "2": "c"} {
		if got := w.found(org, cluster); len(got) != 1 {
			t.Errorf("report processing finds %q for organization %s", got, org)
		}
	}
}

// TestRemoval: with a provider goes all that refers to it, in its own tenant, and nothing of any other's.
func TestRemoval(t *testing.T) {
	t.Parallel()

	foreign := source(8, "c")
	foreign.Org = "2"
	cloud := source(9, "cloud")
	address := kokus(t, source(7, "c"), foreign, cloud)
	// The cluster runs on a cloud that another provider is, and so does another cluster.
	koku.Execute(t, address, `INSERT INTO public.api_providerinfrastructuremap (infrastructure_type, infrastructure_provider_id) VALUES ('AWS', '`+uuid(9)+`')`,
		`UPDATE public.api_provider SET infrastructure_id = (SELECT max(id) FROM public.api_providerinfrastructuremap) WHERE uuid IN ('`+uuid(7)+`', '`+uuid(8)+`')`)
	w := start(t, address, "")
	others := func() map[string]int {
		all := koku.Mentions(t, address, "org2", uuid(8))
		for table, n := range koku.Mentions(t, address, "org1", uuid(9)) {
			all["cloud's "+table] = n
		}
		return all
	}
	before := others()
	w.api.Want(t, http.StatusNoContent, "DELETE", "/sources/7", "")
	w.gone(7)
	if diff := cmp.Diff(before, others()); diff != "" {
		t.Errorf("rows of others (-before +after):\n%s", diff)
	}
	if got := value[int](w, `SELECT count(*) FROM public.api_providerinfrastructuremap`); got != 1 {
		t.Errorf("the cloud has %d rows in the map, want the one", got)
	}
	w.api.Want(t, http.StatusNoContent, "DELETE", "/sources/9", "")
	w.gone(9)
	if left := koku.Mentions(t, address, "org2", uuid(8)); left["api_provider"] != 1 || value[int](w, `SELECT count(infrastructure_id) FROM public.api_provider`) != 0 {
		t.Errorf("after its cloud is gone the cluster has %v", slices.Sorted(maps.Keys(left)))
	}
}

// TestCycle: a provider goes also where tables refer to each other, with more rows than a transaction takes.
func TestCycle(t *testing.T) {
	t.Parallel()

	src := source(7, "c")
	address := kokus(t, src)
	koku.ProcessRacks(t, address, src)
	koku.Execute(t, address, strings.ReplaceAll(`
		CREATE TEMPORARY TABLE many ON COMMIT DROP AS SELECT gen_random_uuid() AS uuid FROM generate_series(1, 6000);
		INSERT INTO org1.reporting_ocp_racks (uuid, first_host, source_uuid) SELECT uuid, uuid, '$1' FROM many;
		INSERT INTO org1.reporting_ocp_hosts (uuid, rack_id, source_uuid) SELECT uuid, uuid, '$1' FROM many`, "$1", src.UUID))
	w := start(t, address, "")
	w.api.Want(t, http.StatusNoContent, "DELETE", "/sources/7", "")
	w.gone(7)
}

// TestNothingOfKokusChanges: what Koku has made is afterwards as it was: after migrating, twice, and after sources
// have come and gone, in its own tenants too, which are its own to migrate. What is new is our schema and new tenants'.
func TestNothingOfKokusChanges(t *testing.T) {
	t.Parallel()

	address := kokus(t, source(7, "c7"))
	catalogues := func() map[string][]string {
		all := map[string][]string{}
		for _, schema := range []string{"public", koku.Template, "org1", "org2"} {
			all[schema] = koku.Catalogue(t, address, schema)
		}
		return all
	}
	before := catalogues()
	unchanged := func(after string) {
		t.Helper()
		if diff := cmp.Diff(before, catalogues()); diff != "" {
			t.Errorf("after %s Koku's catalogue (-before +now):\n%s", after, diff)
		}
	}
	w := start(t, address, "")
	unchanged("migrating")
	w.migrate()
	unchanged("migrating again")
	if ours, err := migrations.Tenants(t.Context(), address); err != nil || len(ours) != 0 {
		t.Errorf("the tenants that are ours to migrate are %q, %v", ours, err)
	}
	w.made("33", "new tenant", "c")
	src := w.made("2", "old tenant", "c")
	w.api.Want(t, http.StatusNoContent, "DELETE", "/sources/7", "")
	w.gone(7)
	w.api.Org = "2"
	w.api.Want(t, http.StatusOK, "PATCH", fmt.Sprint("/sources/", src.ID), `{"source_ref": "c8", "name": "other", "paused": true}`)
	w.provisioned(src.ID)
	w.api.Want(t, http.StatusNoContent, "DELETE", fmt.Sprint("/sources/", src.ID), "")
	w.provisioned(src.ID)
	unchanged("sources have come and gone")
	w.migrate()
	unchanged("migrating after that")
	schemas := value[[]string](w, `SELECT array_agg(nspname::text ORDER BY nspname) FROM pg_namespace WHERE nspname !~ '^(pg_|information_schema)'`)
	if diff := cmp.Diff([]string{"org1", "org2", "org33", "public", "sources", "template0"}, schemas); diff != "" {
		t.Errorf("schemas (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(described(t, address, koku.Template), described(t, address, "org33")); diff != "" {
		t.Errorf("the new tenant differs (-template +new):\n%s", diff)
	}
}
