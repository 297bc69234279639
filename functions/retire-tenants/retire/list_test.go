package retire_test

import (
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/insights-onprem/cost-sources/shared/store"
)

// TestList: what an operator sees. Nothing is changed by it.
func TestList(t *testing.T) {
	t.Parallel()

	w := setup(t)
	w.spare("1")
	w.spare("2")
	w.provided("3")
	w.exec(`UPDATE public.api_customer SET date_updated = '2026-01-02T03:04:05Z' WHERE org_id = '2'`)
	w.exec(`UPDATE sources.source SET updated_at = '2026-01-01Z', deleted_at = '2026-01-01Z' WHERE org_id = '2'`)
	w.exec(`UPDATE public.api_customer SET date_updated = '2026-01-01Z' WHERE org_id = '1'`)
	w.exec(`UPDATE sources.source SET updated_at = '2026-01-03Z', deleted_at = '2026-01-02T23:00:00Z' WHERE org_id = '1'`)
	w.exec(`DROP TABLE org1.cost_sources_version`) // so it looks like one of Koku's
	before := w.contents("org1")

	out, err := w.run("-for", "24h")
	if err != nil {
		t.Fatal(err)
	}
	got := regexp.MustCompile(`\d+\.\d MB +\d+`).ReplaceAllString(out, "SIZE")
	want := "ORG  SCHEMA  SINCE                 SIZE    RELATIONS  MADE BY\n" +
		"2    org2    2026-01-02T03:04:05Z  SIZE         us\n" +
		"1    org1    2026-01-03T00:00:00Z  SIZE         Koku\n" +
		"2 without a source for longer than 24h0m0s, "
	if !strings.HasPrefix(got, want) {
		t.Error(cmp.Diff(want, got))
	}
	w.whole("1", before)
}

