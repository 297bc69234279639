package koku_test

import (
	"maps"
	"net/http"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/insights-onprem/cost-sources/shared/sources"
	"github.com/insights-onprem/cost-sources/tests/koku"
)

// kokus is a database of Koku's with the tenants 1 and 2 and sources in it, all of whose providers were worked on.
func kokus(t *testing.T, all ...koku.Source) (address string) {
	t.Helper()
	address = koku.Database(t)
	koku.Tenant(t, address, "1")
	koku.Tenant(t, address, "2")
	koku.Add(t, address, all...)
	for _, src := range all {
		if !src.NoProvider {
			koku.Process(t, address, src)
		}
	}
	return address
}

// TestTakenOver: a source of Koku's is shown, changed and deleted like one of ours, with all that its provider has.
func TestTakenOver(t *testing.T) {
	t.Parallel()

	stays := source(8, "c8")
	address := kokus(t, source(7, "c7"), stays)
	w := start(t, address, "")
	before := koku.Mentions(t, address, "org1", stays.UUID)
	answer := w.api.Want(t, http.StatusOK, "GET", "/sources/7", "")
	if answer.Body["availability_status"] != "available" || answer.Body["provider_linked"] != true || answer.Body["source_ref"] != "c7" {
		t.Errorf("the source is shown as %s", answer.Text)
	}
	w.api.Want(t, http.StatusOK, "PATCH", "/sources/7", `{"name": "new", "paused": true}`)
	if src := w.provisioned(7); src.State != sources.Ready {
		t.Errorf("after a change it is %s: %s", src.State, src.Reason)
	}
	if got := value[string](w, `SELECT p.name || ' ' || t.name || ' ' || p.paused FROM public.api_provider p JOIN org1.reporting_tenant_api_provider t USING (uuid) WHERE uuid = $1`, uuid(7)); got != "new new true" {
		t.Errorf("its provider is %q", got)
	}
	w.api.Want(t, http.StatusNoContent, "DELETE", "/sources/7", "")
	w.gone(7)
	if diff := cmp.Diff(before, koku.Mentions(t, address, "org1", stays.UUID)); diff != "" {
		t.Errorf("another source's rows (-before +after):\n%s", diff)
	}
	if src := w.made("1", "next", "c9"); src.ID != 9 || src.State != sources.Ready {
		t.Errorf("the next source is %d, %s %s; want 9, ready", src.ID, src.State, src.Reason)
	}
}

// gone has the provisioner remove the provider of a source, of organization 1, and checks that nothing is left but
// what outlives it.
func (w world) gone(id int64) {
	w.Helper()
	src := w.provisioned(id)
	if !src.UpToDate() || src.ProviderRemovedAt == nil {
		w.Errorf("the removal of source %d is not done: %+v", id, src.Progress)
	}
	left := slices.Sorted(maps.Keys(koku.Mentions(w, w.address, "org1", src.UUID)))
	if diff := cmp.Diff(koku.Kept, left); diff != "" {
		w.Errorf("left of source %d (-want +got):\n%s", id, diff)
	}
}

// TestDeletionIsFinished: what Koku began to delete is finished.
func TestDeletionIsFinished(t *testing.T) {
	t.Parallel()

	address := kokus(t, source(7, "c7"))
	koku.Execute(t, address, `UPDATE public.api_sources SET pending_delete = true`)
	w := start(t, address, "")
	w.api.Want(t, http.StatusNotFound, "GET", "/sources/7", "")
	w.gone(7)
}

// TestPendingIsMade: a source that Koku had not come to provide for is provided for, in the tenant that Koku made.
func TestPendingIsMade(t *testing.T) {
	t.Parallel()

	plain := source(7, "c7")
	plain.NoProvider = true
	w := start(t, kokus(t, plain), "")
	if src := w.provisioned(7); src.State != sources.Ready {
		t.Errorf("it is %s: %s", src.State, src.Reason)
	}
	if diff := cmp.Diff([]string{"7"}, w.found("1", "c7")); diff != "" {
		t.Errorf("report processing finds (-want +got):\n%s", diff)
	}
}

