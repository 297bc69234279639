package contract_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/insights-onprem/cost-sources/shared/httpapi"
	"github.com/insights-onprem/cost-sources/shared/sources"
)

// takers are the routes that take a body, each with a good one.
func (x thing) takers() []call {
	return []call{
		{method: "POST", path: "/sources", body: `{"name": "b", "source_type_id": "1"}`},
		{method: "PATCH", path: "/sources/" + x.id, body: `{"name": "b"}`},
		{method: "POST", path: "/applications", body: fmt.Sprintf(`{"source_id": %s}`, x.id)},
		{method: "PATCH", path: "/applications/" + x.app, body: `{"extra": {"bucket": "b"}}`},
	}
}

// bodies: what kind of body is taken, and how large it may be, on every route that takes one.
func bodies(t *testing.T, s site) {
	const most = 64 << 10
	x := s.addThing(t, "bodies1", "s", "c")
	for _, c := range x.takers() {
		c.org = "bodies1"
		good := c.body
		for kind, ok := range map[string]bool{
			"": true, "application/json": true, "APPLICATION/JSON": true, "application/json; charset=utf-8": true,
			"text/plain": false, "text/json": false, "application/x-www-form-urlencoded": false, "multipart/form-data; boundary=x": false,
			"application/merge-patch+json": false, "application/xml": false, "application/octet-stream": false, "*/*": false, "json": false,
		} {
			c.header = map[string]string{"Content-Type": kind}
			if answer := s.do(t, c); (answer.Status/100 == 2) != ok || !ok && answer.Status != 415 {
				t.Errorf("%s with Content-Type %q = %d %s", c, kind, answer.Status, answer.Text)
			}
		}
		c.header = nil
		c.body = good + strings.Repeat(" ", most-len(good))
		if answer := s.do(t, c); answer.Status/100 != 2 {
			t.Errorf("%s of 64 KiB = %d %s", c.path, answer.Status, answer.Text)
		}
		for _, size := range []int{most + 1, 4 * most} {
			c.body = good + strings.Repeat(" ", size-len(good))
			s.want(t, 413, c)
			s.want(t, 413, call{method: c.method, path: c.path, body: strings.Repeat("x", size), org: c.org})
		}
		s.chunked(t, c, good, 0)
		s.chunked(t, c, good, most)
		s.notObjects(t, c)
		c.org, c.body, c.header = "", "[", map[string]string{"Content-Type": "text/plain"}
		s.want(t, 401, c) // whatever else is wrong
	}
}

// chunked: a client may send in chunks, with spaces after its body; the bounds are the same.
func (s site) chunked(t *testing.T, c call, body string, spaces int) {
	t.Helper()
	whole := struct{ io.Reader }{strings.NewReader(body + strings.Repeat(" ", spaces))} // whose length cannot be seen
	request, err := http.NewRequestWithContext(t.Context(), c.method, s.root(c.path)+httpapi.Prefix+c.path, whole)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("X-Rh-Identity", identity(c.org))
	answer, err := exchange(request)
	if err != nil || (answer.Status/100 == 2) != (spaces == 0) || spaces > 0 && answer.Status != 413 {
		t.Errorf("%s in chunks with %d spaces = %d %s, %v", c.path, spaces, answer.Status, answer.Text, err)
	}
}

// notObjects: the body has to be one JSON object in UTF-8.
func (s site) notObjects(t *testing.T, c call) {
	t.Helper()
	for body, want := range map[string]string{
		"[]": "list", "[{}]": "list", `"a"`: "str", "1": "int", "-1": "int", "1.5": "float", "1e3": "float", "true": "bool", "null": "NoneType",
	} {
		c.body = body
		s.refused(t, "400 <nil>: Invalid data. Expected a dictionary, but got "+want+".", c)
	}
	for _, body := range []string{
		"{", "}", "{}{}", "{} x", `{"name": }`, `{"name": "a",}`, "{'name': 'a'}", `{name: "a"}`, "\x00", "{\"name\": \"\xff\"}", "{\"\xc0\xaf\": 1}", "\xef\xbb\xbf{}",
		`{"name": "` + "\n" + `"}`, `{"name": "\x"}`, " ", "NaN", `{"paused": NaN}`, strings.Repeat("[", 60000),
	} {
		c.body = body
		answer := s.do(t, c)
		if got := answer.Problem(); !strings.HasPrefix(got, "400 <nil>: JSON parse error - ") {
			t.Errorf("%s = %s, want 400 <nil>: JSON parse error - …", c, got)
		}
	}
	c.body, c.header = "", map[string]string{"Content-Type": "application/json"}
	if got := s.do(t, c).Problem(); !strings.HasPrefix(got, "400 <nil>: ") {
		t.Errorf("%s without a body = %s, want 400 without a field", c, got)
	}
}

