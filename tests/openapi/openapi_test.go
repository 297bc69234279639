// Package openapi_test holds the OpenAPI document against the two APIs and the events: what it describes is
// what there is. That answers are as it says, apitest sees to in the tests of the APIs themselves.
package openapi_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"
	"time"

	cloudevents "github.com/cloudevents/sdk-go/v2"
	"github.com/google/go-cmp/cmp"

	"github.com/insights-onprem/cost-sources/functions/applications/applicationsapi"
	"github.com/insights-onprem/cost-sources/functions/sources/sourcesapi"
	"github.com/insights-onprem/cost-sources/shared/events"
	"github.com/insights-onprem/cost-sources/shared/httpapi"
	"github.com/insights-onprem/cost-sources/shared/httpapi/apitest"
	"github.com/insights-onprem/cost-sources/shared/sources"
)

// apis are both APIs without a store: what is asked here needs none.
func apis() map[string]http.Handler {
	return map[string]http.Handler{
		"sources":      sourcesapi.New(sourcesapi.Config{Identity: apitest.Identity}, nil, nil),
		"applications": applicationsapi.New(applicationsapi.Config{Identity: apitest.Identity}, nil, nil),
	}
}

func routes(t *testing.T) map[string]httpapi.Route {
	t.Helper()
	found := map[string]httpapi.Route{}
	for name, api := range apis() {
		listed, ok := api.(interface{ Routes() []httpapi.Route })
		if !ok {
			t.Fatalf("the API %s does not tell its routes", name)
		}
		for _, route := range listed.Routes() {
			found[route.Path] = route
		}
	}
	return found
}

func document(t *testing.T) apitest.Document {
	t.Helper()
	d, err := apitest.ReadDocument()
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestRoutes(t *testing.T) {
	t.Parallel()

	served := map[string][]string{}
	for path, route := range routes(t) {
		served[path] = slices.Sorted(maps.Keys(route.Methods))
	}
	if diff := cmp.Diff(served, document(t).Paths()); diff != "" {
		t.Errorf("paths and methods (-served +documented):\n%s", diff)
	}
}

// TestStatuses: an operation is documented with the statuses that follow from what it is; the ones that
// depend on what it does, the tests of the APIs meet.
func TestStatuses(t *testing.T) {
	t.Parallel()

	d := document(t)
	for path, route := range routes(t) {
		for method := range route.Methods {
			takesBody := method == "POST" || method == "PATCH"
			answers := d.Operation(method, path).Answers
			for status, want := range map[int]bool{
				401: !route.Open, 403: !route.Open, 424: !route.Open, 405: true, 500: true,
				413: takesBody, 415: takesBody, 422: method == "POST",
			} {
				if _, got := answers[status]; got != want {
					t.Errorf("%s %s is documented to answer %d: %t, want %t", method, path, status, got, want)
				}
			}
		}
	}
}

func TestServed(t *testing.T) {
	t.Parallel()

	for name, api := range apis() {
		for method, path := range map[string]string{"GET": "/openapi.json", "HEAD": "/openapi.json/"} {
			w := httptest.NewRecorder()
			api.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), method, path, nil))
			if w.Code != 200 || w.Header().Get("Content-Length") == "" || !json.Valid(w.Body.Bytes()) {
				t.Errorf("%s: %s %s = %d %v %.100s", name, method, path, w.Code, w.Header(), w.Body)
			}
		}
		w := httptest.NewRecorder()
		api.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), "POST", "/openapi.json", nil))
		if text, _ := io.ReadAll(w.Body); w.Code != 405 || document(t).Validate("#/components/schemas/Errors", text) != nil {
			t.Errorf("%s: POST /openapi.json = %d %s, want 405", name, w.Code, text)
		}
	}
}

// TestEvents: the data of every event is as documented, and every event is.
func TestEvents(t *testing.T) {
	t.Parallel()

	src := sources.Source{ID: 12, UUID: "7595e2cf-9ba8-4a55-8677-ccccd7b76f9b", OrgID: "org1", Name: "prod", Type: sources.TypeOCP}
	attached := src
	attached.SetCluster("cluster-1")
	attached.Attach()
	attached.Application.ID = 7
	attached.Application.Extra = sources.Object{"bucket": json.RawMessage(`"b"`), "more": json.RawMessage(`[]`)}
	told := []string{}
	for _, tell := range []struct {
		event func(context.Context, sources.Source) (cloudevents.Event, error)
		src   sources.Source
	}{
		{events.SourceCreated, src}, {events.SourceUpdated, attached}, {events.SourceDeleted, attached},
		{events.ApplicationCreated, attached}, {events.ApplicationUpdated, attached}, {events.ApplicationDeleted, attached},
	} {
		e, err := tell.event(t.Context(), tell.src)
		if err != nil {
			t.Fatal(err)
		}
		told = append(told, e.Type())
		if err := document(t).Validate("#/components/schemas/EventData", e.Data()); err != nil {
			t.Errorf("%s carries %s: %v", e.Type(), e.Data(), err)
		}
	}
	var documented struct{ Webhooks map[string]any }
	if err := json.Unmarshal(httpapi.Document(), &documented); err != nil {
		t.Fatal(err)
	}
	slices.Sort(told)
	if diff := cmp.Diff(told, slices.Sorted(maps.Keys(documented.Webhooks))); diff != "" {
		t.Errorf("events (-told +documented):\n%s", diff)
	}
}

// TestExamples: what the document gives as examples is what it describes.
func TestExamples(t *testing.T) {
	t.Parallel()

	var documented struct {
		Components struct {
			Schemas map[string]struct{ Example json.RawMessage }
		}
	}
	if err := json.Unmarshal(httpapi.Document(), &documented); err != nil {
		t.Fatal(err)
	}
	for name, schema := range documented.Components.Schemas {
		if schema.Example == nil {
			continue
		}
		if err := document(t).Validate(fmt.Sprintf("#/components/schemas/%s", name), schema.Example); err != nil {
			t.Errorf("the example of %s: %v", name, err)
		}
	}
}

// TestData: what Koku's tables say about a source is as documented, which no test of the APIs has there.
func TestData(t *testing.T) {
	t.Parallel()

	now := sources.Time{Time: time.Now()}
	for at, value := range map[string]any{
		"Manifest": sources.Manifest{AssemblyID: "a", BillingPeriodStart: now, FilesProcessed: "1/2", ProcessStart: &now},
		"LinkedStats": map[string]any{"provider_linked": true, "data_updated_date": now, "ocp_on_cloud_data_updated_date": nil,
			"2026-11": map[string]any{"manifests": []sources.Manifest{}}},
		"Source/properties/infrastructure":    sources.Infrastructure{Type: "AWS", UUID: "u", SourceID: "1"},
		"Source/properties/cost_models/items": sources.CostModel{Name: "n", UUID: "u"},
	} {
		text, err := json.Marshal(value)
		if err != nil {
			t.Fatal(err)
		}
		if err := document(t).Validate("#/components/schemas/"+at, text); err != nil {
			t.Errorf("%s %s: %v", at, text, err)
		}
	}
}
