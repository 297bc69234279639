package takeover_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/insights-onprem/cost-sources/migrations/takeover"
	"github.com/insights-onprem/cost-sources/shared/sources"
	"github.com/insights-onprem/cost-sources/shared/store"
	"github.com/insights-onprem/cost-sources/tests/koku"
)

// TestTakeOver: what becomes of a source by what Koku has of it. Each is number 7 of organization 1, with a provider,
// before change.
func TestTakeOver(t *testing.T) {
	t.Parallel()

	const other = `99999999-1111-2222-3333-444444444444`
	tests := []struct {
		name   string
		change string
		want   string
	}{
		{"all as it should be", ``, "7 ready c7 1/1"},
		{"paused with its provider", `UPDATE api_provider SET paused = true`, "7 ready c7 1/1 paused"},
		{"paused without its provider", `UPDATE api_sources SET paused = true`, "7 ready c7 1/1"},
		{"named other than its provider", `UPDATE api_sources SET name = 'x'`, "7 pending c7 0/1"},
		{"without a name, as its provider has it", `UPDATE api_sources SET name = NULL`, "7 ready c7 1/1"},
		{"with more in its provider's credentials", `UPDATE api_providerauthentication SET credentials = credentials || '{"x": 1}'`, "7 pending c7 0/1"},
		{"with another cluster than its provider", `UPDATE api_providerauthentication SET credentials = '{"cluster_id": "c8"}'`, "7 pending c7 0/1"},
		{"without a link to its provider", `UPDATE api_sources SET provider_id = NULL`, "7 pending c7 0/1"},
		{"without the provider's name as text", `UPDATE api_sources SET koku_uuid = NULL`, "7 pending c7 0/1"},
		{"with a customer of another organization", `UPDATE api_provider SET customer_id = (SELECT id FROM api_customer WHERE org_id = '2')`, "7 pending c7 0/1"},
		{"without a provider", `UPDATE api_sources SET provider_id = NULL, koku_uuid = NULL; DELETE FROM org1.reporting_tenant_api_provider; DELETE FROM api_provider`, "7 pending c7 0/1"},
		{"with another provider", `UPDATE api_sources SET source_uuid = '` + other + `'`, "7 failed c7 1/1"},
		{"without credentials, but the provider's", `UPDATE api_sources SET authentication = '{}'`, "7 ready c7 1/1"},
		{"without any cluster", `UPDATE api_sources SET authentication = '{}'; UPDATE api_provider SET authentication_id = NULL`, "7 waiting - 1/1"},
		{"with a cluster id that is none", `UPDATE api_sources SET authentication = '{"credentials": {"cluster_id": 5}}'; UPDATE api_provider SET authentication_id = NULL`, "7 waiting - 1/1"},
		{"without an organization, but the provider's", `UPDATE api_sources SET org_id = NULL`, "7 ready c7 1/1"},
		{"without an organization", `UPDATE api_sources SET org_id = ''; UPDATE api_provider SET customer_id = NULL`, ""},
		{"without a UUID, but the provider's", `UPDATE api_sources SET source_uuid = NULL`, "7 ready c7 1/1"},
		{"of a cloud", `UPDATE api_sources SET source_type = 'AWS'`, ""},
		{"about to be deleted", `UPDATE api_sources SET pending_delete = true`, "7 waiting c7 0/1 deleted"},
		{"deleted before it was made", `UPDATE api_sources SET out_of_order_delete = true`, "7 waiting c7 0/1 deleted"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			address := world(t, source(7, "c7"))
			koku.Execute(t, address, `SET LOCAL search_path = public`, tt.change)
			report := run(t, address, takeover.Options{})
			if got := strings.Join(registry(t, address), "; "); got != tt.want {
				t.Errorf("the registry has %q, want %q", got, tt.want)
			}
			if total := len(report.Taken); (total == 1) != (tt.want != "") || tt.want == "" && len(report.Notes) != 1 {
				t.Errorf("the report is %+v", report)
			}
			again := run(t, address, takeover.Options{})
			if got := strings.Join(registry(t, address), "; "); got != tt.want || len(again.Taken) != 0 || tt.want != "" && len(again.Notes) != 0 {
				t.Errorf("after a second run the registry has %q, and the report is %+v", got, again)
			}
			ours(t, address)
		})
	}
}

