package sourcesapi_test

import (
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/insights-onprem/cost-sources/functions/sources/sourcesapi"
	"github.com/insights-onprem/cost-sources/shared/httpapi"
	"github.com/insights-onprem/cost-sources/shared/httpapi/apitest"
	"github.com/insights-onprem/cost-sources/shared/sources"
	"github.com/insights-onprem/cost-sources/shared/store/storetest"
)

// names are the names of the sources on a page, in its order.
func names(a apitest.Answer) []string {
	found := []string{}
	data, _ := a.Body["data"].([]any)
	for _, row := range data {
		found = append(found, row.(map[string]any)["name"].(string))
	}
	return found
}

func TestFilters(t *testing.T) {
	t.Parallel()

	c, _ := serve(t)
	uuid := c.Want(t, 201, "POST", "/sources", `{"name": "Prod-West", "source_type_id": "1", "source_ref": "c1"}`).Body["uuid"].(string)
	c.Want(t, 201, "POST", "/sources", `{"name": "prod-west-2", "source_type_id": "1", "source_ref": "c,2", "paused": true}`)
	c.Want(t, 201, "POST", "/sources", `{"name": "100%_Été", "source_type_id": "1"}`)

	all := []string{"100%_Été", "Prod-West", "prod-west-2"}
	tests := []struct {
		query string
		want  []string
	}{
		{"", all},
		{"name=PROD", all[1:]},
		{"name=west,2", all[2:]},
		{"name=west&name=2", all[2:]},
		{"name=%25", all[:1]},
		{"name=_", all[:1]},
		{"name=éTÉ", all[:1]},
		{"filter[name]=Prod-West", all[1:2]},
		{"filter[name]=prod-west", nil},
		{"filter[name][eq]=Prod-West", all[1:2]},
		{"filter[name]=Prod-West&filter[name]=prod-west-2", all[1:]},
		{"filter[name][contains]=rod", all[1:]},
		{"filter[name][contains]=ROD", nil},
		{"filter[name][contains_i]=ROD", all[1:]},
		{"filter[name][starts_with]=prod", all[2:]},
		{"filter[name][eq_i]=PROD-west", all[1:2]},
		{"type=oc", all},
		{"type=aws", nil},
		{"source_type=OCP", all},
		{"source_type=AWS", nil},
		{"source_type_id=1", all},
		{"source_type_id=3", all},
		{"filter[source_type_id]=99", nil},
		{"source_type_id=99999999999999999999", nil},
		{"filter[source_type_id][eq]=99,1", all},
		{"source_ref=c1", all[1:2]},
		{"filter[source_ref]=c1", all[1:2]},
		{"filter[source_ref]=c1&filter[source_ref]=x", all[1:2]},
		{"uuid=" + uuid, all[1:2]},
		{"uuid=" + strings.ToUpper(strings.ReplaceAll(uuid, "-", "")), all[1:2]},
		{"paused=true", all[2:]},
		{"paused=False", all[:2]},
		{"availability_status=paused", all[2:]},
		{"availability_status=paused,in_progress", all},
		{"filter[availability_status][eq]=available", nil},
		{"unknown=1&filter[unknown][eq]=2", all},
		{"filter[name]=Prod-West&source_ref=c1&filter[source_type_id]=1", all[1:2]},
		{"order_by=-name", []string{"prod-west-2", "Prod-West", "100%_Été"}},
		{"ordering=created_timestamp", []string{"Prod-West", "prod-west-2", "100%_Été"}},
		{"order_by=-name&ordering=name", []string{"prod-west-2", "Prod-West", "100%_Été"}},
		{"order_by=-updated_timestamp", []string{"100%_Été", "prod-west-2", "Prod-West"}},
	}
	for _, tt := range tests {
		encoded := strings.NewReplacer("[", "%5B", "]", "%5D").Replace(tt.query)
		for _, query := range []string{tt.query, encoded} {
			got := c.Want(t, 200, "GET", "/sources?"+query, "")
			if diff := cmp.Diff(append([]string{}, tt.want...), names(got)); diff != "" {
				t.Errorf("GET /sources?%s (-want +got):\n%s", query, diff)
			}
			if count := got.Body["meta"].(map[string]any)["count"]; count != float64(len(tt.want)) {
				t.Errorf("GET /sources?%s counts %v, want %d", query, count, len(tt.want))
			}
		}
	}
}

