package deadletters_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	cehttp "github.com/cloudevents/sdk-go/v2/protocol/http"
	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/insights-onprem/cost-sources/functions/provisioner/provision"
	"github.com/insights-onprem/cost-sources/shared/events"
	"github.com/insights-onprem/cost-sources/shared/store/storetest"
)

// everything is the rows of a source that a redrive could do harm to.
func (w world) everything() []string {
	w.Helper()
	rows, _ := w.sql.Query(w.Context(), `
		SELECT s::text FROM sources.source s UNION ALL SELECT a::text FROM sources.application a
		UNION ALL SELECT o.sequence || o.id::text FROM sources.outbox o UNION ALL SELECT p::text FROM public.api_provider p
		UNION ALL SELECT s::text FROM public.api_sources s UNION ALL SELECT c::text FROM public.api_customer c`)
	all, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		w.Fatal(err)
	}
	return all
}

// TestHealedIsLeftAlone: an event died while the function was broken, and the source was seen to since. Sent
// again to the provisioner itself, it is taken and does nothing.
func TestHealedIsLeftAlone(t *testing.T) {
	t.Parallel()

	w := setup(t)
	src := w.addSource("c1")
	e, err := events.SourceCreated(t.Context(), src)
	if err != nil {
		t.Fatal(err)
	}
	provisioner := provision.New(provision.Config{}, storetest.Store(t, "provisioner", w.address))
	w.post(e)
	w.bury(1, "provisioner", answering(503, "PostgreSQL is not available"))
	repaired := httptest.NewRecorder() // as the relay has it asked again
	request, err := cehttp.NewHTTPRequestFromEvent(t.Context(), "http://provisioner"+provision.TenantsPath, e)
	if err != nil {
		t.Fatal(err)
	}
	provisioner.ServeHTTP(repaired, request)
	before := w.everything()
	out, _, err := w.run("list", "-v")
	if repaired.Code != 204 || err != nil || !strings.Contains(out, "redriven 0  healed  provisioner 503") {
		t.Fatalf("answered %d; list: %v\n%s", repaired.Code, err, out)
	}
	answers := make(chan int, 10)
	w.subscribe("provisioner", func(rw http.ResponseWriter, r *http.Request) {
		recorder := httptest.NewRecorder()
		provisioner.ServeHTTP(recorder, r)
		rw.WriteHeader(recorder.Code)
		answers <- recorder.Code
	})
	if out, _, err := w.redrive("-id", e.ID()); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if got := next(t, answers); got != http.StatusNoContent {
		t.Errorf("the provisioner answers %d, want 204", got)
	}
	if diff := cmp.Diff(before, w.everything()); diff != "" {
		t.Errorf("rows (-before +after):\n%s", diff)
	}
}
