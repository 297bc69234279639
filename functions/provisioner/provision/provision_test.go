package provision_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	cloudevents "github.com/cloudevents/sdk-go/v2"
	cehttp "github.com/cloudevents/sdk-go/v2/protocol/http"
	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/insights-onprem/cost-sources/functions/provisioner/provision"
	"github.com/insights-onprem/cost-sources/shared/events"
	"github.com/insights-onprem/cost-sources/shared/sources"
	"github.com/insights-onprem/cost-sources/shared/store"
	"github.com/insights-onprem/cost-sources/shared/store/storetest"
)

// A fixture is the function, its database, and a way into that which goes round the store.
type fixture struct {
	testing.TB
	db  *store.Store
	api *store.Store // what makes changes
	sql *pgxpool.Pool
	url string
}

func setup(t testing.TB, edit ...func(*provision.Config)) fixture {
	t.Helper()
	var cfg provision.Config
	for _, e := range edit {
		e(&cfg)
	}
	address := storetest.Database(t)
	db := storetest.Store(t, "provisioner", address)
	srv := httptest.NewServer(provision.New(cfg, db))
	t.Cleanup(srv.Close)
	return fixture{TB: t, db: db, api: storetest.Store(t, "sources", address), sql: storetest.Pool(t, address), url: srv.URL}
}

// add stores a source with a cluster and an application.
func (f fixture) add(org, cluster string) sources.Source {
	f.Helper()
	draft := sources.Source{OrgID: org, AccountNumber: "account", Name: "name of " + cluster}
	draft.SetCluster(cluster)
	var src sources.Source
	err := f.api.For(org).InTx(f.Context(), func(tx *store.Store) (err error) {
		if src, err = tx.CreateSource(f.Context(), draft); err != nil {
			return err
		}
		src.Attach()
		return tx.SaveSource(f.Context(), &src, events.SourceCreated, events.ApplicationCreated)
	})
	if err != nil {
		f.Fatal(err)
	}
	return src
}

// change stores what edit makes of a source.
func (f fixture) change(src sources.Source, edit func(*sources.Source)) sources.Source {
	f.Helper()
	err := f.api.For(src.OrgID).InTx(f.Context(), func(tx *store.Store) (err error) {
		if src, err = tx.LockSource(f.Context(), src.OrgID, sources.Ref{ID: src.ID}); err != nil {
			return err
		}
		edit(&src)
		return tx.SaveSource(f.Context(), &src, events.SourceUpdated)
	})
	if err != nil {
		f.Fatal(err)
	}
	return src
}

// now reads the registry row of a source.
func (f fixture) now(src sources.Source) sources.Source {
	f.Helper()
	src, err := f.db.Registered(f.Context(), src.ID)
	if err != nil {
		f.Fatal(err)
	}
	return src
}

// send posts an event about a source and returns the status.
func (f fixture) send(make store.EventFunc, src sources.Source) int {
	f.Helper()
	e, err := make(f.Context(), src)
	if err != nil {
		f.Fatal(err)
	}
	return f.post(e)
}

// post hands an event over both ways, one after the other, and returns the worse answer.
func (f fixture) post(e cloudevents.Event) int {
	f.Helper()
	return max(f.postTo(provision.ProvidersPath, e), f.postTo(provision.TenantsPath, e))
}

