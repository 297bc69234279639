package retire_test

import (
	"net/http"
	"strings"
	"sync"
	"testing"
)

// TestComesBackMeanwhile: a source that is registered while the dump is made keeps the tenant. Its provider waits for
// the dump's locks, and is then made in the tenant that was.
func TestComesBackMeanwhile(t *testing.T) {
	t.Parallel()

	w := setup(t)
	w.spare("1")
	before := value[int](w, `SELECT 'org1'::regnamespace::oid::int`)
	begun, goOn := w.hold()
	var status int
	var coming sync.WaitGroup
	coming.Go(func() {
		begun()
		src := w.add("1")
		var provisioning sync.WaitGroup
		provisioning.Go(func() { status = w.post(src) })
		w.await(waiting)
		goOn()
		provisioning.Wait()
		if !w.hasProvider(src) {
			t.Error("there is no provider")
		}
	})
	out, err := w.apply()
	coming.Wait()
	if errText(err) != "1 kept" || !strings.HasPrefix(out, "kept     1  org1  it has a source\n") || w.dumps() != nil {
		t.Errorf("%v, %q\n%s", err, w.dumps(), out)
	}
	if status != http.StatusNoContent {
		t.Errorf("the provisioner answers %d", status)
	}
	if after := value[int](w, `SELECT 'org1'::regnamespace::oid::int`); after != before {
		t.Error("the schema is another one")
	}
}

// TestComesBackAtTheEnd: a source that is registered when the drop has begun gets its tenant anew, or has kept it;
// either is whole, and so is its provider, when the event has come again.
func TestComesBackAtTheEnd(t *testing.T) {
	t.Parallel()

	w := setup(t)
	w.spare("1")
	reader, err := w.sql.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := reader.Exec(t.Context(), `SELECT FROM org1.user_settings`); err != nil {
		t.Fatal(err)
	}
	var out string
	var retiring, provisioning sync.WaitGroup
	retiring.Go(func() { out, err = w.apply() })
	w.await(dropWaits)
	src := w.add("1")
	provisioning.Go(func() { w.post(src) }) // 204, or 503 and then again
	w.await(`SELECT count(*) > 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`)
	if err := reader.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	retiring.Wait()
	provisioning.Wait()
	if retired := strings.HasPrefix(out, "retired  1  org1"); retired != (err == nil) || retired != (len(w.dumps()) == 1) {
		t.Errorf("%v, %q\n%s", err, w.dumps(), out)
	}
	if status := w.post(src); status != http.StatusNoContent || !w.hasProvider(src) {
		t.Errorf("the provisioner answers %d", status)
	}
}

// TestComesBackLater: the tenant is made anew, and can be retired again.
func TestComesBackLater(t *testing.T) {
	t.Parallel()

	w := setup(t)
	w.spare("1")
	if out, err := w.apply(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	src := w.provided("1")
	w.exec(`DELETE FROM public.api_sources`)
	if out, err := w.apply("-org", "1"); errText(err) != "1 kept" || !strings.Contains(out, "it has a source") || !w.hasTenant("1") {
		t.Errorf("source %d: %v\n%s", src.ID, err, out)
	}
}

// TestTwice: of two runs at once each tenant is retired by one.
func TestTwice(t *testing.T) {
	t.Parallel()

	w := setup(t)
	for _, org := range []string{"1", "2", "3", "4"} {
		w.spare(org)
	}
	var outs [2]string
	var running sync.WaitGroup
	for i := range outs {
		running.Go(func() { outs[i], _ = w.apply() })
	}
	running.Wait()
	both := outs[0] + outs[1]
	for _, org := range []string{"1", "2", "3", "4"} {
		if strings.Count(both, "retired  "+org+" ") != 1 {
			t.Errorf("tenant %s:\n%s", org, both)
		}
	}
	if dumps := w.dumps(); len(dumps) != 4 {
		t.Errorf("the folder has %q", dumps)
	}
}

func (w *world) hasTenant(org string) bool {
	w.Helper()
	return value[bool](w, `SELECT to_regnamespace('org' || $1) IS NOT NULL AND EXISTS (SELECT FROM public.api_tenant WHERE schema_name = 'org' || $1)`, org)
}
