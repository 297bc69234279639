package contract_test

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/insights-onprem/cost-sources/shared/httpapi/apitest"
)

// What every answer shows of a source and of an application, sorted.
var (
	sourceMembers = []string{"active", "additional_context", "authentication", "availability_status", "billing_source", "cost_models",
		"created_timestamp", "current_month_data", "has_data", "id", "infrastructure", "last_payload_received_at", "last_polling_time",
		"name", "paused", "previous_month_data", "provider_linked", "provisioning", "source_ref", "source_type", "source_type_id", "status",
		"updated_timestamp", "uuid"}
	applicationMembers = []string{"application_type_id", "created_timestamp", "extra", "id", "source_id", "updated_timestamp"}
)

// timeForm is RFC 3339 in UTC with six fraction digits, which sorts as text.
var timeForm = regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$`)

// changing are the members that the provisioner changes on its own time.
var changing = []string{"active", "availability_status", "provider_linked", "provisioning"}

// steady is a source without what changes by itself.
func steady(a apitest.Answer) map[string]any {
	kept := map[string]any{}
	for name, value := range a.Body {
		if !slices.Contains(changing, name) {
			kept[name] = value
		}
	}
	return kept
}

// views: POST, PATCH, GET and the list show one and the same of a source, and so of an application.
func views(t *testing.T, s site) {
	const org = "views1"
	for i, body := range []string{
		`{"name": "  untrimmed\t", "source_type_id": 3}`,
		`{"name": "a", "source_type_id": "1", "source_ref": " c "}`,
		`{"name": "` + strings.Repeat("\U0001F600", 256) + `", "source_type": "oCp", "source_ref": "` + strings.Repeat("é", 256) + `"}`,
		`{"name": "<a>&'\"\\\u2028é", "source_type_id": 1, "source_type": "OCP", "authentication": {"credentials": {"cluster_id": "x", "token": "hush", "password": "hush", "client_secret": "hush"}}}`,
		`{"name": "b", "source_type_id": "1", "paused": true, "billing_source": {"a": [1.50, null, {"b": "é"}]}, "unknown": {"id": 9}, "id": "77", "uuid": "x"}`,
	} {
		made := s.want(t, 201, call{method: "POST", path: "/sources", org: org, body: body})
		path := "/sources/" + made.ID()
		s.sameView(t, fmt.Sprintf("POST %d", i), made, call{method: "GET", path: path, org: org})
		changed := s.want(t, 200, call{method: "PATCH", path: path + "/", org: org, body: `{}`})
		s.sameView(t, fmt.Sprintf("PATCH %d", i), changed, call{method: "GET", path: path + "/", org: org})
		if changed.Body["updated_timestamp"].(string) <= made.Body["updated_timestamp"].(string) || changed.Body["created_timestamp"] != made.Body["created_timestamp"] {
			t.Errorf("PATCH {} made %s of %s, want a later updated_timestamp", changed.Text, made.Text)
		}
		a, b := steady(made), steady(changed)
		delete(a, "updated_timestamp")
		delete(b, "updated_timestamp")
		if diff := cmp.Diff(a, b); diff != "" {
			t.Errorf("PATCH {} changed (-before +after):\n%s", diff)
		}
		if strings.Contains(made.Text, "hush") || made.ID() == "77" {
			t.Errorf("POST %s = %s", body, made.Text)
		}
	}
	s.untrimmed(t, org)
	s.applicationViews(t)
}

// sameView: an answer holds all of a source, in the right forms, and is what read answers with.
func (s site) sameView(t *testing.T, what string, got apitest.Answer, read call) {
	t.Helper()
	if diff := cmp.Diff(sourceMembers, members(got.Body)); diff != "" {
		t.Errorf("%s: members (-want +got):\n%s", what, diff)
	}
	provisioning, _ := got.Body["provisioning"].(map[string]any)
	for _, at := range []any{got.Body["created_timestamp"], got.Body["updated_timestamp"], provisioning["updated_timestamp"]} {
		if text, _ := at.(string); !timeForm.MatchString(text) {
			t.Errorf("%s: a time is %v", what, at)
		}
	}
	if diff := cmp.Diff(steady(got), steady(s.want(t, 200, read))); diff != "" {
		t.Errorf("%s answered something else than GET (-answered +read):\n%s", what, diff)
	}
	list := s.want(t, 200, call{method: "GET", path: "/sources?uuid=" + got.Body["uuid"].(string), org: read.org})
	data, _ := list.Body["data"].([]any)
	if len(data) != 1 {
		t.Fatalf("%s: a list by UUID has %d sources", what, len(data))
	}
	row, _ := data[0].(map[string]any)
	if diff := cmp.Diff(steady(got), steady(apitest.Answer{Body: row})); diff != "" {
		t.Errorf("%s answered something else than the list (-answered +listed):\n%s", what, diff)
	}
}

// untrimmed: names and cluster ids stay as they came, and are found by exactly that.
func (s site) untrimmed(t *testing.T, org string) {
	t.Helper()
	for query, want := range map[string]int{
		"filter[name]=%20%20untrimmed%09": 1, "filter[name]=untrimmed": 0, "filter[source_ref]=%20c%20": 1, "filter[source_ref]=c": 0,
		"filter[name]=" + strings.Repeat("%F0%9F%98%80", 256): 1, "filter[name]=%3Ca%3E%26%27%22%5C%E2%80%A8%C3%A9": 1,
	} {
		if got := count(s.want(t, 200, call{method: "GET", path: "/sources?" + query, org: org})); got != want {
			t.Errorf("GET /sources?%.60s counts %d, want %d", query, got, want)
		}
	}
}

func (s site) applicationViews(t *testing.T) {
	t.Helper()
	const org = "views2"
	id := s.add(t, org, "s", "").ID()
	read := func(app string) call { return call{method: "GET", path: "/applications/" + app, org: org} }
	same := func(what string, got apitest.Answer) {
		t.Helper()
		if diff := cmp.Diff(applicationMembers, members(got.Body)); diff != "" {
			t.Errorf("%s: members (-want +got):\n%s", what, diff)
		}
		for _, at := range []any{got.Body["created_timestamp"], got.Body["updated_timestamp"]} {
			if text, _ := at.(string); !timeForm.MatchString(text) {
				t.Errorf("%s: a time is %v", what, at)
			}
		}
		if diff := cmp.Diff(got.Body, s.want(t, 200, read(got.ID())).Body); diff != "" {
			t.Errorf("%s answered something else than GET (-answered +read):\n%s", what, diff)
		}
		list := s.want(t, 200, call{method: "GET", path: "/applications?source_id=" + id, org: org})
		if diff := cmp.Diff([]any{got.Body}, list.Body["data"], cmp.Transformer("object", func(m map[string]any) any { return fmt.Sprint(m) })); diff != "" {
			t.Errorf("%s answered something else than the list (-answered +listed):\n%s", what, diff)
		}
	}
	made := s.want(t, 201, call{method: "POST", path: "/applications/", org: org, body: fmt.Sprintf(`{"source_id": %s, "application_type_id": 0, "extra": {"bucket": "b", "deep": {"a": 1}}}`, id)})
	same("POST", made)
	again := s.want(t, 201, call{method: "POST", path: "/applications", org: org, body: fmt.Sprintf(`{"source_id": %q, "application_type_id": "0", "extra": {"cluster_id": "c", "deep": {"b": 2}}}`, id)})
	same("POST again", again)
	if want := map[string]any{"bucket": "b", "cluster_id": "c", "deep": map[string]any{"b": 2.0}}; again.ID() != made.ID() || !cmp.Equal(again.Body["extra"], any(want)) {
		t.Errorf("POST again = %s, want application %s with extra merged one level deep", again.Text, made.ID())
	}
	changed := s.want(t, 200, call{method: "PATCH", path: "/applications/" + made.ID(), org: org, body: `{"extra": {"bucket": null}, "source_id": "1", "application_type_id": "9"}`})
	same("PATCH", changed)
	moved := s.want(t, 200, call{method: "PATCH", path: "/sources/" + id, org: org, body: `{"source_ref": "moved"}`})
	got := s.want(t, 200, read(made.ID()))
	if extra, _ := got.Body["extra"].(map[string]any); moved.Body["source_ref"] != "moved" || extra["cluster_id"] != "moved" {
		t.Errorf("after the source has moved extra is %v, want the source's cluster", extra)
	}
}