func (f fixture) postTo(path string, e cloudevents.Event) int {
	f.Helper()
	request, err := cehttp.NewHTTPRequestFromEvent(f.Context(), f.url+path, e)
	if err != nil {
		f.Fatal(err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		f.Error(err)
		return 0
	}
	response.Body.Close()
	return response.StatusCode
}

// provided has the function look at a source, which has to succeed.
func (f fixture) provided(src sources.Source) sources.Source {
	f.Helper()
	if status := f.send(events.SourceUpdated, src); status != http.StatusNoContent {
		f.Fatalf("an event of source %d is answered %d, want 204", src.ID, status)
	}
	return f.now(src)
}

// value reads one value.
func value[T any](f fixture, sql string, args ...any) (v T) {
	f.Helper()
	if err := f.sql.QueryRow(f.Context(), sql, args...).Scan(&v); err != nil {
		f.Fatalf("%s: %v", sql, err)
	}
	return v
}

// found is the join by which report processing finds the source of an upload (contract section 6).
func (f fixture) found(org, cluster string) []string {
	f.Helper()
	return value[[]string](f, `
		SELECT coalesce(array_agg(s.name ORDER BY s.name), '{}')
		FROM public.api_sources s
		JOIN public.api_provider p ON s.provider_id = p.uuid
		JOIN public.api_providerauthentication a ON p.authentication_id = a.id
		WHERE s.org_id = $1 AND a.credentials = jsonb_build_object('cluster_id', $2::text)`, org, cluster)
}

func TestProvide(t *testing.T) {
	t.Parallel()

	f := setup(t)
	src := f.provided(f.add("org1", "c1"))
	if src.State != sources.Ready || !src.UpToDate() || src.Attempts != 1 {
		t.Errorf("the source is %+v, want it ready", src)
	}
	if diff := cmp.Diff([]string{"name of c1"}, f.found("org1", "c1")); diff != "" {
		t.Errorf("report processing finds (-want +got):\n%s", diff)
	}
	type row struct {
		Name, Type, Customer, Account, Schema, Billing, Copy, KokuUUID string
		Active, Paused, SetupComplete                                  bool
	}
	var got row
	err := f.sql.QueryRow(t.Context(), `
		SELECT p.name, p.type, c.org_id, c.account_id, c.schema_name, b.data_source::text, t.name, s.koku_uuid,
			p.active, p.paused, p.setup_complete
		FROM public.api_provider p
		JOIN public.api_customer c ON c.id = p.customer_id
		JOIN public.api_tenant n ON n.schema_name = c.schema_name
		JOIN public.api_providerbillingsource b ON b.id = p.billing_source_id
		JOIN orgorg1.reporting_tenant_api_provider t ON t.uuid = p.uuid AND t.provider_id = p.uuid
		JOIN public.api_sources s ON s.source_id = $1 AND s."offset" = $1 AND s.source_uuid = p.uuid AND s.auth_header IS NULL
		WHERE p.uuid = $2 AND p.additional_context = '{}'`, src.ID, src.UUID).
		Scan(&got.Name, &got.Type, &got.Customer, &got.Account, &got.Schema, &got.Billing, &got.Copy, &got.KokuUUID,
			&got.Active, &got.Paused, &got.SetupComplete)
	want := row{Name: "name of c1", Type: "OCP", Customer: "org1", Account: "account", Schema: "orgorg1", Billing: "{}",
		Copy: "name of c1", KokuUUID: src.UUID, Active: true}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("the provider: %v (-want +got):\n%s", err, diff)
	}
}

func TestFollowsChanges(t *testing.T) {
	t.Parallel()

	f := setup(t)
	src := f.provided(f.add("org1", "c1"))
	src = f.provided(f.change(src, func(s *sources.Source) {
		s.Name, s.Paused = "other", true
		s.SetCluster("c2")
	}))
	if diff := cmp.Diff([]string{"other"}, f.found("org1", "c2")); diff != "" || len(f.found("org1", "c1")) != 0 {
		t.Errorf("after a change report processing finds (-want +got):\n%s", diff)
	}
	if !value[bool](f, `SELECT paused FROM public.api_provider WHERE uuid = $1`, src.UUID) {
		t.Error("the provider is not paused")
	}
	if left := value[int](f, `SELECT count(*) FROM public.api_providerauthentication`); left != 1 {
		t.Errorf("%d authentications are left, want that of c2", left)
	}
	if name := value[string](f, `SELECT name FROM orgorg1.reporting_tenant_api_provider`); name != "other" {
		t.Errorf("the tenant's copy is called %q", name)
	}
}