// TestSemicolon: net/url takes no semicolon in a query, but names may hold one.
func TestSemicolon(t *testing.T) {
	t.Parallel()

	c, _ := serve(t)
	c.Want(t, 201, "POST", "/sources", `{"name": "a", "source_type_id": "1"}`)
	c.Want(t, 201, "POST", "/sources", `{"name": "a;b \ud83d\ude00", "source_type_id": "1"}`)
	for query, want := range map[string][]string{
		"filter[name]=a;b%20😀": {"a;b 😀"}, "name=;": {"a;b 😀"}, "filter[name]=a;": {}, "limit=1;2": {"a", "a;b 😀"},
	} {
		if diff := cmp.Diff(want, names(c.Want(t, 200, "GET", "/sources?"+query, ""))); diff != "" {
			t.Errorf("GET /sources?%s (-want +got):\n%s", query, diff)
		}
	}
}

func TestFiltersRefused(t *testing.T) {
	t.Parallel()

	c, _ := serve(t)
	for query, want := range map[string]string{
		"filter=abc":                     "400 filter: A filter is written as filter[name]=value.",
		"filter[name][like]=a":           "400 name: Unknown operator 'like'.",
		"filter[name][eq][]=a":           "400 name: Unknown operator '[eq][]'.",
		"filter[name]eq=a":               "400 name: Unknown operator 'eq'.",
		"filter[uuid][contains]=a":       "400 uuid: Unknown operator 'contains'.",
		"name=%zz":                       `400 <nil>: The query is malformed: invalid URL escape "%zz"`,
		"uuid=x":                         "400 uuid: 'x' is not a valid value.",
		"filter[source_type_id]=x":       "400 source_type_id: 'x' is not a valid value.",
		"paused=perhaps":                 "400 paused: 'perhaps' is not a valid value.",
		"name=%00":                       "400 name: Null characters are not allowed.",
		"name=%ff":                       "400 name: JSON parse error - the value is not valid UTF-8",
		"order_by=uuid":                  "400 order_by: This list cannot be ordered by 'uuid'.",
		"order_by=name&ordering=x":       "400 ordering: This list cannot be ordered by 'x'.",
		"ordering=-":                     "400 ordering: This list cannot be ordered by ''.",
		"x=" + strings.Repeat("a", 9000): "400 <nil>: The query is longer than 8 KiB.",
	} {
		if got := c.Do(t, "GET", "/sources?"+query, "").Problem(); got != want {
			t.Errorf("GET /sources?%.80s = %s, want %s", query, got, want)
		}
	}
}

func TestPages(t *testing.T) {
	t.Parallel()

	c, _ := serve(t)
	for i := range 23 {
		c.Want(t, 201, "POST", "/sources", fmt.Sprintf(`{"name": "s%02d", "source_type_id": "1"}`, i))
	}
	tests := []struct {
		query                       string
		limit, offset, rows         int
		first, next, previous, last string
	}{
		{"", 10, 0, 10, "limit=10&offset=0", "limit=10&offset=10", "", "limit=10&offset=20"},
		{"offset=20", 10, 20, 3, "limit=10&offset=0", "", "limit=10&offset=10", "limit=10&offset=20"},
		{"limit=5&offset=3&name=s", 5, 3, 5, "limit=5&name=s&offset=0", "limit=5&name=s&offset=8", "limit=5&name=s&offset=0", "limit=5&name=s&offset=20"},
		{"limit=99999999999999999999", 1000, 0, 23, "limit=1000&offset=0", "", "", "limit=1000&offset=0"},
		{"limit=0&offset=-1", 10, 0, 10, "limit=10&offset=0", "limit=10&offset=10", "", "limit=10&offset=20"},
		{"limit=abc&offset=abc", 10, 0, 10, "limit=10&offset=0", "limit=10&offset=10", "", "limit=10&offset=20"},
		{"offset=100", 10, 100, 0, "limit=10&offset=0", "", "limit=10&offset=90", "limit=10&offset=20"},
	}
	for _, tt := range tests {
		got := c.Want(t, 200, "GET", "/sources/?"+tt.query, "")
		want := map[string]any{"count": 23.0, "limit": float64(tt.limit), "offset": float64(tt.offset)}
		if diff := cmp.Diff(want, got.Body["meta"]); diff != "" || len(names(got)) != tt.rows {
			t.Errorf("GET ?%s has %d rows, want %d; meta (-want +got):\n%s", tt.query, len(names(got)), tt.rows, diff)
		}
		links := map[string]any{"first": link(tt.first), "next": link(tt.next), "previous": link(tt.previous), "last": link(tt.last)}
		if diff := cmp.Diff(links, got.Body["links"]); diff != "" {
			t.Errorf("GET ?%s links (-want +got):\n%s", tt.query, diff)
		}
	}
}

func link(query string) any {
	if query == "" {
		return nil
	}
	return "/api/cost-management/v1/sources?" + query
}

