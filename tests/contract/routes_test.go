package contract_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
)

// theRoutes are the rows of the contract's table of paths. {id}, {uuid} and {app} stand for things that
// are there.
var theRoutes = []struct {
	path  string
	allow []string
	open  bool // needs no identity
}{
	{"/sources", []string{"GET", "HEAD", "POST"}, false},
	{"/sources/{id}", []string{"DELETE", "GET", "HEAD", "PATCH"}, false},
	{"/sources/{uuid}", []string{"DELETE", "GET", "HEAD", "PATCH"}, false},
	{"/sources/{id}/stats", []string{"GET", "HEAD"}, false},
	{"/sources/{uuid}/stats", []string{"GET", "HEAD"}, false},
	{"/source_types", []string{"GET", "HEAD"}, true},
	{"/source_types/1", []string{"GET", "HEAD"}, true},
	{"/applications", []string{"GET", "HEAD", "POST"}, false},
	{"/applications/{app}", []string{"DELETE", "GET", "HEAD", "PATCH"}, false},
	{"/application_types", []string{"GET", "HEAD"}, true},
	{"/application_types/0", []string{"GET", "HEAD"}, true},
}

// theMethods are asked of every route; some are no method at all.
var theMethods = []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "MAKE"}

// A thing is a source with its application.
type thing struct{ id, uuid, app string }

// addThing makes a source of an organization with a cluster, and thereby its application.
func (s site) addThing(t *testing.T, org, name, cluster string) thing {
	t.Helper()
	made := s.add(t, org, name, fmt.Sprintf(`, "source_ref": %q`, cluster))
	apps := rows(s.want(t, 200, call{method: "GET", path: "/applications?source_id=" + made.ID(), org: org}), "id")
	if len(apps) != 1 {
		t.Fatalf("source %s has the applications %v, want one", made.ID(), apps)
	}
	return thing{made.ID(), fmt.Sprint(made.Body["uuid"]), apps[0]}
}

// at puts the thing into a path.
func (x thing) at(path string) string {
	return strings.NewReplacer("{id}", x.id, "{uuid}", x.uuid, "{app}", x.app).Replace(path)
}

// routes: every path, with and without a slash at its end, answers the methods that it has, and any other
// with 405 and Allow; to nobody it says 401 first.
func routes(t *testing.T, s site) {
	x := s.addThing(t, "routes1", "s", "c")
	for _, route := range theRoutes {
		for _, slash := range []string{"", "/"} {
			for _, method := range theMethods {
				c := call{method: method, path: x.at(route.path) + slash, org: "routes1"}
				if slices.Contains(route.allow, method) {
					s.answers(t, c)
				} else {
					s.disallows(t, c, route.allow)
				}
				if c.org = ""; !route.open {
					s.want(t, 401, c)
				} else if !slices.Contains(route.allow, method) {
					s.disallows(t, c, route.allow)
				}
			}
		}
	}
	for range 2 { // the clusters of what was deleted are free again
		s.deletes(t, "routes1")
	}
}

// answers: a call of a method that there is comes to its handler. What it deletes has its own test.
func (s site) answers(t *testing.T, c call) {
	t.Helper()
	switch c.method {
	case "GET":
		s.want(t, 200, c)
	case "HEAD":
		s.isHeadOf(t, c)
	case "POST":
		c.body = "[]"
		s.refused(t, "400 <nil>: Invalid data. Expected a dictionary, but got list.", c)
	case "PATCH":
		c.body = "{}"
		s.want(t, 200, c)
	}
}

// isHeadOf: HEAD is answered as GET is, but for the body.
func (s site) isHeadOf(t *testing.T, c call) {
	t.Helper()
	head := s.want(t, 200, c)
	c.method = "GET"
	get := s.want(t, 200, c)
	// What is provisioned in between may change a length.
	if a, b := head.Header.Get("Content-Length"), get.Header.Get("Content-Length"); a != b && !s.provisions {
		t.Errorf("HEAD %s has Content-Length %s, GET %s", c.path, a, b)
	}
}

func (s site) disallows(t *testing.T, c call, allow []string) {
	t.Helper()
	answer := s.do(t, c)
	if answer.Status != http.StatusMethodNotAllowed {
		t.Errorf("%s = %d %s, want 405", c, answer.Status, answer.Text)
		return
	}
	got := strings.Split(strings.ReplaceAll(answer.Header.Get("Allow"), " ", ""), ",")
	slices.Sort(got)
	if !slices.Equal(got, allow) {
		t.Errorf("%s has Allow %v, want %v", c, got, allow)
	}
}

// deletes: whatever a thing is called by, it is gone with the first DELETE.
func (s site) deletes(t *testing.T, org string) {
	t.Helper()
	for i, path := range []string{"/applications/{app}", "/applications/{app}/", "/sources/{id}", "/sources/{id}/", "/sources/{uuid}", "/sources/{uuid}/"} {
		x := s.addThing(t, org, "s", fmt.Sprintf("deleted-%d", i))
		s.want(t, 204, call{method: "DELETE", path: x.at(path), org: org})
		for _, method := range []string{"GET", "HEAD", "DELETE"} {
			s.want(t, 404, call{method: method, path: x.at(path), org: org})
		}
		s.want(t, 404, call{method: "PATCH", path: x.at(path), org: org, body: "{}"})
		s.want(t, 404, call{method: "GET", path: x.at("/applications/{app}"), org: org})
		if strings.HasPrefix(path, "/applications") { // the source stays, and keeps its cluster until it goes too
			s.want(t, 204, call{method: "DELETE", path: x.at("/sources/{uuid}"), org: org})
		}
	}
}

