package store_test

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/insights-onprem/cost-sources/shared/events"
	"github.com/insights-onprem/cost-sources/shared/sources"
	"github.com/insights-onprem/cost-sources/shared/store"
)

// withHistory reads a source, which the newest of its history has to agree with.
func withHistory(t *testing.T, db *store.Store, id int64) sources.Source {
	t.Helper()
	src, err := db.SourceWith(t.Context(), "org1", sources.Ref{ID: id}, sources.Include{History: true})
	if err != nil || len(src.History) == 0 {
		t.Fatalf("source %d has the history %v, %v", id, src.History, err)
	}
	newest := src.History[0]
	if newest.State != src.State || newest.Reason != src.Reason || newest.Attempts != src.Attempts || !newest.Updated.Equal(src.StateAt) {
		t.Errorf("the newest of the history is %+v, the source is %+v", newest, src.Progress)
	}
	return src
}

// told is a history in words, newest first.
func told(src sources.Source) []string {
	var words []string
	for _, stage := range src.History {
		words = append(words, fmt.Sprintf("%s %s %d", stage.State, stage.Reason, stage.Attempts))
	}
	return words
}

func fail(t *testing.T, db *store.Store, src sources.Source, reason string) {
	t.Helper()
	if err := db.FailProvider(t.Context(), src, reason); err != nil {
		t.Fatal(err)
	}
}

// save changes a source, or nothing but that somebody wants it tried again.
func save(t *testing.T, db *store.Store, id int64, edit func(*sources.Source)) sources.Source {
	t.Helper()
	var src sources.Source
	err := db.InTx(t.Context(), func(tx *store.Store) (err error) {
		if src, err = tx.LockSource(t.Context(), "org1", sources.Ref{ID: id}); err != nil {
			return err
		}
		edit(&src)
		return tx.SaveSource(t.Context(), &src, events.SourceUpdated)
	})
	if err != nil {
		t.Fatal(err)
	}
	return src
}

func TestEqualFailuresAreOneStage(t *testing.T) {
	t.Parallel()

	db, _ := openAPI(t)
	src := addSource(t, db, sources.Source{Name: "a"})
	began := src
	for i := range 100 {
		fail(t, db, src, "in the way")
		if i == 0 {
			began = withHistory(t, db, src.ID)
		}
	}
	last := withHistory(t, db, src.ID)
	if diff := cmp.Diff([]string{"failed in the way 100", "waiting  0"}, told(last)); diff != "" {
		t.Errorf("after 100 equal failures (-want +got):\n%s", diff)
	}
	if got := last.History[0]; !got.Since.Equal(began.StateAt) || got.Updated.Equal(began.StateAt) {
		t.Errorf("100 failures that began at %v are %+v", began.StateAt, got)
	}
	fail(t, db, src, "another")
	fail(t, db, src, "in the way")
	want := []string{"failed in the way 102", "failed another 101", "failed in the way 100", "waiting  0"}
	if diff := cmp.Diff(want, told(withHistory(t, db, src.ID))); diff != "" {
		t.Errorf("after another failure (-want +got):\n%s", diff)
	}
}

// TestSinceWhen: what is pending or failed grows older while it is changed, or tried in vain, again.
func TestSinceWhen(t *testing.T) {
	t.Parallel()

	db, sql := openAPI(t)
	src := addSource(t, db, sources.Source{Name: "a"})
	change := func() {
		src = save(t, db, src.ID, func(src *sources.Source) {
			src.SetCluster("c")
			src.Attach()
		})
	}
	failing := func() { fail(t, db, src, "in the way") }
	for _, tt := range []struct {
		column string
		again  func()
	}{{"pending_age", change}, {"failed_age", failing}} {
		tt.again()
		execute(t, sql, `UPDATE sources.source SET state_at = state_at - interval '2 hours'`)
		tt.again()
		tt.again()
		var hours float64
		if err := sql.QueryRow(t.Context(), `SELECT floor(`+tt.column+` / 3600) FROM sources.health`).Scan(&hours); err != nil || hours != 2 {
			t.Errorf("after 2 hours %s is %v hours (%v)", tt.column, hours, err)
		}
	}
}

func TestHistoryIsBounded(t *testing.T) {
	t.Parallel()

	db, _ := openAPI(t)
	src := addSource(t, db, sources.Source{Name: "a"})
	var want []string
	for range 50 {
		fail(t, db, src, "in the way")
		src = save(t, db, src.ID, func(*sources.Source) {})
	}
	for range 10 {
		want = append(want, "waiting  0", "failed in the way 1")
	}
	if diff := cmp.Diff(want, told(withHistory(t, db, src.ID))); diff != "" {
		t.Errorf("after 100 states (-want +got):\n%s", diff)
	}
}

// TestHistoryBegins: with the first state that anybody could see, and with the one that a source has which
// is older than histories.
func TestHistoryBegins(t *testing.T) {
	t.Parallel()

	db, sql := openAPI(t)
	var src sources.Source
	err := db.InTx(t.Context(), func(tx *store.Store) (err error) {
		if src, err = tx.CreateSource(t.Context(), sources.Source{OrgID: "org1", Name: "a", ClusterID: "c"}); err != nil {
			return err
		}
		src.Attach()
		return tx.SaveSource(t.Context(), &src, events.SourceCreated, events.ApplicationCreated)
	})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"pending  0"}, told(withHistory(t, db, src.ID))); diff != "" {
		t.Errorf("a new source (-want +got):\n%s", diff)
	}
	exec(t, sql, `UPDATE sources.source SET history = '[]', state = 'ready', attempts = 3`)
	old := withHistory(t, db, src.ID)
	if diff := cmp.Diff([]string{"ready  3"}, told(old)); diff != "" || !old.History[0].Since.Equal(old.StateAt) {
		t.Errorf("an old source is so since %v (-want +got):\n%s", old.History[0].Since, diff)
	}
	save(t, db, src.ID, func(*sources.Source) {})
	if diff := cmp.Diff([]string{"pending  0", "ready  3"}, told(withHistory(t, db, src.ID))); diff != "" {
		t.Errorf("an old source, changed (-want +got):\n%s", diff)
	}
}

// TestStatesOfAnOlderRelease: a release that knows no history, beside this one in an upgrade or after a rollback, keeps
// nothing of what it overwrites. What it writes is seen at once, and kept from then on.
func TestStatesOfAnOlderRelease(t *testing.T) {
	t.Parallel()

	db, sql := openAPI(t)
	src := addSource(t, db, sources.Source{Name: "a"})
	fail(t, db, src, "in the way")
	for range 2 {
		exec(t, sql, `UPDATE sources.source SET state = 'failed', reason = 'old', attempts = attempts + 1, state_at = now()`)
	}
	if diff := cmp.Diff([]string{"failed old 3", "waiting  0"}, told(withHistory(t, db, src.ID))); diff != "" {
		t.Errorf("after the other release (-want +got):\n%s", diff)
	}
	fail(t, db, src, "old")
	save(t, db, src.ID, func(*sources.Source) {})
	want := []string{"waiting  0", "failed old 4", "waiting  0"}
	if diff := cmp.Diff(want, told(withHistory(t, db, src.ID))); diff != "" {
		t.Errorf("after both (-want +got):\n%s", diff)
	}
}