// A field is one of a body; good is what else the body needs, with a comma behind it.
type field struct {
	call
	name, good string
	blame      string // the source of its errors; empty for its own name
	open       string // what stands before the value, and after it
	close      string
}

func (f field) with(value string) call {
	c := f.call
	open, shut := fmt.Sprintf("{%s%q: ", f.good, f.name), "}"
	if f.open != "" {
		open, shut = "{"+f.good+f.open, f.close+"}"
	}
	c.body = open + value + shut
	return c
}

func (f field) says(detail string) string {
	if f.blame != "" {
		return "400 " + f.blame + ": " + detail
	}
	return "400 " + f.name + ": " + detail
}

// The details that fields have in common.
const (
	isBlank   = "This field may not be blank."
	isNull    = "This field may not be null."
	isMissing = "This field is required."
	noString  = "Not a valid string."
	noBool    = "Must be a valid boolean."
	isTooLong = "Ensure this field has no more than 256 characters."
	isNUL     = "Null characters are not allowed."
)

// texts holds fields of text to all that can be wrong with one.
func (s site) texts(t *testing.T, fields ...field) {
	t.Helper()
	for _, f := range fields {
		s.refused(t, f.says(isBlank), f.with(`""`))
		s.refused(t, f.says(isNull), f.with("null"))
		for _, value := range []string{"1", "0", "-1.5", "true", "false", "[]", `["a"]`, "{}"} {
			s.refused(t, f.says(noString), f.with(value))
		}
		s.refused(t, f.says(isTooLong), f.with(`"`+strings.Repeat("a", 257)+`"`))
		s.refused(t, f.says(isTooLong), f.with(`"`+strings.Repeat("\U0001F600", 257)+`"`))
		for _, value := range []string{`"\u0000"`, `"a\u0000"`, `"\u0000a"`} {
			s.refused(t, f.says(isNUL), f.with(value))
		}
	}
}

// sourceErrors: every field of a source, with every error it can have, in POST and PATCH.
func sourceErrors(t *testing.T, s site) {
	const good = `"name": "a", "source_type_id": "1", `
	x := s.addThing(t, "errors1", "s", "c")
	post, patch := call{method: "POST", path: "/sources", org: "errors1"}, call{method: "PATCH", path: "/sources/" + x.id, org: "errors1"}
	credentials := field{blame: "authentication", open: `"authentication": {"credentials": {"cluster_id": `, close: "}}"}
	for _, c := range []call{post, patch} {
		in := func(f field, good string) field { f.call, f.good = c, good; return f }
		s.texts(t, in(field{name: "name"}, `"source_type_id": "1", `), in(field{name: "source_ref"}, good), in(credentials, good))
		paused := in(field{name: "paused"}, good)
		s.refused(t, paused.says(isNull), paused.with("null"))
		for _, value := range []string{`"true"`, `""`, "0", "1", "[]", "{}"} {
			s.refused(t, paused.says(noBool), paused.with(value))
		}
		for _, name := range []string{"billing_source", "authentication"} {
			object := in(field{name: name}, good)
			s.refused(t, object.says(isNull), object.with("null"))
			for value, kind := range map[string]string{"[]": "list", `"a"`: "str", "1": "int", "true": "bool", "1.5": "float"} {
				s.refused(t, object.says(`Expected a dictionary of items but got type "`+kind+`".`), object.with(value))
			}
			for _, value := range []string{`{"a": "\u0000"}`, `{"\u0000": 1}`, `{"a": [{"b": "x\u0000"}]}`} {
				s.refused(t, object.says(isNUL), object.with(value))
			}
		}
		s.firstField(t, c)
	}
	s.types(t, post)
	s.duplicates(t, x)
	for _, name := range rows(s.want(t, 200, call{method: "GET", path: "/sources?limit=1000", org: "errors1"}), "name") {
		if name != "s" && name != "second" {
			t.Errorf("a request that was refused has left a source %q", name)
		}
	}
}

