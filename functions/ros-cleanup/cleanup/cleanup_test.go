package cleanup_test

import (
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/insights-onprem/cost-sources/shared/events"
)

func TestDeletedSourceIsRemovedFromROS(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	url := w.serve(t)
	gone, other := w.source(t, "org1"), w.source(t, "org1")
	w.seed(t, "org1", gone.ID, "uuid-1", "prod", 3)
	w.seed(t, "org1", gone.ID, "uuid-1", "renamed", 2) // shares names with the first
	w.seed(t, "org1", gone.ID, "uuid-2", "prod", 1)
	w.seed(t, "org1", other.ID, "uuid-3", "prod", 2)
	w.seed(t, "org2", gone.ID, "uuid-1", "prod", 4)
	w.wantCount(t, "org1", gone.ID, counts(3, 6))
	names := w.experiments(t, "org1", gone.ID)
	w.deleteSource(t, gone)

	wantStatus(t, url, hint(t, events.TypeSourceDelete, gone.ID), http.StatusNoContent)
	w.wantGone(t, "org1", gone.ID)
	w.wantCount(t, "org1", other.ID, counts(1, 2))
	w.wantCount(t, "org2", gone.ID, counts(1, 4))
	w.kruize.wantAsked(t, names)
	if !w.cleaned(t, gone) {
		t.Error("the registry does not say that ROS is clean")
	}

	wantStatus(t, url, hint(t, events.TypeApplicationDelete, gone.ID), http.StatusNoContent)
	w.kruize.wantAsked(t, nil)
}

func TestDeletedApplicationOfALivingSource(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	url := w.serve(t)
	src := w.source(t, "org1")
	w.seed(t, "org1", src.ID, "uuid-1", "prod", 2)
	w.deleteApplication(t, src)

	wantStatus(t, url, hint(t, events.TypeApplicationDelete, src.ID), http.StatusNoContent)
	w.wantGone(t, "org1", src.ID)

	if err := w.attach(t, src); err != nil {
		t.Fatal(err)
	}
	w.seed(t, "org1", src.ID, "uuid-1", "prod", 2)
	w.kruize.asked()
	wantStatus(t, url, hint(t, events.TypeApplicationDelete, src.ID), http.StatusNoContent)
	w.wantCount(t, "org1", src.ID, counts(1, 2))
	w.kruize.wantAsked(t, nil)
}

func TestSourceThatROSNeverSaw(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	src := w.source(t, "org1")
	w.deleteSource(t, src)
	wantStatus(t, w.serve(t), hint(t, events.TypeSourceDelete, src.ID), http.StatusNoContent)
	w.kruize.wantAsked(t, nil)
	if !w.cleaned(t, src) {
		t.Error("the registry does not say that ROS is clean")
	}
}

func TestEventIsOnlyAHint(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	url := w.serve(t)
	living, gone := w.source(t, "org1"), w.source(t, "org1")
	w.seed(t, "org1", living.ID, "uuid-1", "prod", 2)
	w.seed(t, "org2", gone.ID, "uuid-1", "prod", 2)

	for _, kind := range []string{events.TypeSourceDelete, events.TypeApplicationDelete} {
		wantStatus(t, url, hint(t, kind, living.ID), http.StatusNoContent)
	}
	w.wantCount(t, "org1", living.ID, counts(1, 2))

	// What an event says of the organization is not believed.
	w.deleteSource(t, gone)
	forged := request(t, map[string]string{"Ce-Type": events.TypeSourceDelete, "Ce-Source": "/elsewhere", "Ce-Orgid": "org2"},
		fmt.Sprintf(`{"source_id": %d, "org_id": "org2"}`, gone.ID))
	wantStatus(t, url, forged, http.StatusNoContent)
	w.wantCount(t, "org2", gone.ID, counts(1, 2))
	if !w.cleaned(t, gone) {
		t.Error("the hint at a deleted source was not followed")
	}
	w.kruize.wantAsked(t, nil)
}

