package store_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/insights-onprem/cost-sources/shared/events"
	"github.com/insights-onprem/cost-sources/shared/sources"
	"github.com/insights-onprem/cost-sources/shared/store"
	"github.com/insights-onprem/cost-sources/shared/store/storetest"
)

func exec(t *testing.T, sql *pgxpool.Pool, statement string, args ...any) {
	t.Helper()
	if _, err := sql.Exec(t.Context(), statement, args...); err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
}

func addSource(t *testing.T, db *store.Store, draft sources.Source) sources.Source {
	t.Helper()
	draft.OrgID = "org1"
	var src sources.Source
	err := db.InTx(t.Context(), func(tx *store.Store) (err error) {
		if src, err = tx.CreateSource(t.Context(), draft); err != nil {
			return err
		}
		return tx.SaveSource(t.Context(), &src, events.SourceCreated)
	})
	if err != nil {
		t.Fatal(err)
	}
	return src
}

// TestAvailabilityIsOneRule: what a list is filtered by is what a source shows.
func TestAvailabilityIsOneRule(t *testing.T) {
	t.Parallel()

	db, sql := openAPI(t)
	for _, state := range []sources.State{sources.Waiting, sources.Pending, sources.Ready, sources.Failed} {
		for _, paused := range []bool{false, true} {
			src := addSource(t, db, sources.Source{Name: string(state), Paused: paused})
			exec(t, sql, `UPDATE sources.source SET state = $2 WHERE id = $1`, src.ID, state)
		}
	}
	all, _, err := db.Sources(t.Context(), "org1", sources.Query{Limit: 100})
	if err != nil || len(all) != 8 {
		t.Fatalf("%d sources, %v", len(all), err)
	}
	for _, status := range []string{"in_progress", "available", "paused", "unavailable"} {
		want := 0
		for _, src := range all {
			if src.Availability() == status {
				want++
			}
		}
		_, got, err := db.Sources(t.Context(), "org1", sources.Query{Limit: 1, Filters: []sources.Filter{
			{Field: "availability_status", Op: sources.Equal, Values: []string{status}}}})
		if got != want || err != nil {
			t.Errorf("%d sources are filtered as %s, %v; %d show it", got, status, err, want)
		}
	}
}

// openAPI is the store of the sources API for org1, and a way round it.
func openAPI(t *testing.T) (*store.Store, *pgxpool.Pool) {
	t.Helper()
	db, sql := storetest.Open(t, "sources")
	return db.For("org1"), sql
}

// linked is a store with one source that has a provider, in an organization without a schema.
func linked(t *testing.T) (*store.Store, *pgxpool.Pool, sources.Source) {
	t.Helper()
	db, sql := openAPI(t)
	src := addSource(t, db, sources.Source{Name: "a"})
	exec(t, sql, `UPDATE sources.source SET observed_generation = 1`)
	exec(t, sql, `INSERT INTO public.api_customer (date_created, date_updated, uuid, schema_name, org_id) VALUES (now(), now(), gen_random_uuid(), 'orgorg1', 'org1')`)
	exec(t, sql, `INSERT INTO public.api_provider (uuid, name, type, setup_complete, active, paused, additional_context, customer_id, polling_timestamp)
		SELECT $1, 'a', 'OCP', true, true, false, '{"note": 1}', id, '2026-11-01 10:00:00Z' FROM public.api_customer`, src.UUID)
	src, err := db.Source(t.Context(), "org1", sources.Ref{ID: src.ID})
	if err != nil {
		t.Fatal(err)
	}
	return db, sql, src
}

// fill gives the source payloads of last month and of this, a cost model and a cloud.
func fill(t *testing.T, sql *pgxpool.Pool, src sources.Source) {
	t.Helper()
	exec(t, sql, `
		INSERT INTO public.reporting_common_costusagereportmanifest
			(assembly_id, billing_period_start_datetime, num_total_files, provider_id, creation_datetime, completed_datetime, state, operator_version)
		VALUES ('old', date_trunc('month', now(), 'UTC') - interval '1 month', 3, $1, now() - interval '2 days', now(), NULL, NULL),
			('new', date_trunc('month', now(), 'UTC'), 2, $1, now() - interval '1 day', NULL,
				'{"download": {"start": "2026", "end": "2026"}, "processing": {"start": "2026", "failed": "2026"}}', '4.1')`, src.UUID)
	exec(t, sql, `INSERT INTO public.reporting_common_costusagereportstatus (report_name, manifest_id, status, started_datetime, completed_datetime)
		SELECT 'r' || n, id, 1, now(), CASE n WHEN 1 THEN now() END FROM public.reporting_common_costusagereportmanifest, generate_series(1, 2) n WHERE assembly_id = 'new'`)
	for _, statement := range []string{
		`CREATE SCHEMA orgorg1`, `INSERT INTO public.api_tenant (schema_name) VALUES ('orgorg1')`,
		`CREATE TABLE orgorg1.reporting_tenant_api_provider (uuid uuid)`,
		`CREATE TABLE orgorg1.cost_model (uuid uuid, name text)`,
		`CREATE TABLE orgorg1.cost_model_map (provider_uuid uuid, cost_model_id uuid)`,
		`GRANT USAGE ON SCHEMA orgorg1 TO cost_sources_provisioner`,
		`GRANT SELECT ON ALL TABLES IN SCHEMA orgorg1 TO cost_sources_provisioner`,
	} {
		exec(t, sql, statement)
	}
	exec(t, sql, `INSERT INTO orgorg1.cost_model VALUES ($1, 'model')`, src.UUID)
	exec(t, sql, `INSERT INTO orgorg1.cost_model_map VALUES ($1, $1)`, src.UUID)
	exec(t, sql, `INSERT INTO public.api_providerinfrastructuremap (infrastructure_type, infrastructure_provider_id) VALUES ('AWS', $1)`, src.UUID)
	exec(t, sql, `UPDATE public.api_provider SET infrastructure_id = (SELECT id FROM public.api_providerinfrastructuremap)`)
}