// TestDouble: of two sources with one cluster the second keeps its provider and data until a person deletes it, and
// works as soon as it is given another cluster.
func TestDouble(t *testing.T) {
	t.Parallel()

	winner, loser := source(3, "c1"), source(9, "c2")
	address := kokus(t, winner, loser)
	// Koku's look-up found no equal credentials and made a second row, so that both have a provider.
	koku.Execute(t, address, `UPDATE public.api_providerauthentication SET credentials = '{"cluster_id": "c1"}'`,
		`UPDATE public.api_sources SET authentication = '{"credentials": {"cluster_id": "c1"}}'`)
	w := start(t, address, "")
	before := koku.Mentions(t, address, "org1", loser.UUID)
	untouched := func(after string) {
		t.Helper()
		if diff := cmp.Diff(before, koku.Mentions(t, address, "org1", loser.UUID)); diff != "" {
			t.Errorf("after %s the rows of the second (-before +after):\n%s", after, diff)
		}
	}
	if src := w.provisioned(9); src.State != sources.Failed || src.ClusterID != "" {
		t.Errorf("the second is %s with the cluster %q", src.State, src.ClusterID)
	}
	untouched("an event")
	w.api.Want(t, http.StatusOK, "PATCH", "/sources/9", `{"paused": false}`)
	if src := w.provisioned(9); !src.UpToDate() || src.State != sources.Waiting {
		t.Errorf("after a change without a cluster it is %+v", src.Progress)
	}
	untouched("a change without a cluster")
	w.api.Want(t, http.StatusOK, "PATCH", "/sources/3", `{"name": "first"}`)
	if src := w.provisioned(3); src.State != sources.Ready {
		t.Errorf("the first is %s: %s", src.State, src.Reason)
	}
	untouched("a change of the first")
	if answer := w.api.Do(t, "PATCH", "/sources/9", `{"source_ref": "c1"}`); answer.Status != http.StatusBadRequest {
		t.Errorf("the first one's cluster for the second is answered %d %s, want 400", answer.Status, answer.Text)
	}

	w.api.Want(t, http.StatusOK, "PATCH", "/sources/9", `{"source_ref": "c2"}`)
	if src := w.provisioned(9); src.State != sources.Ready {
		t.Errorf("with another cluster the second is %s: %s", src.State, src.Reason)
	}
	untouched("a change of the cluster")
	for cluster, want := range map[string][]string{"c1": {"3"}, "c2": {"9"}} {
		if diff := cmp.Diff(want, w.found("1", cluster)); diff != "" {
			t.Errorf("report processing finds for %s (-want +got):\n%s", cluster, diff)
		}
	}
	w.api.Want(t, http.StatusNoContent, "DELETE", "/sources/9", "")
	w.gone(9)
}

// TestWithoutCluster: a provider of a source that names no cluster is nobody's to remove.
func TestWithoutCluster(t *testing.T) {
	t.Parallel()

	src := source(7, "c7")
	address := kokus(t, src)
	koku.Execute(t, address, `UPDATE public.api_sources SET authentication = '{}'`, `UPDATE public.api_provider SET authentication_id = NULL`)
	w := start(t, address, "")
	before := koku.Mentions(t, address, "org1", src.UUID)
	w.api.Want(t, http.StatusOK, "PATCH", "/sources/7", `{}`)
	if src := w.provisioned(7); src.State != sources.Waiting || !src.UpToDate() {
		t.Errorf("the source is %+v, want it waiting", src.Progress)
	}
	if undone := value[int](w, `SELECT deletions_undone FROM sources.health`); undone != 0 {
		t.Errorf("health counts %d deletions", undone)
	}
	if diff := cmp.Diff(before, koku.Mentions(t, address, "org1", src.UUID)); diff != "" {
		t.Errorf("its rows (-before +after):\n%s", diff)
	}
}

// TestAnotherProvider: a provider that was not made from the source is not touched, whatever becomes of the source.
func TestAnotherProvider(t *testing.T) {
	t.Parallel()

	src := source(7, "c7")
	address := kokus(t, src)
	koku.Execute(t, address, `UPDATE public.api_sources SET source_uuid = '`+uuid(70)+`'`)
	w := start(t, address, "")
	before := koku.Mentions(t, address, "org1", src.UUID)
	delete(before, "api_sources")
	w.api.Want(t, http.StatusOK, "PATCH", "/sources/7", `{}`)
	if src := w.provisioned(7); src.State != sources.Failed {
		t.Errorf("the source is %s, want it failed", src.State)
	}
	w.api.Want(t, http.StatusNoContent, "DELETE", "/sources/7", "")
	w.provisioned(7)
	if diff := cmp.Diff(before, koku.Mentions(t, address, "org1", src.UUID)); diff != "" {
		t.Errorf("the other provider's rows (-before +after):\n%s", diff)
	}
}
