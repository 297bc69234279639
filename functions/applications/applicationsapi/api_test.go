package applicationsapi_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/insights-onprem/cost-sources/functions/applications/applicationsapi"
	"github.com/insights-onprem/cost-sources/shared/events"
	"github.com/insights-onprem/cost-sources/shared/httpapi/apitest"
	"github.com/insights-onprem/cost-sources/shared/sources"
	"github.com/insights-onprem/cost-sources/shared/store"
	"github.com/insights-onprem/cost-sources/shared/store/storetest"
)

func serve(t *testing.T) (apitest.Client, *store.Store) {
	t.Helper()
	db := storetest.New(t, "applications")
	return apitest.Serve(t, applicationsapi.New(applicationsapi.Config{Identity: apitest.Identity}, db, func(sources.Source) {}), "org1"), db
}

// addSource stores a source of an organization without an application; cluster may be empty.
func addSource(t *testing.T, db *store.Store, org, cluster string) int64 {
	t.Helper()
	draft := sources.Source{OrgID: org, Name: "a"}
	if cluster != "" {
		draft.SetCluster(cluster)
	}
	var id int64
	err := db.For(org).InTx(t.Context(), func(tx *store.Store) error {
		src, err := tx.CreateSource(t.Context(), draft)
		if err != nil {
			return err
		}
		id = src.ID
		return tx.SaveSource(t.Context(), &src, events.SourceCreated)
	})
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func TestCreate(t *testing.T) {
	t.Parallel()

	c, db := serve(t)
	id := addSource(t, db, "org1", "")
	body := fmt.Sprintf(`{"source_id": "%d", "application_type_id": "0", "extra": {"bucket": "koku-bucket", "cluster_id": "c"}}`, id)
	got := c.Want(t, 201, "POST", "/applications/", body)
	want := map[string]any{"id": "1", "source_id": fmt.Sprint(id), "application_type_id": "0",
		"extra": map[string]any{"bucket": "koku-bucket", "cluster_id": "c"}}
	for field, value := range want {
		if diff := cmp.Diff(value, got.Body[field]); diff != "" {
			t.Errorf("%s (-want +got):\n%s", field, diff)
		}
	}
	if src, err := db.For("org1").Source(t.Context(), "org1", sources.Ref{ID: id}); err != nil || src.ClusterID != "c" || src.State != sources.Pending {
		t.Errorf("the source is %+v, %v; want it to have the cluster, and pending", src, err)
	}

	again := c.Want(t, 201, "POST", "/applications", fmt.Sprintf(`{"source_id": %d, "extra": {"more": [1]}}`, id))
	if diff := cmp.Diff(map[string]any{"bucket": "koku-bucket", "cluster_id": "c", "more": []any{1.0}}, again.Body["extra"]); diff != "" || again.ID() != "1" {
		t.Errorf("POST again = id %s, extra (-want +got):\n%s", again.ID(), diff)
	}
}

func TestCreateRefuses(t *testing.T) {
	t.Parallel()

	c, db := serve(t)
	id := addSource(t, db, "org1", "c")
	foreign := addSource(t, db, "org2", "")
	tests := []struct{ name, body, want string }{
		{"no source", `{}`, "400 source_id: This field is required."},
		{"source by UUID", `{"source_id": "7595e2cf-9ba8-4a55-8677-ccccd7b76f9b"}`, "400 source_id: A valid source id is required."},
		{"null source", `{"source_id": null}`, "400 source_id: This field may not be null."},
		{"unknown source", `{"source_id": "23"}`, "404 <nil>: Source 23 not found"},
		{"source beyond all ids", `{"source_id": 99999999999999999999}`, "404 <nil>: Source 99999999999999999999 not found"},
		{"extra before a source beyond all ids", `{"source_id": 99999999999999999999, "extra": "x"}`, `400 extra: Expected a dictionary of items but got type "str".`},
		{"another organization's source", fmt.Sprintf(`{"source_id": %d}`, foreign), fmt.Sprintf("404 <nil>: Source %d not found", foreign)},
		{"another type", `{"source_id": "1", "application_type_id": 2}`, "400 application_type_id: Only application_type_id '0' (cost-management) is supported"},
		{"extra is no object", fmt.Sprintf(`{"source_id": %d, "extra": "x"}`, id), `400 extra: Expected a dictionary of items but got type "str".`},
		{"another cluster", fmt.Sprintf(`{"source_id": %d, "extra": {"cluster_id": "d"}}`, id), "400 extra: The source belongs to another cluster."},
		{"cluster is no text", fmt.Sprintf(`{"source_id": %d, "extra": {"cluster_id": 1}}`, id), "400 extra: Not a valid string."},
		{"NUL", fmt.Sprintf(`{"source_id": %d, "extra": {"a": {"b\u0000": 1}}}`, id), "400 extra: Null characters are not allowed."},
		{"too large", fmt.Sprintf(`{"source_id": %d, "extra": {"a": "%s"}}`, id, strings.Repeat("x", 17<<10)), "400 extra: Ensure this field has no more than 16384 bytes."},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := c.Do(t, "POST", "/applications", tt.body).Problem(); got != tt.want {
				t.Errorf("POST /applications %.100s\n got %s\nwant %s", tt.body, got, tt.want)
			}
		})
	}
	c.Want(t, 404, "GET", "/applications/1", "")
}

