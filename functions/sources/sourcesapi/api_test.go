package sourcesapi_test

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/insights-onprem/cost-sources/functions/sources/sourcesapi"
	"github.com/insights-onprem/cost-sources/shared/httpapi/apitest"
	"github.com/insights-onprem/cost-sources/shared/sources"
	"github.com/insights-onprem/cost-sources/shared/store"
	"github.com/insights-onprem/cost-sources/shared/store/storetest"
)

func serve(t *testing.T, edit ...func(*sourcesapi.Config)) (apitest.Client, *store.Store) {
	t.Helper()
	cfg := sourcesapi.Config{Identity: apitest.Identity}
	for _, e := range edit {
		e(&cfg)
	}
	db := storetest.New(t, "sources")
	return apitest.Serve(t, sourcesapi.New(cfg, db, func(sources.Source) {}), "org1"), db
}

func TestCreate(t *testing.T) {
	t.Parallel()

	c, _ := serve(t)
	got := c.Want(t, 201, "POST", "/sources/", `{"name": "OCP Test Provider", "source_type_id": "3"}`)
	for _, field := range []string{"uuid", "created_timestamp", "updated_timestamp"} {
		if s, _ := got.Body[field].(string); s == "" {
			t.Errorf("%s = %v, want a text", field, got.Body[field])
		}
		delete(got.Body, field)
	}
	provisioning := got.Body["provisioning"].(map[string]any)
	if at := fmt.Sprint(provisioning["updated_timestamp"]); len(at) != len("2026-11-23T06:43:07.512000Z") || !strings.HasSuffix(at, "Z") {
		t.Errorf("provisioning.updated_timestamp = %s, want six fraction digits and Z", at)
	}
	delete(provisioning, "updated_timestamp")
	want := map[string]any{
		"id": "1", "name": "OCP Test Provider", "source_type_id": "1", "source_type": "OCP", "source_ref": nil,
		"authentication": map[string]any{"credentials": map[string]any{}}, "billing_source": map[string]any{},
		"provider_linked": false, "active": false, "paused": false, "availability_status": "in_progress",
		"provisioning":       map[string]any{"state": "waiting", "reason": "", "attempts": 0.0},
		"current_month_data": false, "previous_month_data": false, "has_data": false,
		"last_payload_received_at": nil, "last_polling_time": nil, "status": map[string]any{},
		"infrastructure": map[string]any{}, "cost_models": []any{}, "additional_context": map[string]any{},
	}
	if diff := cmp.Diff(want, got.Body); diff != "" {
		t.Errorf("POST /sources/ (-want +got):\n%s", diff)
	}
}