func TestManyAtOnce(t *testing.T) {
	t.Parallel()

	f := setup(t)
	var all sync.WaitGroup
	for i := range 12 {
		src := f.add("org1", fmt.Sprintf("c%d", i))
		for range 2 { // each event comes twice
			all.Go(func() {
				if status := f.send(events.ApplicationCreated, src); status != http.StatusNoContent {
					t.Errorf("source %d is answered %d", src.ID, status)
				}
			})
		}
	}
	all.Wait()
	for what, want := range map[string]int{
		"public.api_provider": 12, "public.api_customer": 1, "public.api_tenant": 1,
		"public.api_providerbillingsource": 1, "public.api_providerauthentication": 12,
		"orgorg1.reporting_tenant_api_provider": 12, "sources.source WHERE state = 'ready' AND attempts = 1": 12,
	} {
		if got := value[int](f, `SELECT count(*) FROM `+what); got != want {
			t.Errorf("%d rows of %s, want %d", got, what, want)
		}
	}
}

func TestSharedCredentials(t *testing.T) {
	t.Parallel()

	f := setup(t)
	one, two := f.provided(f.add("org1", "c")), f.provided(f.add("org2", "c"))
	const count = `SELECT count(*) FROM public.api_providerauthentication`
	if got := value[int](f, count); got != 1 {
		t.Errorf("two organizations with one cluster have %d authentications, want one", got)
	}
	if got := value[int](f, `SELECT count(*) FROM public.api_customer WHERE account_id IS NULL`); got != 1 {
		t.Errorf("%d customers are without the account number that is taken, want one", got)
	}
	f.provided(f.change(one, func(s *sources.Source) { s.MarkDeleted(time.Now()) }))
	if diff := cmp.Diff([]string{two.Name}, f.found("org2", "c")); diff != "" {
		t.Errorf("the other organization's source (-want +got):\n%s", diff)
	}
	f.provided(f.change(two, func(s *sources.Source) { s.MarkDeleted(time.Now()) }))
	if got := value[int](f, count); got != 0 {
		t.Errorf("%d authentications are left after the last provider", got)
	}
}

// TestSharedCredentialsAtOnce: organizations that report one cluster at the same time get one row of
// credentials, which goes with the last of them.
func TestSharedCredentialsAtOnce(t *testing.T) {
	t.Parallel()

	f := setup(t)
	var all []sources.Source
	for i := range 8 {
		all = append(all, f.provided(f.add(fmt.Sprintf("org%d", i), fmt.Sprintf("own%d", i))))
	}
	atOnce := func(edit func(*sources.Source)) int {
		var sent sync.WaitGroup
		for i := range all {
			all[i] = f.change(all[i], edit)
			sent.Go(func() { f.send(events.SourceUpdated, all[i]) })
		}
		sent.Wait()
		for _, src := range all {
			f.provided(src) // one that was told to come again
		}
		return value[int](f, `SELECT count(*) FROM public.api_providerauthentication`)
	}
	for round := range 5 {
		if got := atOnce(func(s *sources.Source) { s.SetCluster(fmt.Sprintf("shared%d", round)) }); got != 1 {
			t.Fatalf("round %d: eight organizations with one cluster have %d authentications, want one", round, got)
		}
	}
	if got := atOnce(func(s *sources.Source) { s.MarkDeleted(time.Now()) }); got != 0 {
		t.Errorf("%d authentications are left after the last provider", got)
	}
}

func TestRemove(t *testing.T) {
	t.Parallel()

	f := setup(t)
	stays, goes := f.provided(f.add("org1", "c1")), f.provided(f.add("org1", "c2"))
	foreign := f.provided(f.add("org2", "c3"))
	for _, src := range []sources.Source{stays, goes, foreign} {
		f.fill(src)
	}
	goes = f.provided(f.change(goes, func(s *sources.Source) { s.MarkDeleted(time.Now()) }))
	if !goes.UpToDate() || goes.ProviderRemovedAt == nil || goes.ProviderDetachedAt != nil {
		t.Errorf("the registry says %+v, want it done", goes.Progress)
	}
	if left := f.rows(goes); len(left) > 0 {
		t.Errorf("left of the deleted source: %v", left)
	}
	if got := value[int](f, `SELECT count(*) FROM orgorg1.cost_model_audit`); got != 2 {
		t.Errorf("%d rows of the audit are left, want both: it outlives the provider", got)
	}
	for _, src := range []sources.Source{stays, foreign} {
		if left := f.rows(src); len(left) != len(tables) {
			t.Errorf("source %d has kept only %v", src.ID, left)
		}
	}
	if status := f.send(events.SourceDeleted, goes); status != http.StatusNoContent {
		t.Errorf("the same event again is answered %d", status)
	}
}

