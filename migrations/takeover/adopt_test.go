package takeover_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/insights-onprem/cost-sources/migrations/takeover"
	"github.com/insights-onprem/cost-sources/shared/store/storetest"
	"github.com/insights-onprem/cost-sources/tests/koku"
)

// facts are the notes of a report, shortened to their first words, with the ids.
func facts(r takeover.Report) map[string][]int64 {
	found := map[string][]int64{}
	for _, n := range r.Notes {
		found[strings.Join(strings.Fields(n.Text)[:3], " ")] = n.IDs
	}
	return found
}

// TestDrift: what Koku does to a source of ours while its own routes are on is told by a plain run, which changes
// nothing, and taken by one that adopts.
func TestDrift(t *testing.T) {
	t.Parallel()

	tests := []struct {
		name, change string
		told         string // by a plain run
		want         string // after one that adopts
	}{
		{"nothing", ``, "", "7 ready c7 1/1"},
		{"a new name", `UPDATE api_sources SET name = 'new'`, "have another name,", "7 pending c7 1/2"},
		{"paused at its provider", `UPDATE api_provider SET paused = true`, "have another name,", "7 pending c7 1/2 paused"},
		{"paused in its row", `UPDATE api_sources SET paused = true`, "have another name,", "7 pending c7 1/2 paused"},
		{"another cluster", `UPDATE api_sources SET authentication = '{"credentials": {"cluster_id": "c9"}}'`, "have another name,", "7 pending c9 1/2"},
		{"its row is lost", `DELETE FROM api_sources`, "are not in", "7 waiting c7 1/2 deleted"},
		{"its deletion has begun", `UPDATE api_sources SET pending_delete = true`, "are not in", "7 waiting c7 1/2 deleted"},
		{"what does not matter", `UPDATE api_sources SET status = '{"a": 1}', pending_update = true, updated_timestamp = now(), auth_header = NULL`, "", "7 ready c7 1/1"},
		{"its id is a cloud's", `UPDATE api_sources SET source_type = 'AWS', source_uuid = gen_random_uuid()`, "are not in", "7 waiting c7 1/2 deleted"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			address := world(t, source(7, "c7"))
			run(t, address, takeover.Options{})
			koku.Execute(t, address, `SET LOCAL search_path = public`, tt.change)
			report := run(t, address, takeover.Options{})
			if _, told := facts(report)[tt.told]; told != (tt.told != "") || tt.told != "" && !strings.Contains(report.Notes[0].Text, "migrate --adopt") || len(report.Notes) > 1 {
				t.Errorf("a plain run reports %+v, want %q", report, tt.told)
			}
			same(t, "after a plain run the registry", []string{"7 ready c7 1/1"}, registry(t, address))
			run(t, address, takeover.Options{Adopt: true})
			same(t, "after adopting the registry", []string{tt.want}, registry(t, address))
			if again := run(t, address, takeover.Options{Adopt: true}); len(again.Notes) != 0 && tt.name != "its id is a cloud's" {
				t.Errorf("the second time it reports %+v", again)
			}
			same(t, "after adopting again the registry", []string{tt.want}, registry(t, address))
			ours(t, address)
		})
	}
}

// TestSwap: clusters that have changed hands in Koku, also in a ring, end where Koku has them, and a new source gets
// what an old one has left.
func TestSwap(t *testing.T) {
	t.Parallel()

	address := world(t, source(1, "c1"), source(2, "c2"), source(3, "c3"), source(4, "c4"))
	run(t, address, takeover.Options{})
	cluster := func(id, c string) string {
		return `UPDATE public.api_sources SET authentication = '{"credentials": {"cluster_id": "` + c + `"}}' WHERE source_id = ` + id
	}
	koku.Execute(t, address, cluster("1", "c2"), cluster("2", "c1"), cluster("3", "c5"), `DELETE FROM public.api_sources WHERE source_id = 4`)
	five, six := source(5, "c3"), source(6, "c4")
	five.NoProvider, six.NoProvider = true, true
	koku.Add(t, address, five, six)
	report := run(t, address, takeover.Options{Adopt: true})
	same(t, "the registry", []string{"1 pending c2 2/3", "2 pending c1 1/2", "3 pending c5 1/2", "4 waiting c4 1/2 deleted", "5 pending c3 0/1", "6 pending c4 0/1"},
		registry(t, address))
	want := map[string][]int64{"deleted, as Koku": {4}, "changed, as Koku": {1, 2, 3}, "given their cluster,": {1}}
	if diff := cmp.Diff(want, facts(report)); diff != "" {
		t.Errorf("the report (-want +got):\n%s", diff)
	}
}

// TestRefusedComesBack: a plain run leaves a double to a person; one that adopts gives it the cluster when that is free.
func TestRefusedComesBack(t *testing.T) {
	t.Parallel()

	address := world(t, source(3, "c1"))
	koku.Execute(t, address, doubleOf(3, 9))
	run(t, address, takeover.Options{})
	run(t, address, takeover.Options{Adopt: true})
	same(t, "while source 3 lives the registry", []string{"3 ready c1 1/1", "9 failed - 1/1"}, registry(t, address))
	koku.Execute(t, address, `DELETE FROM public.api_sources WHERE source_id = 3`)
	run(t, address, takeover.Options{})
	same(t, "after a plain run the registry", []string{"3 ready c1 1/1", "9 failed - 1/1"}, registry(t, address))
	run(t, address, takeover.Options{Adopt: true})
	same(t, "after adopting the registry", []string{"3 waiting c1 1/2 deleted", "9 pending c1 1/2"}, registry(t, address))
}

