package cleanup_test

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/insights-onprem/cost-sources/functions/ros-cleanup/cleanup/rostest"
	"github.com/insights-onprem/cost-sources/shared/events"
)

// keepClusters has ROS refuse to delete clusters until the trigger is dropped.
func (w *world) keepClusters(t *testing.T) {
	t.Helper()
	w.exec(t, `CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'not today'; END $$`)
	w.exec(t, `CREATE TRIGGER refuse BEFORE DELETE ON clusters FOR EACH ROW EXECUTE FUNCTION refuse()`)
}

func TestROSThatFailsAfterKruize(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	url := w.serve(t)
	src := w.source(t, "org1")
	w.seed(t, "org1", src.ID, "uuid-1", "prod", 2)
	w.deleteSource(t, src)
	w.keepClusters(t)

	wantStatus(t, url, hint(t, events.TypeSourceDelete, src.ID), http.StatusServiceUnavailable)
	w.wantCount(t, "org1", src.ID, counts(1, 2))
	if w.cleaned(t, src) {
		t.Error("the registry says that ROS is clean")
	}

	w.exec(t, `DROP TRIGGER refuse ON clusters`)
	w.kruize.answers(func(w http.ResponseWriter, _ *http.Request, _ string) {
		http.Error(w, "Experiment not found!", http.StatusBadRequest)
	})
	wantStatus(t, url, hint(t, events.TypeSourceDelete, src.ID), http.StatusNoContent)
	w.wantGone(t, "org1", src.ID)
}

func TestROSIsAway(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	url := w.serve(t)
	src := w.source(t, "org1")
	w.seed(t, "org1", src.ID, "uuid-1", "prod", 2)
	w.deleteSource(t, src)
	database := w.ros.Config().ConnConfig.Database
	allow := func(yes string) {
		w.execRegistry(t, `ALTER DATABASE `+pgx.Identifier{database}.Sanitize()+` ALLOW_CONNECTIONS `+yes)
	}

	allow("false")
	w.execRegistry(t, `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1`, database)
	wantStatus(t, url, hint(t, events.TypeSourceDelete, src.ID), http.StatusServiceUnavailable)
	w.kruize.wantAsked(t, nil)

	allow("true")
	w.ros = pool(t, w.cfg.ROSDatabaseURL)
	wantStatus(t, url, hint(t, events.TypeSourceDelete, src.ID), http.StatusNoContent)
	w.wantGone(t, "org1", src.ID)
}

func TestROSRowsThatAreLocked(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	url := w.serve(t)
	src := w.source(t, "org1")
	w.seed(t, "org1", src.ID, "uuid-1", "prod", 2)
	w.deleteSource(t, src)

	tx, err := w.ros.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	// What the processor does when it stores a workload.
	if _, err := tx.Exec(t.Context(), `SELECT FROM clusters FOR KEY SHARE`); err != nil {
		t.Fatal(err)
	}
	wantStatus(t, url, hint(t, events.TypeSourceDelete, src.ID), http.StatusServiceUnavailable)
	if err := tx.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.wantCount(t, "org1", src.ID, counts(1, 2))
	wantStatus(t, url, hint(t, events.TypeSourceDelete, src.ID), http.StatusNoContent)
	w.wantGone(t, "org1", src.ID)
}

// The processor of ROS cannot add a workload that Kruize would keep once the removal has looked at them.
func TestProcessorWaitsForARemoval(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	url := w.serve(t)
	src := w.source(t, "org1")
	w.seed(t, "org1", src.ID, "uuid-1", "prod", 1)
	w.deleteSource(t, src)

	tx, err := w.ros.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec(t.Context(), `SELECT FROM workload_metrics FOR UPDATE`); err != nil {
		t.Fatal(err)
	}
	answered := make(chan int, 1)
	go func() { answered <- send(t, url, hint(t, events.TypeSourceDelete, src.ID)) }()
	w.awaitBlocked(t)
	const lockNotAvailable = "55P03"
	if err := w.addWorkload(t.Context()); !isCode(err, lockNotAvailable) {
		t.Errorf("a workload is added while the removal waits to delete: %v, want an error %s", err, lockNotAvailable)
	}
	if err := tx.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	if <-answered != http.StatusNoContent { // the test took longer than the removal waits
		wantStatus(t, url, hint(t, events.TypeSourceDelete, src.ID), http.StatusNoContent)
	}
	w.wantGone(t, "org1", src.ID)
}