// TestLateRemoval: who comes to remove what refers to a provider, when another has finished that and a new provider
// is there, removes nothing of the new one.
func TestLateRemoval(t *testing.T) {
	t.Parallel()

	f := setup(t)
	src := f.provided(f.add("org1", "c"))
	f.fill(src)
	before := f.rows(src)
	if err := f.db.RemoveReferences(t.Context(), src); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(before, f.rows(src)); diff != "" {
		t.Errorf("what refers to the provider (-before +after):\n%s", diff)
	}
}

// tables are what refers to a provider, and how; T stands for the tenant's schema.
var tables = map[string]string{
	"public.api_provider":                                "uuid = $1",
	"public.api_providerauthentication a":                "EXISTS (SELECT FROM public.api_provider p WHERE p.uuid = $1 AND p.authentication_id = a.id)",
	"public.reporting_common_costusagereportmanifest":    "provider_id = $1",
	"public.reporting_common_costusagereportstatus":      "report_name = 'of ' || $1::text",
	"T.reporting_tenant_api_provider":                    "uuid = $1",
	"T.cost_model_map":                                   "provider_uuid = $1",
	"T.reporting_ocp_clusters":                           "provider_id = $1",
	"T.reporting_ocp_nodes":                              "node = $1::text",
	"T.reporting_ocpusagereportperiod":                   "provider_id = $1",
	"T.reporting_ocpusagelineitem_daily_summary":         "source_uuid = $1",
	"T.openshift_pod_usage_line_items":                   "source = $1::text",
	"T.reporting_ocpusagelineitem_daily_summary_2026_11": "source_uuid = $1",
	"T.reporting_ocpusagelineitem_daily_summary d":       "data_source = $1::text",
	"public.delayed_celery_tasks":                        "provider_uuid = $1",
	"public.api_providerinfrastructuremap":               "infrastructure_provider_id = $1",
	"public.api_sources":                                 "provider_id = $1",
}

func (f fixture) rows(src sources.Source) map[string]int {
	f.Helper()
	found := map[string]int{}
	for table, where := range tables {
		table = strings.Replace(table, "T.", "org"+src.OrgID+".", 1)
		if n := value[int](f, `SELECT count(*) FROM `+table+` WHERE `+where, src.UUID); n > 0 {
			found[table] = n
		}
	}
	return found
}

