package contract_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// apart: two organizations with one user name, one account number, one cluster and one source name never
// see, change, count or block each other.
func apart(t *testing.T, s site) {
	const mine, theirs = "apart1", "apart2"
	x, y := s.addThing(t, mine, "same", "same-cluster"), s.addThing(t, theirs, "same", "same-cluster")
	if x.id == y.id || x.uuid == y.uuid || x.app == y.app {
		t.Fatalf("two organizations have %+v and %+v", x, y)
	}
	s.linked(t, theirs, y)
	before := s.seen(t, theirs, y)
	s.stranger(t, mine, y)
	if diff := cmp.Diff(before, s.seen(t, theirs, y)); diff != "" {
		t.Errorf("another organization's requests changed (-before +after):\n%s", diff)
	}
	s.alone(t, mine, x, y)
	s.alone(t, theirs, y, x)

	// What one does with its own leaves the other's as it was, and its cluster free or taken for itself only.
	s.want(t, 400, call{method: "POST", path: "/sources", org: mine, body: `{"name": "same", "source_type_id": "1", "source_ref": "same-cluster"}`})
	s.want(t, 204, call{method: "DELETE", path: x.at("/sources/{id}"), org: mine})
	s.want(t, 400, call{method: "POST", path: "/sources", org: theirs, body: `{"name": "same", "source_type_id": "1", "source_ref": "same-cluster"}`})
	again := s.addThing(t, mine, "same", "same-cluster")
	if again.id == x.id || again.app == x.app || again.uuid == x.uuid {
		t.Errorf("made again, %+v has an id of %+v", again, x)
	}
	if diff := cmp.Diff(before, s.seen(t, theirs, y)); diff != "" {
		t.Errorf("another organization's delete changed (-before +after):\n%s", diff)
	}
	s.linked(t, mine, again)
	s.linked(t, theirs, y)
}

// linked waits until a thing has its provider, where the site makes any.
func (s site) linked(t *testing.T, org string, x thing) {
	t.Helper()
	if !s.provisions {
		return
	}
	await(t, func() string {
		got := s.want(t, 200, call{method: "GET", path: x.at("/sources/{id}"), org: org})
		if got.Body["provider_linked"] == true && got.Body["availability_status"] == "available" {
			return ""
		}
		return got.Text
	})
}

// seen is all that an organization sees of a thing of its own.
func (s site) seen(t *testing.T, org string, x thing) map[string]string {
	t.Helper()
	seen := map[string]string{}
	for _, path := range []string{"/sources/{id}", "/sources/{uuid}/stats", "/applications/{app}", "/sources", "/applications", "/sources?uuid={uuid}"} {
		seen[path] = s.want(t, 200, call{method: "GET", path: x.at(path), org: org}).Text
	}
	return seen
}

// stranger: for an organization, another one's things are as if they were not there, by whatever name.
func (s site) stranger(t *testing.T, org string, x thing) {
	t.Helper()
	bare := strings.ToUpper(strings.ReplaceAll(x.uuid, "-", ""))
	for _, path := range []string{"/sources/{id}", "/sources/{uuid}", "/sources/" + bare, "/applications/{app}"} {
		for _, c := range []call{
			{method: "GET"}, {method: "HEAD"}, {method: "DELETE"}, {method: "PATCH", body: "{}"},
			{method: "PATCH", body: `{"name": "mine", "paused": true, "source_ref": "mine", "extra": {"bucket": "mine"}}`},
		} {
			c.path, c.org = x.at(path), org
			s.want(t, 404, c)
		}
	}
	for _, path := range []string{"/sources/{id}/stats", "/sources/{uuid}/stats"} {
		s.want(t, 404, call{method: "GET", path: x.at(path), org: org})
	}
	for _, body := range []string{`{"source_id": {id}}`, `{"source_id": "{id}", "extra": {"cluster_id": "same-cluster", "bucket": "mine"}}`} {
		s.refused(t, x.at("404 <nil>: Source {id} not found"), call{method: "POST", path: "/applications", org: org, body: x.at(body)})
	}
	for _, path := range []string{"/sources?uuid={uuid}", "/sources?filter[uuid]={uuid}", "/applications?source_id={id}", "/applications?filter[source_id][eq]={id}"} {
		if got := s.want(t, 200, call{method: "GET", path: x.at(path), org: org}); count(got) != 0 || len(rows(got, "id")) != 0 {
			t.Errorf("%s sees %s", org, got.Text)
		}
	}
}

// alone: the lists of an organization, however they are asked, hold its own thing and count nothing else.
func (s site) alone(t *testing.T, org string, own, other thing) {
	t.Helper()
	for _, query := range []string{
		"", "name=same", "filter[name]=same", "filter[source_ref]=same-cluster", "source_type_id=1", "paused=false", "type=OCP",
		fmt.Sprintf("uuid=%s,%s", own.uuid, other.uuid), "order_by=-created_timestamp&limit=1000",
	} {
		if got := s.want(t, 200, call{method: "GET", path: "/sources?" + query, org: org}); count(got) != 1 || !slices.Equal(rows(got, "id"), []string{own.id}) {
			t.Errorf("GET /sources?%s of %s = %s, want source %s alone", query, org, got.Text, own.id)
		}
	}
	for _, query := range []string{"", "application_type_id=0", fmt.Sprintf("source_id=%s,%s", own.id, other.id)} {
		if got := s.want(t, 200, call{method: "GET", path: "/applications?" + query, org: org}); count(got) != 1 || !slices.Equal(rows(got, "id"), []string{own.app}) {
			t.Errorf("GET /applications?%s of %s = %s, want application %s alone", query, org, got.Text, own.app)
		}
	}
}