func TestCreateRefuses(t *testing.T) {
	t.Parallel()

	c, _ := serve(t)
	tests := []struct{ name, body, want string }{
		{"no name", `{"source_type_id": "1"}`, "400 name: This field is required."},
		{"blank name", `{"name": "", "source_type_id": "1"}`, "400 name: This field may not be blank."},
		{"null name", `{"name": null, "source_type_id": "1"}`, "400 name: This field may not be null."},
		{"number as name", `{"name": 1, "source_type_id": "1"}`, "400 name: Not a valid string."},
		{"long name", `{"name": "` + strings.Repeat("é", 257) + `", "source_type_id": "1"}`, "400 name: Ensure this field has no more than 256 characters."},
		{"NUL in name", `{"name": "a\u0000b", "source_type_id": "1"}`, "400 name: Null characters are not allowed."},
		{"name in capitals is another field", `{"NAME": "a", "source_type_id": "1"}`, "400 name: This field is required."},
		{"no type", `{"name": "a"}`, "400 source_type: Either source_type or source_type_id is required"},
		{"blank type id", `{"name": "a", "source_type_id": ""}`, "400 source_type_id: This field may not be blank."},
		{"blank type", `{"name": "a", "source_type": ""}`, "400 source_type: This field may not be blank."},
		{"half a surrogate pair", `{"name": "a\ud800", "source_type_id": "1"}`, "400 <nil>: JSON parse error - half a surrogate pair"},
		{"the other half", `{"name": "\udc00\ud800", "source_type_id": "1"}`, "400 <nil>: JSON parse error - half a surrogate pair"},
		{"half a pair inside", `{"name": "a", "source_type_id": "1", "billing_source": {"a": "\uD800\n"}}`, "400 <nil>: JSON parse error - half a surrogate pair"},
		{"unknown type id", `{"name": "a", "source_type_id": 99999}`, "400 source_type_id: Invalid source_type_id: 99999"},
		{"cloud type", `{"name": "a", "source_type": "AWS"}`, "400 source_type: source_type 'AWS' is not supported on-premise; only OCP is allowed."},
		{"types that differ", `{"name": "a", "source_type_id": "1", "source_type": "AWS"}`, "400 source_type: source_type 'AWS' is not supported on-premise; only OCP is allowed."},
		{"blank source_ref", `{"name": "a", "source_type_id": "1", "source_ref": ""}`, "400 source_ref: This field may not be blank."},
		{"clusters that differ", `{"name": "a", "source_type_id": "1", "source_ref": "c", "authentication": {"credentials": {"cluster_id": "d"}}}`,
			"400 source_ref: source_ref and authentication name different clusters."},
		{"number as cluster in credentials", `{"name": "a", "source_type_id": "1", "authentication": {"credentials": {"cluster_id": 1}}}`,
			"400 authentication: Not a valid string."},
		{"list as billing_source", `{"name": "a", "source_type_id": "1", "billing_source": []}`, `400 billing_source: Expected a dictionary of items but got type "list".`},
		{"NUL inside billing_source", `{"name": "a", "source_type_id": "1", "billing_source": {"a": ["\u0000"]}}`, "400 billing_source: Null characters are not allowed."},
		{"text as paused", `{"name": "a", "source_type_id": "1", "paused": "yes"}`, "400 paused: Must be a valid boolean."},
		{"first field in order", `{"paused": 1, "source_type_id": "9"}`, "400 name: This field is required."},
		{"no JSON", `{"name": `, "400 <nil>: JSON parse error - unexpected end of JSON input"},
		{"list", `[]`, "400 <nil>: Invalid data. Expected a dictionary, but got list."},
		{"null", `null`, "400 <nil>: Invalid data. Expected a dictionary, but got NoneType."},
		{"invalid UTF-8", "{\"name\": \"\xff\"}", "400 <nil>: JSON parse error - the body is not valid UTF-8"},
		{"deep", strings.Repeat(`{"a":`, 40) + "1" + strings.Repeat("}", 40), "400 <nil>: JSON parse error - nested deeper than 32 levels"},
		{"large", `{"name": "` + strings.Repeat("a", 64<<10) + `"}`, "413 <nil>: The body is larger than 64 KiB."},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := c.Do(t, "POST", "/sources", tt.body).Problem(); got != tt.want {
				t.Errorf("POST /sources %.200s\n got %s\nwant %s", tt.body, got, tt.want)
			}
		})
	}
}

func TestCreateWithCluster(t *testing.T) {
	t.Parallel()

	c, db := serve(t)
	bodies := []string{
		`{"name": "a", "source_type_id": 1, "source_ref": "c1", "paused": true, "billing_source": {"n": 1.50}}`,
		`{"name": "a", "source_type": "ocp", "authentication": {"credentials": {"cluster_id": "c2", "client_secret": "s"}}}`,
		`{"name": "a", "source_type_id": "1", "source_ref": "c3", "authentication": {"credentials": {"cluster_id": "c3"}}}`,
	}
	for i, body := range bodies {
		got := c.Want(t, 201, "POST", "/sources", body)
		cluster := fmt.Sprintf("c%d", i+1)
		want := map[string]any{"credentials": map[string]any{"cluster_id": cluster}}
		if diff := cmp.Diff(want, got.Body["authentication"]); diff != "" || got.Body["source_ref"] != cluster {
			t.Errorf("source_ref = %v, authentication (-want +got):\n%s", got.Body["source_ref"], diff)
		}
		if state := got.Body["provisioning"].(map[string]any)["state"]; state != "pending" {
			t.Errorf("state = %v, want pending", state)
		}
		src, err := db.For("org1").Source(t.Context(), "org1", sources.Ref{UUID: got.Body["uuid"].(string)})
		if err != nil || !src.WantsProvider() {
			t.Errorf("the registry has %+v, %v; want an application beside it", src, err)
		}
	}
	if first := c.Want(t, 200, "GET", "/sources/1", ""); first.Body["availability_status"] != "paused" || !strings.Contains(first.Text, "1.50") {
		t.Errorf("a source made paused is %s, want it paused and its billing_source as it came", first.Text)
	}
}