// fill makes rows of all kinds that refer to the provider of src, some of them in tables that only Koku
// makes, more of one kind than a batch removes.
func (f fixture) fill(src sources.Source) {
	f.Helper()
	schema := "org" + src.OrgID
	_, err := f.sql.Exec(f.Context(), strings.NewReplacer("T.", schema+".", "$1", "'"+src.UUID+"'").Replace(`
		CREATE TABLE IF NOT EXISTS public.delayed_celery_tasks (id serial PRIMARY KEY, provider_uuid uuid NOT NULL);
		GRANT SELECT, DELETE ON public.delayed_celery_tasks TO cost_sources_provisioner;
		SET LOCAL ROLE cost_sources_provisioner; -- who makes tables in a tenant's schema does so as its owner
		CREATE TABLE IF NOT EXISTS T.openshift_pod_usage_line_items (source varchar(64), usage_start date) PARTITION BY RANGE (usage_start);
		CREATE TABLE IF NOT EXISTS T.openshift_pod_usage_line_items_default PARTITION OF T.openshift_pod_usage_line_items DEFAULT;
		CREATE TABLE IF NOT EXISTS T.reporting_ocpusagelineitem_daily_summary_2026_11
			PARTITION OF T.reporting_ocpusagelineitem_daily_summary FOR VALUES FROM ('2026-11-01') TO ('2026-12-01');
		RESET ROLE;
		INSERT INTO public.delayed_celery_tasks (provider_uuid) VALUES ($1);
		INSERT INTO T.openshift_pod_usage_line_items VALUES ($1::text, '2026-01-01');
		INSERT INTO public.reporting_common_costusagereportmanifest (assembly_id, billing_period_start_datetime, num_total_files, provider_id)
			VALUES ('a', now(), 1, $1);
		INSERT INTO public.reporting_common_costusagereportstatus (report_name, manifest_id, status)
			SELECT 'of ' || $1::text, id, 1 FROM public.reporting_common_costusagereportmanifest WHERE provider_id = $1;
		INSERT INTO T.reporting_ocp_clusters VALUES ($1, 'c', 'c', $1);
		INSERT INTO T.reporting_ocp_nodes (uuid, node, cluster_id) VALUES (gen_random_uuid(), $1::text, $1);
		INSERT INTO T.reporting_ocpusagereportperiod (cluster_id, report_period_start, report_period_end, provider_id)
			VALUES ('c', now(), now(), $1);
		INSERT INTO T.reporting_ocpusagelineitem_daily_summary (uuid, usage_start, usage_end, source_uuid)
			SELECT gen_random_uuid(), '2026-11-05', '2026-11-05', $1 FROM generate_series(1, 7000);
		INSERT INTO T.reporting_ocpusagelineitem_daily_summary (uuid, usage_start, usage_end, data_source, report_period_id)
			SELECT gen_random_uuid(), '2020-01-01', '2020-01-01', $1::text, id
			FROM T.reporting_ocpusagereportperiod WHERE provider_id = $1;
		INSERT INTO T.cost_model VALUES ($1, 'm', '', 'OCP', now(), now(), '{}', '{}', '', 'USD', '{}');
		INSERT INTO T.cost_model_map (provider_uuid, cost_model_id) VALUES ($1, $1);
		INSERT INTO T.cost_model_audit (operation, audit_timestamp, provider_uuids, uuid, name, description, source_type, created_timestamp,
			updated_timestamp, rates, markup, distribution, currency, distribution_info)
			VALUES ('INSERT', now(), ARRAY[$1::uuid], $1, 'm', '', 'OCP', now(), now(), '{}', '{}', '', 'USD', '{}');
		INSERT INTO public.api_providerinfrastructuremap (infrastructure_type, infrastructure_provider_id) VALUES ('AWS', $1);
		UPDATE public.api_provider SET infrastructure_id = m.id FROM public.api_providerinfrastructuremap m
			WHERE m.infrastructure_provider_id = $1 AND uuid = $1`))
	if err != nil {
		f.Fatal(err)
	}
}

func TestApplicationGoesAndComes(t *testing.T) {
	t.Parallel()

	f := setup(t)
	src := f.provided(f.add("org1", "c"))
	src = f.provided(f.change(src, func(s *sources.Source) { s.Detach(time.Now()) }))
	if got := f.found("org1", "c"); len(got) > 0 || src.State != sources.Waiting || src.ProviderRemovedAt == nil {
		t.Errorf("without its application the source is %+v and found as %v", src.Progress, got)
	}
	src = f.provided(f.change(src, func(s *sources.Source) { s.Attach() }))
	if diff := cmp.Diff([]string{src.Name}, f.found("org1", "c")); diff != "" || src.ProviderRemovedAt != nil {
		t.Errorf("with it again it is %+v, found as (-want +got):\n%s", src.Progress, diff)
	}
}