// firstField: one error for each answer, that of the first field in the contract's order.
func (s site) firstField(t *testing.T, c call) {
	t.Helper()
	c.body = `{"paused": 0, "billing_source": 0, "source_ref": 0, "source_type_id": "1", "name": 0}`
	s.refused(t, "400 name: "+noString, c)
	c.body = `{"paused": 0, "billing_source": 0, "source_ref": 0, "source_type_id": "1", "name": "a"}`
	s.refused(t, "400 source_ref: "+noString, c)
	c.body = `{"paused": 0, "billing_source": 0, "source_type_id": "1", "name": "a"}`
	s.refused(t, `400 billing_source: Expected a dictionary of items but got type "int".`, c)
	c.body = `{"paused": 0, "source_type_id": "1", "name": "a"}`
	s.refused(t, "400 paused: "+noBool, c)
}

// types: the type of a new source, in both spellings.
func (s site) types(t *testing.T, post call) {
	t.Helper()
	const onlyOCP = "400 source_type: source_type '%s' is not supported on-premise; only OCP is allowed."
	for body, want := range map[string]string{
		`{}`:                                   "400 name: " + isMissing,
		`{"paused": 0, "source_type_id": "9"}`: "400 name: " + isMissing,
		`{"name": "a"}`:                        "400 source_type: Either source_type or source_type_id is required",
		`{"name": "a", "source_ref": 0}`:       "400 source_type: Either source_type or source_type_id is required",
		`{"name": "a", "source_type_id": 2, "source_ref": 0}`:        "400 source_type_id: Invalid source_type_id: 2",
		`{"name": "a", "source_type_id": "99999"}`:                   "400 source_type_id: Invalid source_type_id: 99999",
		`{"name": "a", "source_type_id": 0}`:                         "400 source_type_id: Invalid source_type_id: 0",
		`{"name": "a", "source_type_id": "x"}`:                       "400 source_type_id: Invalid source_type_id: x",
		`{"name": "a", "source_type_id": null}`:                      "400 source_type_id: " + isNull,
		`{"name": "a", "source_type_id": true}`:                      "400 source_type_id: " + noString,
		`{"name": "a", "source_type_id": []}`:                        "400 source_type_id: " + noString,
		`{"name": "a", "source_type_id": "1\u0000"}`:                 "400 source_type_id: " + isNUL,
		`{"name": "a", "source_type": null}`:                         "400 source_type: " + isNull,
		`{"name": "a", "source_type": 1}`:                            "400 source_type: " + noString,
		`{"name": "a", "source_type": "OCP\u0000"}`:                  "400 source_type: " + isNUL,
		`{"name": "a", "source_type": "AWS"}`:                        fmt.Sprintf(onlyOCP, "AWS"),
		`{"name": "a", "source_type": "azure"}`:                      fmt.Sprintf(onlyOCP, "azure"),
		`{"name": "a", "source_type": "GCP", "source_type_id": "1"}`: fmt.Sprintf(onlyOCP, "GCP"),
		`{"name": "a", "source_type": "OCP", "source_type_id": "2"}`: "400 source_type_id: Invalid source_type_id: 2",
		`{"Name": "a", "source_type_id": "1"}`:                       "400 name: " + isMissing,
		`{"name": "a", "Source_Type_ID": "1"}`:                       "400 source_type: Either source_type or source_type_id is required",
	} {
		post.body = body
		s.refused(t, want, post)
	}
}

