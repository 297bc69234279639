package koku_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"testing"

	cehttp "github.com/cloudevents/sdk-go/v2/protocol/http"

	"github.com/insights-onprem/cost-sources/functions/provisioner/provision"
	"github.com/insights-onprem/cost-sources/functions/sources/sourcesapi"
	"github.com/insights-onprem/cost-sources/migrations"
	"github.com/insights-onprem/cost-sources/migrations/takeover"
	"github.com/insights-onprem/cost-sources/shared/events"
	"github.com/insights-onprem/cost-sources/shared/httpapi/apitest"
	"github.com/insights-onprem/cost-sources/shared/sources"
	"github.com/insights-onprem/cost-sources/shared/store"
	"github.com/insights-onprem/cost-sources/shared/store/storetest"
	"github.com/insights-onprem/cost-sources/tests/koku"
)

// A world is a database that Koku made, with the API of sources and the provisioner at work in it.
type world struct {
	*testing.T
	address     string
	db          *store.Store // the provisioner's
	provisioner string
	api         apitest.Client // of organization 1
}

// uuid is the n-th UUID of the tests.
func uuid(n int) string { return fmt.Sprintf("%08d-1111-2222-3333-444444444444", n) }

// source is what Koku has made for organization 1.
func source(id int, cluster string) koku.Source {
	return koku.Source{ID: id, Org: "1", Name: fmt.Sprintf("name of %d", id), Cluster: cluster, UUID: uuid(id)}
}

// start migrates and takes over what address has, and starts the functions with the roles that they have when they are
// deployed or, where as names another login, all with that.
func start(t *testing.T, address, as string) world {
	t.Helper()
	w := world{T: t, address: address}
	w.migrate()
	stores := map[string]*store.Store{}
	for _, function := range []string{"sources", "provisioner"} {
		login := as
		if login == "" {
			login = storetest.As(function, address)
		}
		db, closeDB, err := store.Open(store.Config{DatabaseURL: login, MaxConns: 10})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(closeDB)
		stores[function] = db
	}
	w.db = stores["provisioner"]
	w.api = apitest.Serve(t, sourcesapi.New(sourcesapi.Config{Identity: apitest.Identity}, stores["sources"], func(sources.Source) {}), "1")
	srv := httptest.NewServer(provision.New(provision.Config{TemplateSchema: koku.Template}, w.db))
	t.Cleanup(srv.Close)
	w.provisioner = srv.URL
	return w
}

// migrate does what the command does, with no ROS.
func (w world) migrate() {
	w.Helper()
	if err := migrations.CheckShared(w.Context(), w.address, koku.Template); err != nil {
		w.Fatal(err)
	}
	if err := migrations.Public(w.Context(), w.address); err != nil {
		w.Fatal(err)
	}
	if _, err := takeover.Run(w.Context(), w.address, takeover.Options{}); err != nil {
		w.Fatal(err)
	}
	if err := migrations.Roles(w.Context(), w.address); err != nil {
		w.Fatal(err)
	}
	if err := migrations.AllTenants(w.Context(), w.address, migrations.Options{}); err != nil {
		w.Fatal(err)
	}
}

// provisioned has the provisioner look at a source, as the relay asks it to, and returns what is known of it then.
func (w world) provisioned(id int64) sources.Source {
	w.Helper()
	for _, path := range []string{provision.ProvidersPath, provision.TenantsPath} {
		event, err := events.Repair(w.Context(), w.registered(id))
		if err != nil {
			w.Fatal(err)
		}
		request, err := cehttp.NewHTTPRequestFromEvent(w.Context(), w.provisioner+path, event)
		if err != nil {
			w.Fatal(err)
		}
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			w.Fatal(err)
		}
		response.Body.Close()
		if response.StatusCode != http.StatusNoContent {
			w.Fatalf("an event of source %d is answered %d, want 204", id, response.StatusCode)
		}
	}
	return w.registered(id)
}

func (w world) registered(id int64) sources.Source {
	w.Helper()
	src, err := w.db.Registered(w.Context(), id)
	if err != nil {
		w.Fatal(err)
	}
	return src
}

// made makes a source by the API and has it provisioned.
func (w world) made(org, name, cluster string) sources.Source {
	w.Helper()
	client := w.api
	client.Org = org
	answer := client.Want(w, http.StatusCreated, "POST", "/sources", fmt.Sprintf(`{"name": %q, "source_type_id": "1", "source_ref": %q}`, name, cluster))
	id, err := strconv.ParseInt(answer.ID(), 10, 64)
	if err != nil {
		w.Fatal(err)
	}
	return w.provisioned(id)
}

// value reads one value.
func value[T any](w world, sql string, args ...any) (v T) {
	w.Helper()
	if err := storetest.Connect(w, w.address).QueryRow(w.Context(), sql, args...).Scan(&v); err != nil {
		w.Fatalf("%s: %v", sql, err)
	}
	return v
}

// found is the join by which report processing finds the source of an upload.
func (w world) found(org, cluster string) []string {
	w.Helper()
	return value[[]string](w, `
		SELECT coalesce(array_agg(s.source_id::text ORDER BY s.name), '{}')
		FROM public.api_sources s
		JOIN public.api_provider p ON s.provider_id = p.uuid
		JOIN public.api_providerauthentication a ON p.authentication_id = a.id
		WHERE s.org_id = $1 AND a.credentials = jsonb_build_object('cluster_id', $2::text)`, org, cluster)
}