// ours checks that the functions can work with every living source: their row in api_sources is theirs.
func ours(t *testing.T, address string) {
	t.Helper()
	db, closeDB, err := store.Open(store.Config{DatabaseURL: address, MaxConns: 2})
	if err != nil {
		t.Fatal(err)
	}
	defer closeDB()
	for _, org := range []string{"1", "2"} {
		living, err := db.Source(t.Context(), org, sources.Ref{ID: 7})
		if sources.KindOf(err) == sources.NotFound {
			continue
		}
		if err == nil {
			err = db.InTx(t.Context(), func(tx *store.Store) error { return tx.SaveSource(t.Context(), &living) })
		}
		if err != nil {
			t.Errorf("a change of source 7: %v", err)
		}
	}
}

// TestAllOfASource: every column of what is taken over.
func TestAllOfASource(t *testing.T) {
	t.Parallel()

	address := world(t, source(7, "c7"))
	koku.Execute(t, address, `UPDATE public.api_sources SET account_id = NULL, source_uuid = NULL, org_id = NULL, billing_source = '{"bucket": "b"}'`)
	run(t, address, takeover.Options{})
	got := lines(t, address, `
		SELECT concat_ws(' ', s.id, s.uuid, s.org_id, s.account_number, s.name, s.source_type, s.credentials, s.billing_source, s.created_at AT TIME ZONE 'UTC',
			s.updated_at AT TIME ZONE 'UTC', s.sequence, s.attempts, 'reason=' || s.reason, 'cleaned=' || (s.ros_cleaned_at IS NOT NULL),
			'rechecked=' || (s.ros_rechecked_at IS NOT NULL), 'removed=' || (s.provider_removed_at IS NOT NULL),
			'application', a.id, a.org_id, a.application_type_id, a.extra, a.deleted_at)
		FROM sources.source s JOIN sources.application a ON a.source_id = s.id`)
	same(t, "the source", []string{`7 ` + uuid(7) + ` 1 account-1 name of 7 OCP {"cluster_id": "c7"} {"bucket":"b"} 2026-01-02 03:04:05 2026-02-03 04:05:06 0 0 ` +
		`reason= cleaned=false rechecked=false removed=false application 7 1 0 {}`}, got)
	same(t, "its row in api_sources", []string{uuid(7) + " 1"}, lines(t, address, `SELECT source_uuid || ' ' || org_id FROM public.api_sources`))
}

// TestNoUUIDAtAll: a source that has none is given one, in both places.
func TestNoUUIDAtAll(t *testing.T) {
	t.Parallel()

	plain := source(7, "c7")
	plain.NoProvider = true
	address := world(t, plain)
	koku.Execute(t, address, `UPDATE public.api_sources SET source_uuid = NULL`)
	run(t, address, takeover.Options{})
	same(t, "sources with the same UUID in both tables", []string{"7"}, lines(t, address, `
		SELECT r.id::text FROM sources.source r JOIN public.api_sources s ON s.source_id = r.id AND s.source_uuid = r.uuid`))
}

// TestDeletion: what Koku began to delete is for ours to finish, with a repair event for each.
func TestDeletion(t *testing.T) {
	t.Parallel()

	address := world(t, source(7, "c7"))
	koku.Execute(t, address, `UPDATE public.api_sources SET pending_delete = true`)
	run(t, address, takeover.Options{})
	same(t, "the deletion", []string{"2026-02-03 04:05:06 application gone, due, 0 projected"}, lines(t, address, `
		SELECT format('%s application %s, %s, %s projected', s.deleted_at AT TIME ZONE 'UTC', CASE WHEN a.deleted_at IS NOT NULL THEN 'gone' END,
			CASE WHEN s.ros_cleaned_at IS NULL AND s.ros_rechecked_at IS NULL AND s.provider_removed_at IS NULL AND s.next_attempt_at <= now() THEN 'due' END,
			(SELECT count(*) FROM public.api_sources))
		FROM sources.source s JOIN sources.application a ON a.source_id = s.id`))
	same(t, "providers", []string{uuid(7)}, lines(t, address, `SELECT uuid::text FROM public.api_provider`))
}

