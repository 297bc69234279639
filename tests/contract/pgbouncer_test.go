//go:build pgbouncer

package contract_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/insights-onprem/cost-sources/functions/applications/applicationsapi"
	"github.com/insights-onprem/cost-sources/functions/provisioner/provision"
	"github.com/insights-onprem/cost-sources/functions/relay/relay"
	"github.com/insights-onprem/cost-sources/functions/ros-cleanup/cleanup"
	"github.com/insights-onprem/cost-sources/functions/ros-cleanup/cleanup/rostest"
	"github.com/insights-onprem/cost-sources/functions/sources/sourcesapi"
	"github.com/insights-onprem/cost-sources/shared/httpapi/apitest"
	"github.com/insights-onprem/cost-sources/shared/outbox"
	"github.com/insights-onprem/cost-sources/shared/store"
	"github.com/insights-onprem/cost-sources/shared/store/storetest"
	"github.com/insights-onprem/cost-sources/tests/pgbouncer"
)

// A pooled world is all functions with a PgBouncer between them and their databases. What the outbox sends
// goes to both event functions at once, as two KafkaSources would hand it to them.
type pooled struct {
	site
	relay string
	ros   *pgxpool.Pool

	mu   sync.Mutex
	down bool // the sink
}

// newPooled begins with a sink that is away.
func newPooled(t *testing.T) *pooled {
	t.Helper()
	p := &pooled{down: true}
	database, rosDatabase := storetest.Database(t), storetest.Empty(t)
	if err := rostest.Load(t.Context(), rosDatabase); err != nil {
		t.Fatal(err)
	}
	p.db, p.ros = open(t, database), open(t, rosDatabase)
	as := func(function string) *store.Store {
		db, closeDB, err := store.Open(store.Config{DatabaseURL: through(t)(storetest.As(function, database)), MaxConns: 20})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(closeDB)
		return db
	}
	rosPool, err := store.OpenPool(store.Config{DatabaseURL: pgbouncer.Front(t, rosDatabase), MaxConns: 20})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(rosPool.Close)
	provisioner := serve(t, provision.New(provision.Config{}, as("provisioner")))
	sink := serve(t, p.sink(provisioner+provision.ProvidersPath, provisioner+provision.TenantsPath,
		serve(t, cleanup.New(cleanup.Config{}, as("ros-cleanup"), rosPool))))
	sending := func(function string) (*store.Store, *outbox.Dispatcher) {
		db := as(function)
		d := outbox.New(outbox.Config{Sink: sink}, db)
		t.Cleanup(func() {
			if err := d.Stop(t.Context()); err == nil {
				t.Error("the test's context is still alive after it")
			}
		})
		return db, d
	}
	db, d := sending("sources")
	p.sources = serve(t, sourcesapi.New(sourcesapi.Config{Identity: apitest.Identity}, db, d.Wake))
	db, d = sending("applications")
	p.applications = serve(t, applicationsapi.New(applicationsapi.Config{Identity: apitest.Identity}, db, d.Wake))
	p.relay, p.provisions = serve(t, relay.New(sending("relay"))), true
	return p
}

func serve(t *testing.T, h http.Handler) string {
	t.Helper()
	srv := httptest.NewServer(h)
	t.Cleanup(srv.Close)
	return srv.URL
}

// sink hands an event to each of the functions, and answers with the worst that one of them says.
func (p *pooled) sink(functions ...string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		p.mu.Lock()
		down := p.down
		p.mu.Unlock()
		if err != nil || down {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		worst := http.StatusNoContent
		for _, function := range functions {
			worst = max(worst, hand(r, function, body))
		}
		w.WriteHeader(worst)
	})
}

func hand(r *http.Request, function string, body []byte) int {
	again, err := http.NewRequestWithContext(r.Context(), http.MethodPost, function, bytes.NewReader(body))
	if err != nil {
		return http.StatusInternalServerError
	}
	again.Header = r.Header.Clone()
	response, err := client.Do(again)
	if err != nil {
		return http.StatusBadGateway
	}
	response.Body.Close()
	return response.StatusCode
}

// ping does what the PingSource does, and wants it to succeed.
func (p *pooled) ping(t *testing.T) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, p.relay, nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range map[string]string{"Specversion": "1.0", "Id": "1", "Source": "/ping", "Type": "dev.knative.sources.ping"} {
		request.Header.Set("Ce-"+name, value)
	}
	response, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	if response.StatusCode != http.StatusNoContent {
		t.Errorf("the relay answers %d, want 204", response.StatusCode)
	}
}

// through is the way through a PgBouncer.
func through(t *testing.T) func(address string) string {
	return func(address string) string { return pgbouncer.Front(t, address) }
}

// TestPgBouncerContract: the functions keep the whole contract with a PgBouncer before their database.
func TestPgBouncerContract(t *testing.T) {
	t.Parallel()

	database := storetest.Database(t)
	functionsThrough(t, database, through(t)).test(t)
}