func detailsOf(t *testing.T, db *store.Store, src sources.Source) sources.Details {
	t.Helper()
	found, err := db.Details(t.Context(), "org1", []sources.Source{src})
	if err != nil {
		t.Fatal(err)
	}
	return found[src.UUID]
}

// bare are the details of a source whose provider has no data yet.
func bare() sources.Details {
	polled := time.Date(2026, 11, 1, 10, 0, 0, 0, time.UTC)
	return sources.Details{ProviderLinked: true, ProviderActive: true, LastPolling: &polled, AdditionalContext: sources.Object{"note": []byte("1")}}
}

func TestDetails(t *testing.T) {
	t.Parallel()

	db, sql, src := linked(t)
	if diff := cmp.Diff(bare(), detailsOf(t, db, src)); diff != "" {
		t.Errorf("without payloads and without a tenant's schema (-want +got):\n%s", diff)
	}
	fill(t, sql, src)
	got := detailsOf(t, db, src)
	if !got.HasData || got.CurrentMonthData || !got.PreviousMonthData || got.LastPayloadAt == nil {
		t.Errorf("of its data it says %+v", got)
	}
	const status = `{"download":{"state":"complete","start":"2026","end":"2026"},"processing":{"state":"failed","start":"2026","failed":"2026"},"summary":{"state":"pending"}}`
	if string(got.Status) != status {
		t.Errorf("status = %s, want %s", got.Status, status)
	}
	if string(got.AdditionalContext["operator_version"]) != `"4.1"` || string(got.AdditionalContext["note"]) != "1" {
		t.Errorf("additional context = %v", got.AdditionalContext)
	}
	if diff := cmp.Diff([]sources.CostModel{{Name: "model", UUID: src.UUID}}, got.CostModels); diff != "" {
		t.Errorf("cost models (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(&sources.Infrastructure{Type: "AWS", UUID: src.UUID}, got.Infrastructure); diff != "" {
		t.Errorf("infrastructure (-want +got):\n%s", diff)
	}
}

func TestStats(t *testing.T) {
	t.Parallel()

	db, sql, src := linked(t)
	fill(t, sql, src)
	stats, err := db.Stats(t.Context(), "org1", src)
	if err != nil || !stats.Linked || len(stats.Months) != 2 {
		t.Fatalf("Stats() = %+v, %v", stats, err)
	}
	month := stats.Months[time.Now().UTC().Format("2006-01")]
	if len(month) != 1 || month[0].FilesProcessed != "1/2" || month[0].AssemblyID != "new" || month[0].ManifestComplete != nil || month[0].ProcessStart == nil {
		t.Errorf("this month's payloads are %+v", month)
	}
}

// TestMissingTables: what Koku's tables would say is left out where they are not there.
func TestMissingTables(t *testing.T) {
	t.Parallel()

	db, sql, src := linked(t)
	fill(t, sql, src)
	exec(t, sql, `DROP TABLE public.reporting_common_costusagereportmanifest CASCADE`)
	exec(t, sql, `DROP TABLE orgorg1.cost_model_map`)
	want := bare()
	want.Infrastructure = &sources.Infrastructure{Type: "AWS", UUID: src.UUID}
	if diff := cmp.Diff(want, detailsOf(t, db, src)); diff != "" {
		t.Errorf("details (-want +got):\n%s", diff)
	}
	if stats, err := db.Stats(t.Context(), "org1", src); err != nil || !stats.Linked || len(stats.Months) != 0 {
		t.Errorf("Stats() = %+v, %v", stats, err)
	}
	exec(t, sql, `DROP TABLE public.api_provider CASCADE`)
	if stats, err := db.Stats(t.Context(), "org1", src); err != nil || stats.Linked {
		t.Errorf("without providers Stats() = %+v, %v", stats, err)
	}
}

// TestForeignRow: a row of api_sources that somebody else wrote under our id is not overwritten.
func TestForeignRow(t *testing.T) {
	t.Parallel()

	db, sql := openAPI(t)
	exec(t, sql, `INSERT INTO public.api_sources (source_id, name, "offset", source_type, authentication, pending_delete, pending_update,
		out_of_order_delete, paused, org_id, updated_timestamp) VALUES (1, 'koku''s', 1, 'OCP', '{}', false, false, false, false, 'org1', now())`)
	err := db.InTx(t.Context(), func(tx *store.Store) error {
		src, err := tx.CreateSource(t.Context(), sources.Source{OrgID: "org1", Name: "a"})
		if err != nil {
			return err
		}
		return tx.SaveSource(t.Context(), &src, events.SourceCreated)
	})
	if err == nil || sources.KindOf(err) != sources.Internal {
		t.Errorf("SaveSource() over a row of somebody else's = %v", err)
	}
	var name string
	if err := sql.QueryRow(t.Context(), `SELECT name FROM public.api_sources`).Scan(&name); err != nil || name != "koku's" {
		t.Errorf("the row is %q now, %v", name, err)
	}
}

func TestLargeEvent(t *testing.T) {
	t.Parallel()

	db, _ := openAPI(t)
	src := addSource(t, db, sources.Source{Name: "a"})
	src.Name = strings.Repeat("x", 300<<10)
	err := db.InTx(t.Context(), func(tx *store.Store) error { return tx.SaveSource(t.Context(), &src, events.SourceUpdated) })
	if err == nil {
		t.Error("an event that no sink takes was put into the outbox")
	}
}