// TestOneCluster: of the sources of an organization with one cluster the lowest keeps it.
func TestOneCluster(t *testing.T) {
	t.Parallel()

	foreign := source(4, "c1")
	foreign.Org = "2"
	deleted := source(2, "c1")
	deleted.NoProvider = true
	address := world(t, source(3, "c1"), deleted, foreign)
	for _, id := range []int{9, 12} {
		koku.Execute(t, address, doubleOf(3, id))
	}
	koku.Execute(t, address, `UPDATE public.api_sources SET pending_delete = true WHERE source_id = 2`)
	report := run(t, address, takeover.Options{})
	same(t, "the registry", []string{"2 waiting c1 0/1 deleted", "3 ready c1 1/1", "4 ready c1 1/1", "9 failed - 1/1", "12 failed - 1/1"}, registry(t, address))
	same(t, "why they failed", []string{
		`{"cluster_id": "c1"} Source 3 has the cluster "c1" already. Delete one of the two, or give this one another cluster.`,
		`{"cluster_id": "c1"} Source 3 has the cluster "c1" already. Delete one of the two, or give this one another cluster.`,
	}, lines(t, address, `SELECT credentials::text || ' ' || reason FROM sources.source WHERE state = 'failed' ORDER BY id`))
	want := takeover.Report{Taken: map[string]int{"ready": 2, "failed": 2, "deleted": 1}, Notes: []takeover.Note{
		{Text: "taken over as failed, and left to a person (the API shows each one's reason)", Count: 2, IDs: []int64{9, 12}}}}
	if diff := cmp.Diff(want, report); diff != "" {
		t.Errorf("the report (-want +got):\n%s", diff)
	}
	// One that comes later finds it taken by what is in the registry.
	koku.Execute(t, address, doubleOf(3, 20))
	run(t, address, takeover.Options{})
	same(t, "the last one", []string{"20 failed - 1/1"}, registry(t, address)[5:])
}

// doubleOf makes another source of the same organization and cluster, without a provider, as two requests to Koku at
// once can.
func doubleOf(id, double int) string {
	return strings.NewReplacer("$1", uuid(double), "$2", strings.TrimLeft(uuid(double)[:8], "0"), "$3", strings.TrimLeft(uuid(id)[:8], "0")).Replace(`
		CREATE TEMPORARY TABLE double ON COMMIT DROP AS SELECT * FROM public.api_sources WHERE source_id = $3;
		UPDATE double SET source_id = $2, "offset" = $2, source_uuid = '$1', provider_id = NULL, koku_uuid = NULL;
		INSERT INTO public.api_sources SELECT * FROM double`)
}