func TestClusterOfAnotherSource(t *testing.T) {
	t.Parallel()

	c, db := serve(t)
	addSource(t, db, "org1", "c")
	id := addSource(t, db, "org1", "")
	body := fmt.Sprintf(`{"source_id": %d, "extra": {"cluster_id": "c"}}`, id)
	if got, want := c.Do(t, "POST", "/applications", body).Problem(), "400 source.duplicate: "+sources.Duplicate; got != want {
		t.Errorf("POST = %s, want %s", got, want)
	}
}

func TestChangeAndDelete(t *testing.T) {
	t.Parallel()

	c, db := serve(t)
	id := addSource(t, db, "org1", "")
	c.Want(t, 201, "POST", "/applications", fmt.Sprintf(`{"source_id": %d, "extra": {"a": {"x": 1}, "b": 1}}`, id))
	got := c.Want(t, 200, "PATCH", "/applications/1/", `{"extra": {"a": {"y": 2}, "cluster_id": "c"}}`)
	if diff := cmp.Diff(map[string]any{"a": map[string]any{"y": 2.0}, "b": 1.0, "cluster_id": "c"}, got.Body["extra"]); diff != "" {
		t.Errorf("PATCH merges one level deep (-want +got):\n%s", diff)
	}
	c.Want(t, 400, "PATCH", "/applications/1", `{"extra": {"cluster_id": "d"}}`)
	c.Want(t, 400, "PATCH", "/applications/1", `{"extra": null}`)
	c.Want(t, 204, "DELETE", "/applications/1", "")
	for _, method := range []string{"GET", "PATCH", "DELETE"} {
		if got, want := c.Do(t, method, "/applications/1", body(method)).Problem(), "404 <nil>: No Applications matches the given query."; got != want {
			t.Errorf("%s of a deleted application = %s, want %s", method, got, want)
		}
	}
	src, err := db.For("org1").Source(t.Context(), "org1", sources.Ref{ID: id})
	if err != nil || src.State != sources.Waiting || src.ClusterID != "c" || !src.ROSDue() {
		t.Errorf("the source is %+v, %v; want it waiting, its cluster kept, its ROS data due", src, err)
	}
	made := c.Want(t, 201, "POST", "/applications", fmt.Sprintf(`{"source_id": %d}`, id))
	if diff := cmp.Diff(map[string]any{"cluster_id": "c"}, made.Body["extra"]); diff != "" || made.ID() == "1" {
		t.Errorf("made anew with id %s, want another one; extra (-want +got):\n%s", made.ID(), diff)
	}
	if src, err = db.For("org1").Source(t.Context(), "org1", sources.Ref{ID: id}); err != nil || src.State != sources.Pending || src.ROSDue() || src.ROSCleanedAt != nil {
		t.Errorf("the source is %+v, %v; want it pending", src, err)
	}
}

func body(method string) string {
	if method == "PATCH" {
		return "{}"
	}
	return ""
}