// TestPgBouncer: everything works where each transaction meets another session, with fewer of these than
// there are requests at once.
func TestPgBouncer(t *testing.T) {
	t.Parallel()

	p := newPooled(t)
	const org, n = "pooled1", 24
	things := make([]thing, n)
	var all sync.WaitGroup
	for i := range things {
		all.Go(func() {
			made := p.do(t, call{method: "POST", path: "/sources", org: org, header: map[string]string{"Idempotency-Key": fmt.Sprint(i)},
				body: fmt.Sprintf(`{"name": "s", "source_type_id": "1", "source_ref": "c%d"}`, i)})
			things[i] = thing{id: made.ID(), uuid: fmt.Sprint(made.Body["uuid"])}
		})
	}
	all.Wait()
	p.mu.Lock()
	p.down = false // what it missed the relay sends, or the dispatcher's next try
	p.mu.Unlock()
	p.ping(t)
	for _, x := range things {
		p.linked(t, org, x)
	}
	if got := count(p.want(t, 200, call{method: "GET", path: "/sources?availability_status=available&limit=1000", org: org})); got != n {
		t.Errorf("%d sources are available, want %d", got, n)
	}
	p.changes(t, org, things[0])
	p.removes(t, org, things[1])
	p.holds(t, org, n-1)
}

// changes: rename, pause, list, stats, and an application that goes and comes.
func (p *pooled) changes(t *testing.T, org string, x thing) {
	t.Helper()
	got := p.want(t, 200, call{method: "PATCH", path: x.at("/sources/{uuid}"), org: org, body: `{"name": "renamed", "paused": true}`})
	if got.Body["availability_status"] != "paused" {
		t.Errorf("PATCH = %s, want it paused", got.Text)
	}
	if got := p.want(t, 200, call{method: "GET", path: "/sources?filter[name]=renamed", org: org}); !slices.Equal(rows(got, "id"), []string{x.id}) {
		t.Errorf("the list by name is %s, want source %s", got.Text, x.id)
	}
	p.want(t, 200, call{method: "PATCH", path: x.at("/sources/{id}"), org: org, body: `{"paused": false}`})
	p.linked(t, org, x)
	stats := p.want(t, 200, call{method: "GET", path: x.at("/sources/{id}/stats"), org: org})
	if stats.Body["provider_linked"] != true || stats.Body["data_updated_date"] != nil || stats.Body["ocp_on_cloud_data_updated_date"] != nil {
		t.Errorf("stats are %s", stats.Text)
	}
	x.app = rows(p.want(t, 200, call{method: "GET", path: "/applications?source_id=" + x.id, org: org}), "id")[0]
	p.want(t, 204, call{method: "DELETE", path: x.at("/applications/{app}"), org: org})
	p.awaitRow(t, x, "provider_removed_at IS NOT NULL AND state = 'waiting'")
	p.want(t, 201, call{method: "POST", path: "/applications", org: org, body: x.at(`{"source_id": "{id}", "extra": {"bucket": "b"}}`)})
	p.linked(t, org, x)
}

// removes: a source goes, with its provider and its rows in ROS.
func (p *pooled) removes(t *testing.T, org string, x thing) {
	t.Helper()
	var id int64
	if _, err := fmt.Sscan(x.id, &id); err != nil {
		t.Fatal(err)
	}
	if err := rostest.Seed(t.Context(), p.ros, org, id, x.uuid, "c1", 3); err != nil {
		t.Fatal(err)
	}
	p.want(t, 204, call{method: "DELETE", path: x.at("/sources/{id}"), org: org})
	p.want(t, 404, call{method: "GET", path: x.at("/sources/{id}"), org: org})
	p.awaitRow(t, x, "provider_removed_at IS NOT NULL AND ros_cleaned_at IS NOT NULL")
	left, err := rostest.Experiments(t.Context(), p.ros, org, id)
	if err != nil || len(left) != 0 {
		t.Errorf("ROS still has %v, %v", left, err)
	}
}

// awaitRow waits until a condition holds for the registry row of a thing.
func (p *pooled) awaitRow(t *testing.T, x thing, condition string) {
	t.Helper()
	await(t, func() string {
		var ok bool
		if err := p.db.QueryRow(t.Context(), `SELECT `+condition+` FROM sources.source WHERE uuid = $1`, x.uuid).Scan(&ok); err != nil || !ok {
			return fmt.Sprintf("source %s: %s, %v", x.id, condition, err)
		}
		return ""
	})
}

// holds: in the end there is one provider for each living source, and nothing waits.
func (p *pooled) holds(t *testing.T, org string, want int) {
	t.Helper()
	p.ping(t)
	await(t, func() string {
		var providers, copies, waiting int
		err := p.db.QueryRow(t.Context(), `
			SELECT (SELECT count(*) FROM public.api_provider), (SELECT count(*) FROM org`+org+`.reporting_tenant_api_provider), (SELECT count(*) FROM sources.outbox)`).
			Scan(&providers, &copies, &waiting)
		if err == nil && providers == want && copies == want && waiting == 0 {
			return ""
		}
		return fmt.Sprintf("%d providers, %d copies, %d events that wait, %v; want %d of the first two", providers, copies, waiting, err, want)
	})
}

// TestPgBouncerAway: a pooler without a database behind it is PostgreSQL away, and no bug of ours; when the
// database is back, so are we.
func TestPgBouncerAway(t *testing.T) {
	t.Parallel()

	postgres := newDatabase(t)
	s := functionsThrough(t, postgres.with(t, "pooled"), through(t))
	get, post := call{method: "GET", path: "/sources", org: "pooled2"}, call{method: "POST", path: "/sources", org: "pooled2", body: `{"name": "s", "source_type_id": "1"}`}
	s.want(t, 201, post)
	postgres.stop(t)
	for range 3 {
		s.isAway(t, get)
		s.isAway(t, post)
	}
	postgres.start(t)
	await(t, func() string {
		if got := s.do(t, get); got.Status != 200 {
			return got.Text
		}
		return ""
	})
	s.want(t, 201, post)
}