// awaitBlocked returns when somebody in ROS waits for a lock.
func (w *world) awaitBlocked(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for blocked := false; !blocked; {
		err := w.ros.QueryRow(ctx, `
			SELECT EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock')`).Scan(&blocked)
		if err != nil {
			t.Fatal(err)
		}
	}
}

// addWorkload adds one to every cluster, but does not wait for a lock.
func (w *world) addWorkload(ctx context.Context) error {
	return pgx.BeginFunc(ctx, w.ros, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `SET LOCAL lock_timeout = '100ms'`); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, `
			INSERT INTO workloads (org_id, cluster_id, experiment_name, namespace, metrics_upload_at)
			SELECT 'org1', id, 'new', 'shop', now() FROM clusters`)
		return err
	})
}

func isCode(err error, code string) bool {
	pg, ok := errors.AsType[*pgconn.PgError](err)
	return ok && pg.Code == code
}

func TestSeedAndLoadAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	if err := rostest.Load(t.Context(), w.cfg.ROSDatabaseURL); err != nil {
		t.Errorf("Load into a database that has the tables: %v", err)
	}
	w.seed(t, "org1", 7, "uuid-1", "prod", 1)
	w.seed(t, "org1", 7, "uuid-1", "prod", 2)
	w.wantCount(t, "org1", 7, counts(1, 2))
	want := []string{"org1|7|uuid-1|shop|deployment|app-1", "org1|7|uuid-1|shop|deployment|app-2"}
	if got := w.experiments(t, "org1", 7); !slices.Equal(got, want) {
		t.Errorf("Experiments = %q, want %q", got, want)
	}
}

// TestLargeSource: what has been removed before a failure stays removed, so that a source too large for one
// event is done in several.
func TestLargeSource(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	url := w.serve(t)
	src := w.source(t, "org1")
	w.seed(t, "org1", src.ID, "uuid-1", "prod", 250)
	w.deleteSource(t, src)
	w.keepClusters(t)

	wantStatus(t, url, hint(t, events.TypeSourceDelete, src.ID), http.StatusServiceUnavailable)
	w.wantCount(t, "org1", src.ID, counts(1, 50))
	if w.cleaned(t, src) {
		t.Error("the registry says that ROS is clean")
	}
	w.exec(t, `DROP TRIGGER refuse ON clusters`)
	wantStatus(t, url, hint(t, events.TypeSourceDelete, src.ID), http.StatusNoContent)
	w.wantGone(t, "org1", src.ID)
}

// TestSlowCascade: where a batch would take longer than there is time for, its beginning is kept.
func TestSlowCascade(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	url := w.serve(t)
	src := w.source(t, "org1")
	w.seed(t, "org1", src.ID, "uuid-1", "prod", 100)
	w.deleteSource(t, src)
	w.exec(t, `CREATE FUNCTION slowly() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(1.2); RETURN OLD; END $$`)
	w.exec(t, `CREATE TRIGGER slowly BEFORE DELETE ON workloads FOR EACH ROW EXECUTE FUNCTION slowly()`)

	ctx, giveUp := context.WithTimeout(t.Context(), 20*time.Second)
	defer giveUp()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, url, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	event := hint(t, events.TypeSourceDelete, src.ID)
	r.Header, r.Body = event.Header, event.Body
	if res, err := http.DefaultClient.Do(r); err == nil {
		res.Body.Close()
		t.Errorf("the event is answered %d in time", res.StatusCode)
	}
	if left := w.count(t, "org1", src.ID)["workloads"]; left == 100 {
		t.Error("nothing is removed")
	}
	w.exec(t, `DROP TRIGGER slowly ON workloads`) // waits for what is under way
	wantStatus(t, url, hint(t, events.TypeSourceDelete, src.ID), http.StatusNoContent)
	w.wantGone(t, "org1", src.ID)
}