// TestRemovalIsFinishedFirst: a removal that was interrupted after its first step is gone on with, also
// where the source has got its application back.
func TestRemovalIsFinishedFirst(t *testing.T) {
	t.Parallel()

	f := setup(t)
	src := f.provided(f.add("org1", "c"))
	f.fill(src)
	src = f.change(src, func(s *sources.Source) { s.Detach(time.Now()) })
	err := f.db.InTx(t.Context(), func(tx *store.Store) error {
		exists, err := tx.DetachProvider(t.Context(), &src)
		if !exists {
			t.Error("there is no provider to detach")
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if got := f.found("org1", "c"); len(got) > 0 {
		t.Errorf("a detached provider is found as %v", got)
	}
	src = f.provided(f.change(f.now(src), func(s *sources.Source) { s.Attach() }))
	left := f.rows(src)
	if want := map[string]int{"public.api_provider": 1, "public.api_providerauthentication a": 1, "orgorg1.reporting_tenant_api_provider": 1, "public.api_sources": 1}; !cmp.Equal(want, left) {
		t.Errorf("the new provider begins with (-want +got):\n%s", cmp.Diff(want, left))
	}
	if !value[bool](f, `SELECT active FROM public.api_provider WHERE uuid = $1`, src.UUID) {
		t.Error("the new provider is not active")
	}
}

// TestOurOwnStandInNobodysWay: the cluster of a source that is gone, or has another one by now, can be
// had at once, whatever the provisioner has yet to do for that source.
func TestOurOwnStandInNobodysWay(t *testing.T) {
	t.Parallel()

	f := setup(t)
	gone, moved := f.provided(f.add("org1", "c1")), f.provided(f.add("org1", "c2"))
	gone = f.change(gone, func(s *sources.Source) { s.MarkDeleted(time.Now()) })
	moved = f.change(moved, func(s *sources.Source) { s.SetCluster("c3") })
	for _, cluster := range []string{"c1", "c2"} {
		src := f.provided(f.add("org1", cluster))
		if diff := cmp.Diff([]string{src.Name}, f.found("org1", cluster)); diff != "" || src.State != sources.Ready {
			t.Errorf("the new source of %s is %s, found as (-want +got):\n%s", cluster, src.State, diff)
		}
	}
	f.provided(gone)
	f.provided(moved)
	if diff := cmp.Diff([]string{moved.Name}, f.found("org1", "c3")); diff != "" {
		t.Errorf("the source that has moved is found as (-want +got):\n%s", diff)
	}
	if got := value[int](f, `SELECT count(*) FROM public.api_provider`); got != 3 {
		t.Errorf("%d providers, want one for each living source", got)
	}
}

func TestProviderInTheWay(t *testing.T) {
	t.Parallel()

	f := setup(t)
	f.provided(f.add("org1", "c1"))
	_, err := f.sql.Exec(t.Context(), `
		WITH a AS (INSERT INTO public.api_providerauthentication (uuid, credentials)
			VALUES (gen_random_uuid(), '{"cluster_id": "c2"}') RETURNING id)
		INSERT INTO public.api_provider (uuid, name, type, setup_complete, active, authentication_id, billing_source_id, customer_id, paused)
		SELECT gen_random_uuid(), 'koku''s', 'OCP', true, true, a.id, b.id, c.id, false
		FROM a, public.api_providerbillingsource b, public.api_customer c`)
	if err != nil {
		t.Fatal(err)
	}
	src := f.provided(f.add("org1", "c2"))
	if src.State != sources.Failed || !strings.Contains(src.Reason, "cluster c2") || src.UpToDate() || !src.NextAttemptAt.After(time.Now()) {
		t.Errorf("the source is %+v, want it failed with the reason and to be tried later", src.Progress)
	}
	if got := value[string](f, `SELECT name FROM public.api_provider WHERE setup_complete AND active AND authentication_id IS NOT NULL`); got != "koku's" {
		t.Errorf("the provider in the way was touched: %q", got)
	}
	if _, err := f.sql.Exec(t.Context(), `DELETE FROM public.api_provider WHERE name = 'koku''s'`); err != nil {
		t.Fatal(err)
	}
	if src = f.provided(src); src.State != sources.Ready || src.Reason != "" || src.Attempts != 2 {
		t.Errorf("with the way free it is %+v, want it ready", src.Progress)
	}
}

func TestSchemaOfSomebodyElse(t *testing.T) {
	t.Parallel()

	f := setup(t)
	if _, err := f.sql.Exec(t.Context(), `CREATE SCHEMA orgorg1`); err != nil {
		t.Fatal(err)
	}
	src := f.provided(f.add("org1", "c"))
	if src.State != sources.Failed || !strings.Contains(src.Reason, "orgorg1") {
		t.Errorf("the source is %+v, want it failed", src.Progress)
	}
	if got := value[int](f, `SELECT count(*) FROM public.api_customer`); got != 0 {
		t.Errorf("%d customers were half made", got)
	}
}

// TestNoSchemaName: a customer whose schema cannot be made is for a person to mend.
func TestNoSchemaName(t *testing.T) {
	t.Parallel()

	f := setup(t)
	for i, name := range []string{"", "pg_x", strings.Repeat("x", 64)} {
		org := fmt.Sprintf("org%d", i)
		_, err := f.sql.Exec(t.Context(), `
			INSERT INTO public.api_customer (date_created, date_updated, uuid, schema_name, org_id)
			VALUES (now(), now(), gen_random_uuid(), $1, $2)`, name, org)
		if err != nil {
			t.Fatal(err)
		}
		if src := f.provided(f.add(org, "c")); src.State != sources.Failed || !strings.Contains(src.Reason, "schema name") {
			t.Errorf("with the schema name %q the source is %s: %s; want it failed", name, src.State, src.Reason)
		}
	}
}

// TestLongAccount: other producers' records may have an account number that is longer than a customer's can be.
func TestLongAccount(t *testing.T) {
	t.Parallel()

	f := setup(t)
	src := f.add("org1", "c")
	if _, err := f.sql.Exec(t.Context(), `UPDATE sources.source SET account_number = repeat('x', 151)`); err != nil {
		t.Fatal(err)
	}
	if src = f.provided(src); src.State != sources.Ready {
		t.Errorf("the source is %+v, want it ready", src.Progress)
	}
}

func TestTemplate(t *testing.T) {
	t.Parallel()

	f := setup(t, func(cfg *provision.Config) { cfg.TemplateSchema = "template0" })
	// Of the signature of Koku's; it makes what the provisioner needs.
	_, err := f.sql.Exec(t.Context(), `
		CREATE FUNCTION public.clone_schema(source_schema text, dest_schema text, copy_data boolean DEFAULT false, _verbose boolean DEFAULT false)
		RETURNS boolean LANGUAGE plpgsql AS $$
		BEGIN
			SET LOCAL search_path = public;
			IF NOT EXISTS (SELECT FROM pg_namespace WHERE nspname = source_schema) THEN RETURN false; END IF;
			EXECUTE format('CREATE SCHEMA %I', dest_schema);
			EXECUTE format('CREATE TABLE %I.reporting_tenant_api_provider (LIKE %I.reporting_tenant_api_provider INCLUDING ALL)', dest_schema, source_schema);
			RETURN copy_data;
		END $$`)
	if err != nil {
		t.Fatal(err)
	}
	src := f.provided(f.add("org1", "c"))
	if want := "The template schema template0 does not exist."; src.State != sources.Failed || src.Reason != want {
		t.Errorf("without the template the source is %+v, want it failed: %s", src.Progress, want)
	}
	_, err = f.sql.Exec(t.Context(), `
		CREATE SCHEMA template0;
		CREATE TABLE template0.reporting_tenant_api_provider (uuid uuid PRIMARY KEY, name text NOT NULL, type text NOT NULL, provider_id uuid);
		ALTER SCHEMA template0 OWNER TO cost_sources_provisioner;
		ALTER TABLE template0.reporting_tenant_api_provider OWNER TO cost_sources_provisioner`)
	if err != nil {
		t.Fatal(err)
	}
	if src = f.provided(src); src.State != sources.Ready {
		t.Errorf("with the template it is %+v, want it ready", src.Progress)
	}
}

// TestTenantIsMadeWholeOrNotAtAll: who waits too long for the last step leaves nothing of those before.
func TestTenantIsMadeWholeOrNotAtAll(t *testing.T) {
	t.Parallel()

	f := setup(t)
	src := f.add("org1", "c")
	blocked, err := f.sql.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := blocked.Exec(t.Context(), `LOCK TABLE public.api_tenant IN SHARE MODE`); err != nil {
		t.Fatal(err)
	}
	if status := f.send(events.SourceCreated, src); status != http.StatusServiceUnavailable {
		t.Errorf("with the list of tenants in use the event is answered %d, want 503", status)
	}
	if err := blocked.Rollback(context.WithoutCancel(t.Context())); err != nil {
		t.Fatal(err)
	}
	if got := value[int](f, `SELECT count(*) FROM pg_namespace WHERE nspname = 'orgorg1'`); got != 0 {
		t.Error("a schema is left that is not whole")
	}
	f.provided(src)
}

func TestForgeriesAndStrangers(t *testing.T) {
	t.Parallel()

	f := setup(t)
	src := f.provided(f.add("org1", "c"))
	f.fill(src)
	before := f.rows(src)
	gone := time.Now()
	forged := src
	forged.DeletedAt, forged.OrgID, forged.Sequence = &gone, "org2", 99
	for _, event := range []store.EventFunc{events.SourceDeleted, events.ApplicationDeleted, events.SourceCreated} {
		if status := f.send(event, forged); status != http.StatusNoContent {
			t.Errorf("a forged event is answered %d, want 204", status)
		}
	}
	if diff := cmp.Diff(before, f.rows(src)); diff != "" {
		t.Errorf("forged events changed (-before +after):\n%s", diff)
	}
	event := func(kind, data string) cloudevents.Event {
		e := cloudevents.NewEvent()
		e.SetType(kind)
		e.SetSource("test")
		e.SetID("1")
		_ = e.SetData(cloudevents.ApplicationJSON, []byte(data))
		return e
	}
	for _, tt := range []struct {
		kind, data string
		status     int
	}{
		{"source.create", `{"source_id": 4711}`, 204},
		{"source.create", `{"source_id": 9223372036854775807}`, 204},
		{"source.create", `{"source_id": -1}`, 204},
		{"source.create", `{"source_id": "1"}`, 422},
		{"source.create", `{}`, 422},
		{"source.create", `[`, 422},
		{"dev.knative.kafka.event", `{"source_id": 1}`, 204},
	} {
		if got := f.post(event(tt.kind, tt.data)); got != tt.status {
			t.Errorf("%q with %s is answered %d, want %d", tt.kind, tt.data, got, tt.status)
		}
	}
}

func TestDatabaseAway(t *testing.T) {
	t.Parallel()

	f := setup(t)
	src := f.add("org1", "c")
	var name string
	if err := f.sql.QueryRow(t.Context(), `SELECT current_database()`).Scan(&name); err != nil {
		t.Fatal(err)
	}
	admin := f.adminOf(name)
	admin(`ALTER DATABASE ` + name + ` ALLOW_CONNECTIONS false`)
	admin(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '` + name + `'`)
	if status := f.send(events.SourceCreated, src); status != http.StatusServiceUnavailable {
		t.Errorf("without a database the event is answered %d, want 503", status)
	}
	admin(`ALTER DATABASE ` + name + ` ALLOW_CONNECTIONS true`)
	f.provided(src)
}

// adminOf runs statements on the server from another database.
func (f fixture) adminOf(name string) func(sql string) {
	f.Helper()
	cfg := f.sql.Config().Copy()
	cfg.ConnConfig.Database = "postgres"
	pool, err := pgxpool.NewWithConfig(f.Context(), cfg)
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(pool.Close)
	return func(sql string) {
		f.Helper()
		if _, err := pool.Exec(f.Context(), sql); err != nil {
			f.Fatal(err)
		}
	}
}