func TestEventsThatAreNotForUs(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	url := w.serve(t)
	src := w.source(t, "org1")
	w.seed(t, "org1", src.ID, "uuid-1", "prod", 1)
	w.deleteSource(t, src)
	ours := map[string]string{"Ce-Type": events.TypeSourceDelete, "Ce-Source": events.Source}
	tests := []struct {
		name    string
		request *http.Request
		want    int
	}{
		{"another type", hint(t, events.TypeSourceUpdate, src.ID), 204},
		{"unknown source", hint(t, events.TypeSourceDelete, 999), 204},
		{"source that cannot be", hint(t, events.TypeSourceDelete, -1), 204},
		{"source beyond the column's type", hint(t, events.TypeSourceDelete, 1<<40), 204},
		{"greatest source", hint(t, events.TypeSourceDelete, 1<<63-1), 204},
		{"no CloudEvent", request(t, map[string]string{"Ce-Specversion": ""}, `{"source_id": 1}`), 422},
		{"incomplete CloudEvent", request(t, map[string]string{"Ce-Type": events.TypeSourceDelete}, `{"source_id": 1}`), 422},
		{"no JSON", request(t, ours, `source 1`), 422},
		{"no data", request(t, ours, ``), 422},
		{"no source id", request(t, ours, `{}`), 422},
		{"source id as text", request(t, ours, `{"source_id": "1"}`), 422},
		{"source id with a fraction", request(t, ours, `{"source_id": 1.0}`), 422},
	}
	for _, tt := range tests {
		if got := send(t, url, tt.request); got != tt.want {
			t.Errorf("%s: answered %d, want %d", tt.name, got, tt.want)
		}
	}
	w.wantCount(t, "org1", src.ID, counts(1, 1))
	w.kruize.wantAsked(t, nil)
}

func TestNamesThatAStayingClusterHasAreKept(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	gone, staying := w.source(t, "org1"), w.source(t, "org1")
	w.seed(t, "org1", gone.ID, "uuid-1", "prod", 3)
	w.seed(t, "org1", staying.ID, "uuid-2", "prod", 1)
	names := w.experiments(t, "org1", gone.ID)
	w.exec(t, `UPDATE workloads SET experiment_name = $1 WHERE experiment_name = $2`,
		names[1], w.experiments(t, "org1", staying.ID)[0])
	w.deleteSource(t, gone)

	wantStatus(t, w.serve(t), hint(t, events.TypeSourceDelete, gone.ID), http.StatusNoContent)
	w.wantGone(t, "org1", gone.ID)
	w.wantCount(t, "org1", staying.ID, counts(1, 1))
	w.kruize.wantAsked(t, []string{names[0], names[2]})
}

func TestWorkloadThatComesWhileKruizeIsAsked(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	src := w.source(t, "org1")
	w.seed(t, "org1", src.ID, "uuid-1", "prod", 2)
	w.deleteSource(t, src)
	var once sync.Once
	var names []string
	w.kruize.answers(func(answer http.ResponseWriter, _ *http.Request, _ string) {
		once.Do(func() {
			w.seed(t, "org1", src.ID, "uuid-1", "prod", 3)
			w.seed(t, "org1", src.ID, "uuid-2", "prod", 1)
			names = w.experiments(t, "org1", src.ID)
		})
		answer.WriteHeader(http.StatusCreated)
	})
	wantStatus(t, w.serve(t), hint(t, events.TypeSourceDelete, src.ID), http.StatusNoContent)
	w.wantGone(t, "org1", src.ID)
	w.kruize.wantAsked(t, names) // each once
}

// An upload makes the experiments of workloads that are there already anew.
func TestUploadThatComesWhileKruizeIsAsked(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	src := w.source(t, "org1")
	w.seed(t, "org1", src.ID, "uuid-1", "prod", 1)
	names := w.experiments(t, "org1", src.ID)
	w.deleteSource(t, src)
	var once sync.Once
	w.kruize.answers(func(answer http.ResponseWriter, _ *http.Request, _ string) {
		answer.WriteHeader(http.StatusCreated)
		once.Do(func() { w.exec(t, `UPDATE workloads SET metrics_upload_at = now()`) })
	})
	wantStatus(t, w.serve(t), hint(t, events.TypeSourceDelete, src.ID), http.StatusNoContent)
	w.wantGone(t, "org1", src.ID)
	w.kruize.wantAsked(t, append(names, names...))
}