// TestSizes: relations and bytes are those of the schema, and of nothing else.
func TestSizes(t *testing.T) {
	t.Parallel()

	w := setup(t)
	w.spare("1")
	w.exec(`CREATE MATERIALIZED VIEW org1.m AS SELECT * FROM org1.user_settings`)
	w.exec(`CREATE TABLE public.large AS SELECT n FROM generate_series(1, 100000) n`)
	db, closeDB, err := store.Open(store.Config{DatabaseURL: w.address, MaxConns: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer closeDB()
	got, err := db.SpareTenants(t.Context(), time.Hour)
	if err != nil || len(got) != 1 {
		t.Fatalf("%d tenants, %v", len(got), err)
	}
	const in = ` FROM pg_class WHERE relnamespace = 'org1'::regnamespace`
	if want := value[int64](w, `SELECT count(*)`+in+` AND relkind NOT IN ('i', 'I')`); got[0].Relations != want {
		t.Errorf("%d relations, want %d", got[0].Relations, want)
	}
	if want := value[int64](w, `SELECT sum(pg_total_relation_size(oid))::bigint`+in+` AND relkind IN ('r', 'm', 'S')`); got[0].Bytes != want {
		t.Errorf("%d bytes, want %d", got[0].Bytes, want)
	}
}

// TestObstacles: each of these alone keeps a tenant, and its reason is told to who asks for it by name.
func TestObstacles(t *testing.T) {
	t.Parallel()

	w := setup(t)
	const undone = "not everything of a deleted source is removed yet"
	tests := []struct{ name, sql, want string }{
		{"nothing", `SELECT $1`, ""},
		{"living source", `UPDATE sources.source SET deleted_at = NULL WHERE org_id = $1`, "it has a source"},
		{"one living beside a deleted one", `INSERT INTO sources.source (org_id, name, source_type, state) VALUES ($1, 'n', 'OCP', 'waiting')`, "it has a source"},
		{"change not seen", `UPDATE sources.source SET generation = generation + 1 WHERE org_id = $1`, undone},
		{"removal under way", `UPDATE sources.source SET provider_detached_at = now() WHERE org_id = $1`, undone},
		{"provider not removed", `UPDATE sources.source SET provider_removed_at = NULL WHERE org_id = $1`, undone},
		{"ROS not cleaned", `UPDATE sources.source SET ros_cleaned_at = NULL WHERE org_id = $1`, undone},
		{"ROS not rechecked", `UPDATE sources.source SET ros_rechecked_at = NULL WHERE org_id = $1`, undone},
		{"outbox", `INSERT INTO sources.outbox (source_id, sequence, id, event) SELECT id, 100, gen_random_uuid(), '{}' FROM sources.source WHERE org_id = $1`,
			"events of a deleted source are in the outbox"},
		{"parked", `INSERT INTO sources.outbox (source_id, sequence, id, event, parked_at) SELECT id, 100, gen_random_uuid(), '{}', now() FROM sources.source WHERE org_id = $1`,
			"events of a deleted source are in the outbox"},
		{"foreign source", `INSERT INTO public.api_sources (source_id, "offset", source_type, authentication, pending_delete, pending_update, out_of_order_delete, paused, org_id, updated_timestamp)
			SELECT 1000000 + max(id), 1, 'OCP', '{}', false, false, false, false, $1, now() FROM sources.source`, "public.api_sources has a source of it"},
		{"foreign provider", `INSERT INTO public.api_provider (uuid, name, type, setup_complete, active, paused, customer_id)
			SELECT gen_random_uuid(), 'n', 'OCP', false, true, false, id FROM public.api_customer WHERE org_id = $1`, "it has a provider"},
		{"changed lately", `UPDATE sources.source SET updated_at = now() - interval '89 days' WHERE org_id = $1`, "it has not been without a source for long enough"},
		{"deleted lately", `UPDATE sources.source SET deleted_at = now() - interval '89 days' WHERE org_id = $1`, "it has not been without a source for long enough"},
		{"customer lately", `UPDATE public.api_customer SET date_updated = now() - interval '89 days' WHERE org_id = $1`, "it has not been without a source for long enough"},
		{"forgotten long ago", `DELETE FROM sources.source WHERE org_id = $1`, ""},
		{"no tenant", `DELETE FROM public.api_tenant WHERE schema_name = 'org' || $1::text`, "it has no tenant"},
		{"schema gone", `DO 'BEGIN EXECUTE $$DROP SCHEMA orgx CASCADE$$; END'`, "it has no tenant"},
	}
	for i, tt := range tests {
		org := string(rune('a' + i))
		if tt.name == "schema gone" {
			org = "x"
			w.spare(org)
			w.exec(tt.sql)
		} else {
			w.spare(org)
			w.exec(tt.sql, org)
		}
		all, err := w.run()
		if listed := strings.Contains(all, "\n"+org+" "); err != nil || listed != (tt.want == "") {
			t.Errorf("%s: listed is %t, %v", tt.name, listed, err)
		}
		out, err := w.run("-org", org)
		if tt.want == "" {
			if err != nil || !strings.Contains(out, "1 without a source") {
				t.Errorf("%s: -org: %v\n%s", tt.name, err, out)
			}
			continue
		}
		if first, _, _ := strings.Cut(out, "\n"); !strings.HasPrefix(first, "kept     "+org+"  ") || !strings.HasSuffix(first, "  "+tt.want) || errText(err) != "1 kept" {
			t.Errorf("%s: %v, %q", tt.name, err, first)
		}
	}
}

// TestBlindRole: to whom the registry's rows are hidden every organization would be without a source.
func TestBlindRole(t *testing.T) {
	t.Parallel()

	w := setup(t)
	w.provided("1")
	w.exec(`UPDATE public.api_customer SET date_updated = now() - interval '100 days'`)
	w.exec(`DELETE FROM public.api_sources`)
	w.exec(`DO $$ BEGIN CREATE ROLE blind IN ROLE pg_read_all_data; EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$`)
	u, err := url.Parse(w.address)
	if err != nil {
		t.Fatal(err)
	}
	query := u.Query()
	query.Set("role", "blind")
	u.RawQuery = query.Encode()
	w.address = u.String()
	if out, err := w.run(); err == nil || !strings.Contains(err.Error(), "row-level security") {
		t.Errorf("%v\n%s", err, out)
	}
}