// TestLeft: what cannot be taken over is named, up to twenty of it, and does not stop the rest.
func TestLeft(t *testing.T) {
	t.Parallel()

	address := world(t, source(1, "c1"))
	koku.Execute(t, address, `
		INSERT INTO public.api_sources (source_id, source_uuid, "offset", source_type, authentication, pending_delete, pending_update,
			out_of_order_delete, paused, updated_timestamp)
		SELECT n, NULL, n, CASE WHEN n < 200 THEN 'OCP' ELSE 'AWS' END, '{}', false, false, false, false, now() FROM generate_series(101, 225) n`,
		`UPDATE public.api_sources SET org_id = '1', koku_uuid = '`+uuid(1)+`' WHERE source_id = 1`,
		`UPDATE public.api_sources SET source_uuid = NULL, org_id = '1', provider_id = '`+uuid(1)+`' WHERE source_id = 150`)
	report := run(t, address, takeover.Options{})
	same(t, "the registry", []string{"1 ready c1 1/1"}, registry(t, address))
	var text bytes.Buffer
	if err := report.Print(&text); err != nil {
		t.Fatal(err)
	}
	want := `taken over from Koku: 1 (1 ready, 0 pending, 0 waiting, 0 failed, 0 deleted)
98 left, as neither they nor a provider name an organization (set org_id of api_sources): sources 101, 102, 103, 104, 105, 106, 107, 108, 109, 110, 111, 112, 113, 114, 115, 116, 117, 118, 119, 120, …
1 left, as source 1 has their UUID (correct source_uuid of api_sources): source 150
26 left to Koku, as they are of another type than OCP: sources 200, 201, 202, 203, 204, 205, 206, 207, 208, 209, 210, 211, 212, 213, 214, 215, 216, 217, 218, 219, …
`
	if diff := cmp.Diff(want, text.String()); diff != "" {
		t.Errorf("the report (-want +got):\n%s", diff)
	}
}

// TestUUIDOfALaterSource: a row without a UUID does not take that of a source with a higher id whose provider it leads
// to: it would have that provider removed, or keep all others from being taken over.
func TestUUIDOfALaterSource(t *testing.T) {
	t.Parallel()

	for name, change := range map[string]string{
		"living":              ``,
		"about to be deleted": `UPDATE public.api_sources SET pending_delete = true WHERE source_id = 5`,
		"of a cloud's":        `UPDATE public.api_sources SET source_type = 'AWS' WHERE source_id = 7`,
		"by its link alone":   `UPDATE public.api_sources SET source_uuid = NULL WHERE source_id = 7`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			early := source(5, "c5")
			early.NoProvider = true
			address := world(t, early, source(7, "c7"), source(8, "c8"))
			koku.Execute(t, address, `UPDATE public.api_sources SET source_uuid = NULL, provider_id = '`+uuid(7)+`' WHERE source_id = 5`, change)
			report := run(t, address, takeover.Options{})
			if ids := facts(report)["left, as source"]; len(ids) != 1 || ids[0] != 5 || !strings.Contains(report.Notes[0].Text, "source 7 ") {
				t.Errorf("the report is %+v, want that source 5 is left for source 7", report)
			}
			want := []string{"7 ready c7 1/1", "8 ready c8 1/1"}
			if name == "of a cloud's" {
				want = want[1:]
			}
			same(t, "the registry", want, registry(t, address))
		})
	}
}

// TestManyBatches: more than a transaction takes, with another run beside.
func TestManyBatches(t *testing.T) {
	t.Parallel()

	address := world(t)
	koku.Execute(t, address, `
		INSERT INTO public.api_sources (source_id, source_uuid, "offset", source_type, authentication, pending_delete, pending_update,
			out_of_order_delete, paused, org_id, updated_timestamp)
		SELECT n, gen_random_uuid(), n, 'OCP', jsonb_build_object('credentials', jsonb_build_object('cluster_id', 'c' || n % 600)), false, false, false, false,
			'1', now() FROM generate_series(1, 1200) n`)
	taken := make(chan int)
	for range 2 {
		go func() {
			report, err := takeover.Run(t.Context(), address, takeover.Options{})
			if err != nil {
				t.Error(err)
			}
			taken <- report.Taken["pending"] + 1000*report.Taken["failed"]
		}()
	}
	if total := <-taken + <-taken; total != 600+600*1000 {
		t.Errorf("two runs took over %d sources and %d doubles, want 600 of each", total%1000, total/1000)
	}
	same(t, "the registry", []string{"600 pending up to 600, 600 failed from 601"}, lines(t, address, `
		SELECT format('%s pending up to %s, %s failed from %s', count(*) FILTER (WHERE state = 'pending'), max(id) FILTER (WHERE state = 'pending'),
			count(*) FILTER (WHERE state = 'failed'), min(id) FILTER (WHERE state = 'failed')) FROM sources.source`))
}