func TestOneClusterOneSource(t *testing.T) {
	t.Parallel()

	c, _ := serve(t)
	const body = `{"name": "a", "source_type_id": "1", "source_ref": "c"}`
	statuses := make([]int, 12)
	var all sync.WaitGroup
	for i := range statuses {
		all.Go(func() {
			answer, err := c.Try(t, "POST", "/sources", body)
			if err != nil {
				t.Error(err)
			}
			statuses[i] = answer.Status
			if want := "400 source.duplicate: " + sources.Duplicate; answer.Status != 201 && answer.Problem() != want {
				t.Errorf("the second source of a cluster is answered %s, want %s", answer.Problem(), want)
			}
		})
	}
	all.Wait()
	slices.Sort(statuses)
	if want := append([]int{201}, slices.Repeat([]int{400}, 11)...); !slices.Equal(statuses, want) {
		t.Errorf("12 sources of one cluster at once = %v, want %v", statuses, want)
	}
	other := apitest.Client{URL: c.URL, Org: "org2"}
	other.Want(t, 201, "POST", "/sources", body)
	c.Want(t, 204, "DELETE", "/sources/"+c.Want(t, 200, "GET", "/sources?source_ref=c", "").Body["data"].([]any)[0].(map[string]any)["id"].(string), "")
	c.Want(t, 201, "POST", "/sources", body)
}

func TestRefRequired(t *testing.T) {
	t.Parallel()

	c, _ := serve(t, func(cfg *sourcesapi.Config) { cfg.RefRequired = true })
	for _, body := range []string{`{"name": "a", "source_type_id": "1"}`, `{"name": "a", "source_type_id": "1", "billing_source": [], "paused": 1}`} {
		if got, want := c.Do(t, "POST", "/sources", body).Problem(), "400 source_ref: Missing credentials"; got != want {
			t.Errorf("POST %s, which has no cluster, = %s, want %s", body, got, want)
		}
	}
	c.Want(t, 201, "POST", "/sources", `{"name": "a", "source_type_id": "1", "source_ref": "c"}`)
}

func TestChange(t *testing.T) {
	t.Parallel()

	c, _ := serve(t)
	c.Want(t, 201, "POST", "/sources", `{"name": "a", "source_type_id": "1"}`)
	tests := []struct {
		body string
		want map[string]any
	}{
		{`{"name": "b"}`, map[string]any{"name": "b", "source_ref": nil, "availability_status": "in_progress"}},
		{`{"paused": true}`, map[string]any{"name": "b", "paused": true, "availability_status": "paused"}},
		{`{"source_ref": "c"}`, map[string]any{"name": "b", "source_ref": "c", "paused": true}},
		{`{"source_ref": "d", "paused": false}`, map[string]any{"source_ref": "d", "paused": false, "availability_status": "in_progress"}},
		{`{"source_type_id": "99"}`, map[string]any{"source_type_id": "1", "source_ref": "d"}},
		{`{}`, map[string]any{"name": "b", "source_ref": "d"}},
	}
	for _, tt := range tests {
		got := c.Want(t, 200, "PATCH", "/sources/1/", tt.body)
		for field, want := range tt.want {
			if got.Body[field] != want {
				t.Errorf("PATCH %s: %s = %v, want %v", tt.body, field, got.Body[field], want)
			}
		}
		if read := c.Want(t, 200, "GET", "/sources/1", ""); !cmp.Equal(read.Body, got.Body) {
			t.Errorf("PATCH %s answered something else than GET:\n%s", tt.body, cmp.Diff(got.Body, read.Body))
		}
	}
	for _, body := range []string{`{"name": ""}`, `{"source_ref": null}`, `{"paused": 1}`, `[]`} {
		c.Want(t, 400, "PATCH", "/sources/1", body)
	}
}