// TestAdoptedWithoutApplication: a source whose application has gone waits, whatever Koku has made of it, so that it is
// not pending for ever and its ROS data stays due.
func TestAdoptedWithoutApplication(t *testing.T) {
	t.Parallel()

	address := world(t, source(3, "c1"), source(7, "c7"), source(8, "c8"))
	koku.Execute(t, address, doubleOf(3, 9))
	run(t, address, takeover.Options{})
	storetest.Execute(t, address,
		`UPDATE sources.application SET deleted_at = now() WHERE source_id > 3`,
		`UPDATE sources.source SET state = 'waiting', reason = '', generation = 2, observed_generation = 2, provider_removed_at = now() WHERE id > 3`,
		`UPDATE sources.source SET observed_generation = 1, provider_detached_at = now() WHERE id = 8`) // its removal is not finished
	koku.Execute(t, address, `UPDATE public.api_sources SET name = 'new' WHERE source_id = 7`,
		`UPDATE public.api_sources SET authentication = '{"credentials": {"cluster_id": "c7"}}' WHERE source_id = 8`,
		`DELETE FROM public.api_sources WHERE source_id = 3`)
	run(t, address, takeover.Options{Adopt: true})
	same(t, "the registry", []string{"3 waiting c1 1/2 deleted", "7 waiting c7 2/3", "8 waiting - 1/3", "9 waiting c1 2/3"}, registry(t, address))
	same(t, "reasons", []string{""}, lines(t, address, `SELECT DISTINCT reason FROM sources.source`))
}

// TestReused: an id that Koku gave again is taken by the new source when nothing of the old one is left, and not before.
func TestReused(t *testing.T) {
	t.Parallel()

	address := world(t, source(7, "c7"))
	run(t, address, takeover.Options{})
	// Koku deletes the source, and as it was the highest the next one gets its id.
	koku.Execute(t, address, `DELETE FROM public.api_sources`, `DELETE FROM org1.reporting_tenant_api_provider`, `DELETE FROM public.api_provider`)
	again := source(7, "c8")
	again.UUID, again.Org = uuid(8), "2"
	koku.Add(t, address, again)
	koku.Execute(t, address, `UPDATE public.api_sources SET source_uuid = NULL`) // it has its provider's then
	report := run(t, address, takeover.Options{})
	if diff := cmp.Diff(map[string][]int64{"have an id": {7}}, facts(report)); diff != "" {
		t.Errorf("a plain run reports (-want +got):\n%s", diff)
	}
	same(t, "the registry", []string{"7 ready c7 1/1"}, registry(t, address))

	refused := func(why string) {
		t.Helper()
		_, err := takeover.Run(t.Context(), address, takeover.Options{Adopt: true})
		if err == nil || !strings.Contains(err.Error(), "source 7. Let the functions run") {
			t.Errorf("%s adopting = %v, want that source 7 is not done", why, err)
		}
		same(t, why+" Koku's row", []string{"7"}, lines(t, address, `SELECT source_id::text FROM public.api_sources`))
		same(t, why+" the registry", []string{"7 waiting c7 1/2 deleted"}, registry(t, address)[:1])
	}
	refused("at first")
	for _, step := range []string{
		`UPDATE sources.source SET ros_cleaned_at = now(), sequence = 5, record_at = now()`,
		`UPDATE sources.source SET provider_removed_at = now()`,
		`INSERT INTO sources.outbox (source_id, sequence, id, event) VALUES (7, 5, gen_random_uuid(), '{}')`,
	} {
		storetest.Execute(t, address, step)
		refused("after " + step)
	}
	storetest.Execute(t, address, `UPDATE sources.source SET observed_generation = generation; DELETE FROM sources.outbox`)
	run(t, address, takeover.Options{})
	same(t, "after a plain run the registry", []string{"7 waiting c7 2/2 deleted"}, registry(t, address))
	storetest.Execute(t, address, `INSERT INTO sources.outbox (source_id, sequence, id, event) VALUES (7, 5, gen_random_uuid(), '{}')`)
	if _, err := takeover.Run(t.Context(), address, takeover.Options{Adopt: true}); err == nil {
		t.Error("with an event waiting the id was taken")
	}
	storetest.Execute(t, address, `DELETE FROM sources.outbox`)
	run(t, address, takeover.Options{Adopt: true})
	same(t, "after adopting the registry", []string{"7 ready c8 3/3"}, registry(t, address))
	same(t, "the new source", []string{uuid(8) + " 2 5 application 2 f f of no record"}, lines(t, address, `
		SELECT concat_ws(' ', s.uuid, s.org_id, s.sequence, 'application', a.org_id, a.deleted_at IS NOT NULL, s.ros_cleaned_at IS NOT NULL,
			CASE WHEN s.record_at IS NULL THEN 'of no record' END)
		FROM sources.source s JOIN sources.application a ON a.source_id = s.id`))
	same(t, "Koku's row", []string{uuid(8)}, lines(t, address, `SELECT source_uuid::text FROM public.api_sources`))
}

// TestOnlyTheRowOfTheDeletedGoes: to give up an id takes no row from the source that Koku gave it to.
func TestOnlyTheRowOfTheDeletedGoes(t *testing.T) {
	t.Parallel()

	address := world(t, source(7, "c7"))
	run(t, address, takeover.Options{})
	koku.Execute(t, address, `UPDATE public.api_sources SET source_uuid = NULL, koku_uuid = NULL, provider_id = NULL`)
	if _, err := takeover.Run(t.Context(), address, takeover.Options{Adopt: true}); err == nil {
		t.Error("the id was taken at once")
	}
	same(t, "Koku's rows", []string{"7"}, lines(t, address, `SELECT source_id::text FROM public.api_sources`))
}