// unknownPaths are 404 for anybody, and nothing is redirected.
func unknownPaths(t *testing.T, s site) {
	x := s.addThing(t, "paths1", "s", "c")
	for _, path := range []string{
		"", "/", "/elsewhere", "/sourcesX", "/Sources", "/source", "/source_type", "/status", "/openapi.json",
		"/sources/{id}/stats/more", "/sources/{id}/more", "/sources/stats/{id}/x", "/source_types/1/more", "/application_types/0/more",
		"/applications/{app}/more", "/applicationsX", "/applications/{app}/stats",
		"//sources", "/sources//", "/sources//{id}", "/sources/{id}//", "/sources/{id}//stats", "//applications", "/applications//",
		"/applications//{app}", "/source_types//", "/application_types//1", "/./sources", "/sources/./{id}", "/x/../sources",
		"/applications/../applications", "/sources/{id}/%2e%2e/{id}",
	} {
		for _, org := range []string{"", "paths1"} {
			for _, method := range []string{"GET", "HEAD", "POST", "DELETE"} {
				c := call{method: method, path: x.at(path), org: org}
				if answer := s.do(t, c); answer.Status != 404 {
					t.Errorf("%s for the organization %q = %d %s, want 404", c, org, answer.Status, answer.Text)
				}
			}
		}
	}
	s.want(t, 200, call{method: "GET", path: x.at("/sources/{id}"), org: "paths1"})
	s.outsidePrefix(t)
}

// outsidePrefix: the probes are at the root of each function, and nothing else of the API is.
func (s site) outsidePrefix(t *testing.T) {
	t.Helper()
	for _, root := range []string{s.sources, s.applications} {
		for path, status := range map[string]int{
			"/healthz": 200, "/readyz": 200, "/sources": 404, "/api/cost-management/v2/sources": 404, "/api/cost-management/v1": 404,
			"/api/cost-management": 404, "//api/cost-management/v1/sources": 404, "/api//cost-management/v1/sources": 404,
			"/API/cost-management/v1/sources": 404,
		} {
			response, err := client.Get(root + path)
			if err != nil {
				t.Fatal(err)
			}
			response.Body.Close()
			if response.StatusCode != status {
				t.Errorf("GET %s = %d, want %d", path, response.StatusCode, status)
			}
		}
	}
}

// ids: what names a source, and what an application.
func ids(t *testing.T, s site) {
	const noSource, noApp = "404 <nil>: No Sources matches the given query.", "404 <nil>: No Applications matches the given query."
	x := s.addThing(t, "ids1", "s", "c")
	bare := strings.ReplaceAll(x.uuid, "-", "")
	for _, id := range []string{x.id, x.uuid, strings.ToUpper(x.uuid), bare, strings.ToUpper(bare)} {
		for _, path := range []string{"/sources/" + id, "/sources/" + id + "/", "/sources/" + id + "/stats", "/sources/" + id + "/stats/"} {
			s.want(t, 200, call{method: "GET", path: path, org: "ids1"})
		}
		if got := s.want(t, 200, call{method: "PATCH", path: "/sources/" + id, org: "ids1", body: "{}"}); got.ID() != x.id {
			t.Errorf("PATCH of %s changed source %s, want %s", id, got.ID(), x.id)
		}
	}
	strange := []string{
		"0", "-" + x.id, "+" + x.id, x.id + ".0", x.id + "e0", "0x" + x.id, "2147483647", "2147483648", "9223372036854775808", "99999999999999999999999",
		"x", "%00", x.id + "%00", "%20" + x.id, x.id + "%20", "%0a", "%ff", "%EF%BC%91", "%D9%A1", "null", "*", "'", "%27%20OR%201=1", x.id + "," + x.id,
		"{" + x.uuid + "}", "urn:uuid:" + x.uuid, x.uuid[1:], x.uuid + "0", strings.Replace(x.uuid, "-", "_", 1),
		"00000000-0000-0000-0000-000000000000", strings.Repeat("9", 5000), x.id + "%2fstats", "%2e%2e",
	}
	for _, id := range strange {
		for _, c := range []call{
			{method: "GET", path: "/sources/" + id}, {method: "GET", path: "/sources/" + id + "/"}, {method: "GET", path: "/sources/" + id + "/stats"},
			{method: "PATCH", path: "/sources/" + id, body: "{}"}, {method: "DELETE", path: "/sources/" + id},
		} {
			c.org = "ids1"
			if answer := s.do(t, c); id != "%2e%2e" && answer.Problem() != noSource && !strings.Contains(id, "%2f") || answer.Status != 404 {
				t.Errorf("%s = %s, want %s", c, answer.Text, noSource)
			}
		}
	}
	for _, id := range append(strange, x.uuid, bare) {
		if id == "%2e%2e" || strings.Contains(id, "%2f") {
			continue
		}
		s.refused(t, noApp, call{method: "GET", path: "/applications/" + id, org: "ids1"})
		s.refused(t, noApp, call{method: "PATCH", path: "/applications/" + id, org: "ids1", body: "{}"})
		s.refused(t, noApp, call{method: "DELETE", path: "/applications/" + id, org: "ids1"})
	}
	for path, status := range map[string]int{
		"/source_types/1": 200, "/source_types/3": 200, "/source_types/2": 404, "/source_types/%00": 404, "/source_types/openshift": 404,
		"/application_types/0": 200, "/application_types/1": 404, "/application_types/%00": 404,
	} {
		s.want(t, status, call{method: "GET", path: path})
	}
}