func TestListAndStranger(t *testing.T) {
	t.Parallel()

	c, db := serve(t)
	first, second := addSource(t, db, "org1", "c1"), addSource(t, db, "org1", "c2")
	for _, id := range []int64{second, first} {
		c.Want(t, 201, "POST", "/applications", fmt.Sprintf(`{"source_id": %d}`, id))
	}
	other := apitest.Client{URL: c.URL, Org: "org2"}
	for query, want := range map[string]string{
		"":                                   "[2 1]",
		"?order_by=-created_timestamp":       "[1 2]",
		"?source_id=1":                       "[1]",
		"?filter[source_id]=1,2&limit=1":     "[2]",
		"?filter%5Bsource_id%5D%5Beq%5D=9":   "[]",
		"?application_type_id=0&source_id=2": "[2]",
		"?application_type_id=1":             "[]",
		"?source_id=99999999999999999999,1":  "[1]",
		"?source_id=2147483648":              "[]",
	} {
		sourceIDs := []string{}
		for _, row := range c.Want(t, 200, "GET", "/applications"+query, "").Body["data"].([]any) {
			sourceIDs = append(sourceIDs, row.(map[string]any)["source_id"].(string))
		}
		if got := fmt.Sprint(sourceIDs); got != want {
			t.Errorf("GET /applications%s = of sources %s, want %s", query, got, want)
		}
	}
	c.Want(t, 400, "GET", "/applications?filter[source_id]=x", "")
	for _, method := range []string{"GET", "PATCH", "DELETE"} {
		other.Want(t, 404, method, "/applications/1", body(method))
	}
	if got := other.Want(t, 200, "GET", "/applications", "").Body["meta"].(map[string]any)["count"]; got != 0.0 {
		t.Errorf("another organization counts %v applications", got)
	}
	nobody := apitest.Client{URL: c.URL}
	nobody.Want(t, 401, "GET", "/applications", "")
	for _, query := range []string{"filter[name]=/insights/platform/cost-management", "filter%5Bname%5D=%2Finsights%2Fplatform%2Fcost-management", "filter[name][eq]=/insights/platform/cost-management"} {
		got := nobody.Want(t, 200, "GET", "/application_types?"+query, "")
		if diff := cmp.Diff([]any{map[string]any{"id": "0", "name": "/insights/platform/cost-management"}}, got.Body["data"]); diff != "" {
			t.Errorf("GET /application_types?%s (-want +got):\n%s", query, diff)
		}
	}
	nobody.Want(t, 200, "GET", "/application_types/0/", "")
	nobody.Want(t, 404, "GET", "/application_types/1", "")
}

func TestIdempotencyKey(t *testing.T) {
	t.Parallel()

	c, db := serve(t)
	id := addSource(t, db, "org1", "")
	c.Key = "key"
	request := fmt.Sprintf(`{"source_id": %d, "extra": {"cluster_id": "c"}}`, id)
	made := c.Want(t, 201, "POST", "/applications", request)
	generation := func() int64 {
		src, err := db.For("org1").Source(t.Context(), "org1", sources.Ref{ID: id})
		if err != nil {
			t.Fatal(err)
		}
		return src.Generation
	}
	before := generation()
	if again := c.Want(t, 201, "POST", "/applications/", request); again.Text != made.Text || generation() != before {
		t.Errorf("the same request again is answered %s and changes the source, first it was %s", again.Text, made.Text)
	}
	c.Want(t, 422, "POST", "/applications", `{"source_id": 1}`+" ")

	c.Key = "another key"
	addSource(t, db, "org1", "taken")
	other := addSource(t, db, "org1", "")
	request = fmt.Sprintf(`{"source_id": %d, "extra": {"cluster_id": "taken"}}`, other)
	for range 2 {
		if got, want := c.Do(t, "POST", "/applications", request).Problem(), "400 source.duplicate: "+sources.Duplicate; got != want {
			t.Errorf("a cluster that another source has = %s, want %s", got, want)
		}
	}
	if src, err := db.For("org1").Source(t.Context(), "org1", sources.Ref{ID: other}); err != nil || src.HasApplication() || src.ClusterID != "" {
		t.Errorf("what was refused is there: %+v, %v", src, err)
	}
}

// TestExtraAsItCame: extra is as large as it was sent, whatever characters are in it, and is given back so.
func TestExtraAsItCame(t *testing.T) {
	t.Parallel()

	c, db := serve(t)
	id := addSource(t, db, "org1", "a<b")
	text := strings.Repeat("<", 4<<10) + strings.Repeat("\u2028", 3<<10)
	c.Want(t, 201, "POST", "/applications", fmt.Sprintf(`{"source_id": %d, "extra": {"a": "%s"}}`, id, text))
	for _, method := range []string{"PATCH", "GET"} {
		if got := c.Want(t, 200, method, "/applications/1", body(method)); !strings.Contains(got.Text, `"extra":{"a":"`+text+`","cluster_id":"a<b"}`) {
			t.Errorf("%s answers %.100s", method, got.Text)
		}
	}
	tooLarge := fmt.Sprintf(`{"extra": {"b": "%s"}}`, strings.Repeat("<", 4<<10))
	if got, want := c.Do(t, "PATCH", "/applications/1", tooLarge).Problem(), "400 extra: Ensure this field has no more than 16384 bytes."; got != want {
		t.Errorf("PATCH = %s, want %s", got, want)
	}
}