func TestTypes(t *testing.T) {
	t.Parallel()

	c, _ := serve(t)
	c.Org = ""
	for query, count := range map[string]float64{
		"filter[name]=openshift": 1, "filter%5Bname%5D=openshift": 1, "filter[name][eq]=openshift": 1, "name=SHIFT": 1,
		"id=1": 1, "filter[id]=3": 1, "id=2": 0, "id=2147483648": 0, "filter[name]=open": 0, "offset=1": 1,
	} {
		if got := c.Want(t, 200, "GET", "/source_types?"+query, "").Body["meta"].(map[string]any)["count"]; got != count {
			t.Errorf("GET /source_types?%s counts %v, want %v", query, got, count)
		}
	}
	c.Want(t, 400, "GET", "/source_types?id=x", "")
}

// FuzzQuery: whatever stands in a query, the answer is a list or a 400 that says why.
func FuzzQuery(f *testing.F) {
	for _, seed := range []string{"name=a", "filter[name][eq]=a", "filter[]=x", "limit=-1&offset=9", "paused=", "uuid=,", "filter[source_type_id]=1,2", "order_by=-name", "name=%00%ff"} {
		f.Add(seed)
	}
	h := sourcesapi.New(sourcesapi.Config{Identity: apitest.Identity}, storetest.New(f, "sources"), func(sources.Source) {})
	srv := httptest.NewServer(h)
	f.Cleanup(srv.Close)
	other := apitest.Client{URL: srv.URL, Org: "org2"}
	other.Want(f, 201, "POST", "/sources", `{"name": "of another organization", "source_type_id": "1", "source_ref": "c"}`)
	f.Fuzz(func(t *testing.T, query string) {
		request := httptest.NewRequest("GET", httpapi.Prefix+"/sources", nil)
		request.URL.RawQuery = query
		request.Header.Set("X-Rh-Identity", apitest.Header("org1"))
		recorder := httptest.NewRecorder()
		h.ServeHTTP(recorder, request)
		if recorder.Code != 200 && recorder.Code != 400 {
			t.Errorf("GET /sources?%s = %d %s", query, recorder.Code, recorder.Body)
		}
		if recorder.Code == 200 && !strings.Contains(recorder.Body.String(), `"data":[]`) {
			t.Errorf("GET /sources?%s finds what is another organization's: %s", query, recorder.Body)
		}
	})
}

// FuzzBody: whatever is posted, the answer is a source or an error that says why.
func FuzzBody(f *testing.F) {
	for _, seed := range []string{`{"name": "a", "source_type_id": "1"}`, `{"name": "a", "source_type_id": 3, "billing_source": {"a": 1e99999}, "paused": true}`, `[`, `{"name": null}`, `{"name":"\ud800","source_type":"ocp","authentication":{"credentials":{"cluster_id":"x"}}}`} {
		f.Add(seed)
	}
	h := sourcesapi.New(sourcesapi.Config{Identity: apitest.Identity}, storetest.New(f, "sources"), func(sources.Source) {})
	f.Fuzz(func(t *testing.T, body string) {
		request := httptest.NewRequest("POST", httpapi.Prefix+"/sources", strings.NewReader(body))
		request.Header.Set("X-Rh-Identity", apitest.Header("org1"))
		recorder := httptest.NewRecorder()
		h.ServeHTTP(recorder, request)
		if recorder.Code != 201 && recorder.Code != 400 && recorder.Code != 413 {
			t.Errorf("POST /sources %s = %d %s", body, recorder.Code, recorder.Body)
		}
	})
}

// TestManyWords: a search for as many words as a query holds is answered, and not only after PostgreSQL has planned it.
func TestManyWords(t *testing.T) {
	t.Parallel()

	c, _ := serve(t)
	for _, name := range []string{"n", "Nx"} {
		c.Want(t, 201, "POST", "/sources", fmt.Sprintf(`{"name": "%s", "source_type_id": "1"}`, name))
	}
	many := strings.Repeat("n,", 4000)
	if diff := cmp.Diff([]string{"Nx"}, names(c.Want(t, 200, "GET", "/sources?name="+many+"X", ""))); diff != "" {
		t.Errorf("sources with n and X in their names (-want +got):\n%s", diff)
	}
}

// TestLongQueryPages: a query that is taken leads to pages that are, though links write it with more escapes.
func TestLongQueryPages(t *testing.T) {
	t.Parallel()

	c, _ := serve(t)
	for range 2 {
		c.Want(t, 201, "POST", "/sources", `{"name": "é", "source_type_id": "1"}`)
	}
	query := "limit=1" + strings.Repeat("&filter[name]=é", 500)
	next, _ := c.Want(t, 200, "GET", "/sources?"+query, "").Body["links"].(map[string]any)["next"].(string)
	if got := c.Want(t, 200, "GET", strings.TrimPrefix(next, httpapi.Prefix), ""); len(names(got)) != 1 {
		t.Errorf("the next page holds %v, want one source", names(got))
	}
}
