package tenants_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	cehttp "github.com/cloudevents/sdk-go/v2/protocol/http"
	"github.com/jackc/pgx/v5/pgxpool"
	"golang.org/x/sync/errgroup"

	"github.com/insights-onprem/cost-sources/functions/provisioner/provision"
	"github.com/insights-onprem/cost-sources/functions/sources/sourcesapi"
	"github.com/insights-onprem/cost-sources/shared/events"
	"github.com/insights-onprem/cost-sources/shared/httpapi/apitest"
	"github.com/insights-onprem/cost-sources/shared/sources"
	"github.com/insights-onprem/cost-sources/shared/store"
	"github.com/insights-onprem/cost-sources/shared/store/storetest"
)

// growers make tenants at once, where nothing is measured.
const growers = 3

// A world is a database that grows, with the functions that work on it, each with its role.
type world struct {
	testing.TB
	address     string
	sql         *pgxpool.Pool // as who owns everything
	api         apitest.Client
	provisioner string
	db          *store.Store // the provisioner's
	samples     int          // how many of each are measured, of which the median counts
	tenants     int
	clusters    int
}

// newWorld starts a server of its own, as an operator's is but for what only a crash would miss.
func newWorld(t testing.TB, samples int) *world {
	t.Helper()
	server, err := storetest.Start(t.Context(), storetest.ServerConfig{Parameters: map[string]string{
		"fsync": "off", "full_page_writes": "off", "synchronous_commit": "off", "shared_buffers": "1GB", "max_wal_size": "8GB"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Stop(); err != nil {
			t.Error(err)
		}
	})
	if err := server.CreateDatabase(t.Context(), "cost"); err != nil {
		t.Fatal(err)
	}
	w := &world{TB: t, address: server.URL("cost"), samples: samples}
	if err := storetest.Migrate(t.Context(), w.address); err != nil {
		t.Fatal(err)
	}
	w.sql = storetest.Pool(t, w.address)
	w.db = storetest.Store(t, "provisioner", w.address)
	provisioner := httptest.NewServer(provision.New(provision.Config{Database: store.Config{MaxConns: 2 * growers}}, w.db))
	t.Cleanup(provisioner.Close)
	w.provisioner = provisioner.URL
	w.api = apitest.Serve(t, sourcesapi.New(sourcesapi.Config{Identity: apitest.Identity}, storetest.Store(t, "sources", w.address), func(sources.Source) {}), "")
	return w
}

// org names a tenant by its number.
func org(n int) string { return fmt.Sprintf("t%05d", n) }

// grow makes tenants, each with a source and its provider, until there are as many.
func (w *world) grow(to int) {
	w.Helper()
	var group errgroup.Group
	group.SetLimit(growers)
	for ; w.tenants < to; w.tenants++ {
		name := org(w.tenants)
		group.Go(func() error {
			id, err := w.register(name, name)
			if err == nil {
				err = w.event(provision.TenantsPath, id)
			}
			return err
		})
	}
	if err := group.Wait(); err != nil {
		w.Fatal(err)
	}
}

// register has the API make a source with a cluster.
func (w *world) register(org, cluster string) (id int64, err error) {
	c := w.api
	c.Org = org
	made, err := c.Try(w, "POST", "/sources", fmt.Sprintf(`{"name": %q, "source_type_id": "1", "source_ref": %q}`, cluster, cluster))
	if err != nil || made.Status != http.StatusCreated {
		return 0, fmt.Errorf("POST /sources of %s: %d, %w", org, made.Status, err)
	}
	_, err = fmt.Sscan(made.ID(), &id)
	return id, err
}

// add registers one more cluster in a tenant that is there.
func (w *world) add(tenant int) int64 {
	w.Helper()
	w.clusters++
	id, err := w.register(org(tenant), fmt.Sprintf("more-%d", w.clusters))
	if err != nil {
		w.Fatal(err)
	}
	return id
}

// event has the provisioner look at a source.
func (w *world) event(path string, id int64) error {
	ctx, cancel := context.WithTimeout(w.Context(), time.Minute)
	defer cancel()
	src, err := w.db.Registered(ctx, id)
	if err != nil {
		return err
	}
	e, err := events.SourceUpdated(ctx, src)
	if err != nil {
		return err
	}
	request, err := cehttp.NewHTTPRequestFromEvent(ctx, w.provisioner+path, e)
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	response.Body.Close()
	if response.StatusCode != http.StatusNoContent {
		return fmt.Errorf("an event of source %d is answered %d, want 204", id, response.StatusCode)
	}
	return nil
}

func (w *world) mustEvent(path string, id int64) {
	w.Helper()
	if err := w.event(path, id); err != nil {
		w.Fatal(err)
	}
}

func value[T any](w *world, sql string) (v T) {
	w.Helper()
	if err := w.sql.QueryRow(w.Context(), sql).Scan(&v); err != nil {
		w.Fatalf("%s: %v", sql, err)
	}
	return v
}