// Nor is the upload lost that has a workload's row when it is to be removed.
func TestUploadThatHasTheRow(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	src := w.source(t, "org1")
	w.seed(t, "org1", src.ID, "uuid-1", "prod", 1)
	names := w.experiments(t, "org1", src.ID)
	w.deleteSource(t, src)
	upload, err := w.ros.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := upload.Exec(t.Context(), `UPDATE workloads SET metrics_upload_at = now()`); err != nil {
		t.Fatal(err)
	}
	url := w.serve(t)
	var cleaning sync.WaitGroup
	cleaning.Go(func() { wantStatus(t, url, hint(t, events.TypeSourceDelete, src.ID), http.StatusNoContent) })
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	for waits := false; !waits; <-ticker.C {
		err := w.ros.QueryRow(t.Context(), `
			SELECT EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock')`).Scan(&waits)
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := upload.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	cleaning.Wait()
	w.wantGone(t, "org1", src.ID)
	w.kruize.wantAsked(t, append(names, names...))
}

func TestWorkloadsThatComeAllTheTime(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	url := w.serve(t)
	src := w.source(t, "org1")
	w.seed(t, "org1", src.ID, "uuid-1", "prod", 1)
	w.deleteSource(t, src)
	workloads := 1
	w.kruize.answers(func(answer http.ResponseWriter, _ *http.Request, _ string) { // one at a time, as each round has one
		workloads++
		w.seed(t, "org1", src.ID, "uuid-1", "prod", workloads)
		answer.WriteHeader(http.StatusCreated)
	})
	wantStatus(t, url, hint(t, events.TypeSourceDelete, src.ID), http.StatusServiceUnavailable)
	if asked := len(w.kruize.asked()); asked < 2 || asked > 10 {
		t.Errorf("Kruize was asked %d times, want a few", asked)
	}
	w.wantCount(t, "org1", src.ID, counts(1, workloads))

	w.kruize.answers(nil)
	wantStatus(t, url, hint(t, events.TypeSourceDelete, src.ID), http.StatusNoContent)
	w.wantGone(t, "org1", src.ID)
}

func TestApplicationThatComesBackWhileKruizeIsAsked(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	src := w.source(t, "org1")
	w.seed(t, "org1", src.ID, "uuid-1", "prod", 1)
	w.deleteApplication(t, src)
	w.kruize.answers(func(answer http.ResponseWriter, _ *http.Request, _ string) {
		if err := w.attach(t, src); err != nil {
			t.Error(err)
		}
		answer.WriteHeader(http.StatusCreated)
	})
	wantStatus(t, w.serve(t), hint(t, events.TypeApplicationDelete, src.ID), http.StatusNoContent)
	w.wantCount(t, "org1", src.ID, counts(1, 1))
	if w.cleaned(t, src) {
		t.Error("the registry says that ROS is clean")
	}
}

func TestSameEventManyTimesAtOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	urls := []string{w.serve(t), w.serve(t)}
	src := w.source(t, "org1")
	w.seed(t, "org1", src.ID, "uuid-1", "prod", 3)
	w.deleteSource(t, src)
	var wg sync.WaitGroup
	for i := range 12 {
		kind := []string{events.TypeSourceDelete, events.TypeApplicationDelete}[i/6]
		wg.Go(func() { wantStatus(t, urls[i%2], hint(t, kind, src.ID), http.StatusNoContent) })
	}
	wg.Wait()
	w.wantGone(t, "org1", src.ID)
}

// The registry fails after ROS has committed: what is then done again is done to nothing.
func TestRegistryThatDoesNotCommit(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	url := w.serve(t)
	src := w.source(t, "org1")
	w.seed(t, "org1", src.ID, "uuid-1", "prod", 2)
	w.deleteSource(t, src)
	w.execRegistry(t, `
		CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'not today'; END $$`)
	w.execRegistry(t, `
		CREATE CONSTRAINT TRIGGER refuse AFTER UPDATE OF ros_cleaned_at ON sources.source
		DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION refuse()`)

	wantStatus(t, url, hint(t, events.TypeSourceDelete, src.ID), http.StatusServiceUnavailable)
	w.wantGone(t, "org1", src.ID)
	if w.cleaned(t, src) {
		t.Error("the registry says that ROS is clean")
	}

	w.execRegistry(t, `DROP TRIGGER refuse ON sources.source`)
	wantStatus(t, url, hint(t, events.TypeSourceDelete, src.ID), http.StatusNoContent)
	if !w.cleaned(t, src) {
		t.Error("the registry does not say that ROS is clean")
	}
}