func TestDelete(t *testing.T) {
	t.Parallel()

	c, _ := serve(t)
	made := c.Want(t, 201, "POST", "/sources", `{"name": "a", "source_type_id": "1", "source_ref": "c"}`)
	c.Want(t, 204, "DELETE", "/sources/1", "")
	for _, path := range []string{"/sources/1", "/sources/1/", "/sources/" + made.Body["uuid"].(string), "/sources/1/stats"} {
		if got, want := c.Do(t, "GET", path, "").Problem(), "404 <nil>: No Sources matches the given query."; got != want {
			t.Errorf("GET %s after the delete = %s, want %s", path, got, want)
		}
	}
	c.Want(t, 404, "DELETE", "/sources/1", "")
	c.Want(t, 404, "PATCH", "/sources/1", "{}")
	if again := c.Want(t, 201, "POST", "/sources", `{"name": "a", "source_type_id": "1", "source_ref": "c"}`); again.ID() == "1" {
		t.Errorf("the id of a deleted source was given out again")
	}
}

func TestPaths(t *testing.T) {
	t.Parallel()

	c, _ := serve(t)
	uuid := c.Want(t, 201, "POST", "/sources", `{"name": "a", "source_type_id": "1"}`).Body["uuid"].(string)
	tests := []struct {
		method, path string
		status       int
	}{
		{"GET", "/sources/1", 200},
		{"HEAD", "/sources/1", 200},
		{"GET", "/sources/" + strings.ToUpper(uuid), 200},
		{"GET", "/sources/" + strings.ReplaceAll(uuid, "-", ""), 200},
		{"GET", "/sources/2", 404},
		{"GET", "/sources/99999999999999999999", 404},
		{"GET", "/sources/x", 404},
		{"GET", "/sources/%00", 404},
		{"GET", "/sources/%31/", 200},
		{"GET", "/sources/1%2F", 404},
		{"GET", "/sources%2F", 404},
		{"GET", "/sources/-1", 404},
		{"GET", "/sources//", 404},
		{"GET", "//sources", 404},
		{"GET", "/sources/../sources", 404},
		{"GET", "/sourcesX", 404},
		{"GET", "/sources/1/stats/", 200},
		{"PUT", "/sources/1", 405},
		{"DELETE", "/sources", 405},
		{"POST", "/source_types", 405},
		{"GET", "/source_types/3", 200},
		{"GET", "/source_types/2", 404},
	}
	for _, tt := range tests {
		if got := c.Do(t, tt.method, tt.path, ""); got.Status != tt.status {
			t.Errorf("%s %s = %d, want %d", tt.method, tt.path, got.Status, tt.status)
		} else if got.Status >= 400 && tt.method != "HEAD" && !strings.HasPrefix(got.Problem(), fmt.Sprint(tt.status)) {
			t.Errorf("%s %s = %s", tt.method, tt.path, got.Problem())
		}
	}
	if got := c.Do(t, "PUT", "/sources/1", "").Header.Get("Allow"); got != "DELETE, GET, HEAD, PATCH" {
		t.Errorf("Allow = %q", got)
	}
}

func TestStranger(t *testing.T) {
	t.Parallel()

	c, _ := serve(t)
	uuid := c.Want(t, 201, "POST", "/sources", `{"name": "a", "source_type_id": "1", "source_ref": "c"}`).Body["uuid"].(string)
	other, nobody := apitest.Client{URL: c.URL, Org: "org2"}, apitest.Client{URL: c.URL}
	for _, path := range []string{"/sources/1", "/sources/" + uuid, "/sources/1/stats"} {
		other.Want(t, 404, "GET", path, "")
		nobody.Want(t, 401, "GET", path, "")
	}
	other.Want(t, 404, "PATCH", "/sources/1", `{"name": "mine"}`)
	other.Want(t, 404, "DELETE", "/sources/"+uuid, "")
	nobody.Want(t, 401, "PUT", "/sources", "")
	nobody.Want(t, 404, "GET", "/elsewhere", "")
	nobody.Want(t, 200, "GET", "/source_types", "")
	if got := other.Want(t, 200, "GET", "/sources", "").Body["meta"].(map[string]any)["count"]; got != 0.0 {
		t.Errorf("another organization counts %v sources", got)
	}
	wrong := apitest.Client{URL: c.URL, Org: "Org-1"}
	if got := wrong.Do(t, "POST", "/sources", `{"name": "a", "source_type_id": "1"}`).Problem(); !strings.HasPrefix(got, "400 <nil>: The organization id 'Org-1' cannot be used") {
		t.Errorf("POST for an organization that cannot be a schema = %s", got)
	}
}