// duplicates: a cluster that another source has, and two clusters in one body.
func (s site) duplicates(t *testing.T, x thing) {
	t.Helper()
	const org, duplicate = "errors1", "400 source.duplicate: " + sources.Duplicate
	second := s.add(t, org, "second", "").ID()
	for _, c := range []call{
		{method: "POST", path: "/sources", body: `{"name": "a", "source_type_id": "1", "source_ref": "c"}`},
		{method: "POST", path: "/sources", body: `{"name": "a", "source_type": "ocp", "authentication": {"credentials": {"cluster_id": "c"}}}`},
		{method: "PATCH", path: "/sources/" + second, body: `{"source_ref": "c"}`},
		{method: "POST", path: "/applications", body: fmt.Sprintf(`{"source_id": %q, "extra": {"cluster_id": "c"}}`, second)},
	} {
		c.org = org
		s.refused(t, duplicate, c)
	}
	for _, c := range []call{{method: "POST", path: "/sources"}, {method: "PATCH", path: "/sources/" + second}} {
		c.org, c.body = org, `{"name": "a", "source_type_id": "1", "source_ref": "d", "authentication": {"credentials": {"cluster_id": "e"}}}`
		s.want(t, 400, c)
	}
	if got := s.want(t, 200, call{method: "GET", path: "/sources/" + second, org: org}); got.Body["source_ref"] != nil || got.Body["name"] != "second" {
		t.Errorf("after what was refused the source is %s", got.Text)
	}
	s.want(t, 200, call{method: "PATCH", path: "/sources/" + x.id, org: org, body: `{"source_ref": "c"}`}) // its own
}

// applicationErrors: every field of an application, with every error that it can have.
func applicationErrors(t *testing.T, s site) {
	const (
		org       = "errors2"
		noType    = "400 application_type_id: Only application_type_id '0' (cost-management) is supported"
		noSource  = "404 <nil>: Source 2147483647 not found"
		tooLarge  = 17 << 10
		notObject = `400 extra: Expected a dictionary of items but got type "%s".`
	)
	x := s.addThing(t, org, "s", "c")
	post, patch := call{method: "POST", path: "/applications", org: org}, call{method: "PATCH", path: "/applications/" + x.app, org: org}
	for body, want := range map[string]string{
		`{}`:                                               "400 source_id: " + isMissing,
		`{"extra": 1, "application_type_id": 5}`:           "400 source_id: " + isMissing,
		`{"source_id": null}`:                              "400 source_id: " + isNull,
		`{"source_id": "2147483647"}`:                      noSource,
		`{"source_id": 2147483647}`:                        noSource,
		`{"source_id": {id}, "application_type_id": 2}`:    noType,
		`{"source_id": {id}, "application_type_id": "1"}`:  noType,
		`{"source_id": {id}, "application_type_id": "x"}`:  noType,
		`{"source_id": {id}, "application_type_id": -1}`:   noType,
		`{"source_id": {id}, "application_type_id": null}`: "400 application_type_id: " + isNull,
	} {
		post.body = x.at(body)
		s.refused(t, want, post)
	}
	for _, id := range []string{`""`, `"x"`, `"-1"`, "-1", "1.5", `"1.5"`, "1e0", `"{uuid}"`, "true", "[]", "{}", `"{id}\u0000"`, `" {id}"`} {
		post.body = x.at(fmt.Sprintf(`{"source_id": %s}`, id))
		if got := s.do(t, post).Problem(); !strings.HasPrefix(got, "400 source_id: ") {
			t.Errorf("%s = %s, want 400 source_id: …", post, got)
		}
	}
	for _, f := range []field{{call: post, good: x.at(`"source_id": {id}, `)}, {call: patch}} {
		f.name = "extra"
		s.refused(t, f.says(isNull), f.with("null"))
		for value, kind := range map[string]string{"[]": "list", `"a"`: "str", "1": "int", "true": "bool"} {
			s.refused(t, fmt.Sprintf(notObject, kind), f.with(value))
		}
		for _, value := range []string{`{"a": "\u0000"}`, `{"\u0000": 1}`, `{"bucket": ["x", {"y": "\u0000"}]}`} {
			s.refused(t, f.says(isNUL), f.with(value))
		}
		s.texts(t, field{call: f.call, good: f.good, blame: "extra", open: `"extra": {"cluster_id": `, close: "}"})
		s.want(t, 400, f.with(`{"cluster_id": "another"}`))
		s.want(t, 400, f.with(`{"a": "`+strings.Repeat("x", tooLarge)+`"}`))
	}
	got := s.want(t, 200, call{method: "GET", path: "/applications/" + x.app, org: org})
	if extra := members(got.Body["extra"]); len(extra) != 1 || extra[0] != "cluster_id" {
		t.Errorf("after what was refused extra has the members %v", extra)
	}
}
