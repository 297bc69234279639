package tenants_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	cehttp "github.com/cloudevents/sdk-go/v2/protocol/http"
	"github.com/jackc/pgx/v5/pgxpool"
	"golang.org/x/sync/errgroup"

	"github.com/insights-onprem/cost-sources/functions/provisioner/provision"
	"github.com/insights-onprem/cost-sources/functions/sources/sourcesapi"
	"github.com/insights-onprem/cost-sources/shared/events"
	"github.com/insights-onprem/cost-sources/shared/httpapi"
	"github.com/insights-onprem/cost-sources/shared/httpapi/apitest"
	"github.com/insights-onprem/cost-sources/shared/sources"
	"github.com/insights-onprem/cost-sources/shared/store"
	"github.com/insights-onprem/cost-sources/shared/store/storetest"
)

// A world is a database with two functions over HTTP.
type world struct {
	testing.TB
	name, url        string
	sql              *pgxpool.Pool
	db               *store.Store // the provisioner's
	api, provisioner string
	orgs             int // org1 to this
	clusters         atomic.Int64
}

func newWorld(t testing.TB, server *storetest.Server, name string) *world {
	t.Helper()
	if err := server.CreateDatabase(t.Context(), name); err != nil {
		t.Fatal(err)
	}
	w := &world{TB: t, name: name, url: server.URL(name)}
	if err := storetest.Migrate(t.Context(), w.url); err != nil {
		t.Fatal(err)
	}
	w.sql = storetest.Pool(t, w.url)
	w.db = storetest.Store(t, "provisioner", w.url)
	w.provisioner = w.serve(provision.New(provision.Config{Database: store.Config{MaxConns: 4}}, w.db))
	w.api = w.serve(sourcesapi.New(sourcesapi.Config{Identity: apitest.Identity}, storetest.Store(t, "sources", w.url), func(sources.Source) {}))
	return w
}

func (w *world) serve(h http.Handler) string {
	srv := httptest.NewServer(h)
	w.Cleanup(srv.Close)
	return srv.URL
}

func org(n int) string { return fmt.Sprint(n) }

// grow makes organizations with one source each until there are so many.
func (w *world) grow(to int) {
	w.Helper()
	const makers = 3
	var group errgroup.Group
	group.SetLimit(makers)
	begun := time.Now()
	for n := w.orgs + 1; n <= to; n++ {
		group.Go(func() error {
			id, err := w.register(org(n))
			if err != nil {
				return err
			}
			return w.event(provision.TenantsPath, id)
		})
		if n%500 == 0 {
			progress("%s: %d tenants after %v", w.name, n, time.Since(begun).Round(time.Second))
		}
	}
	if err := group.Wait(); err != nil {
		w.Fatal(err)
	}
	w.orgs = max(w.orgs, to)
	// Nobody sends what waits, and it is not what is measured. A busy database's statistics are up to date.
	w.execute("TRUNCATE sources.outbox")
	w.execute("ANALYZE")
}

// register posts a source with a cluster of its own.
func (w *world) register(org string) (id int64, err error) {
	var answer struct {
		ID int64 `json:"id,string"`
	}
	body := fmt.Sprintf(`{"name": "a cluster", "source_type_id": "1", "source_ref": "cluster-%d"}`, w.clusters.Add(1))
	text, err := w.call(http.StatusCreated, http.MethodPost, "/sources/", org, body)
	if err != nil {
		return 0, err
	}
	err = json.Unmarshal(text, &answer)
	return answer.ID, err
}

// call sends a request to the API.
func (w *world) call(status int, method, path, org, body string) ([]byte, error) {
	request, err := http.NewRequestWithContext(w.Context(), method, w.api+httpapi.Prefix+path, strings.NewReader(body))
	if err != nil {
		return nil, err
	}
	request.Header.Set("X-Rh-Identity", apitest.Header(org))
	request.Header.Set("Content-Type", "application/json")
	return do(request, status)
}

// event has the provisioner look at a source.
func (w *world) event(path string, id int64) error {
	src, err := w.db.Registered(w.Context(), id)
	if err != nil {
		return err
	}
	e, err := events.SourceUpdated(w.Context(), src)
	if err != nil {
		return err
	}
	request, err := cehttp.NewHTTPRequestFromEvent(w.Context(), w.provisioner+path, e)
	if err != nil {
		return err
	}
	_, err = do(request, http.StatusNoContent)
	return err
}

func do(request *http.Request, status int) ([]byte, error) {
	client := http.Client{Timeout: 3 * time.Minute}
	response, err := client.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode != status {
		err = fmt.Errorf("%s %s = %d %s, want %d", request.Method, request.URL.Path, response.StatusCode, text, status)
	}
	return text, err
}

func (w *world) execute(sql string) {
	w.Helper()
	if _, err := w.sql.Exec(w.Context(), sql); err != nil {
		w.Fatalf("%s: %v", sql, err)
	}
}
