package contract_test

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// spellings are the ways in which clients send brackets.
func spellings(query string) []string {
	return []string{
		query,
		strings.NewReplacer("[", "%5B", "]", "%5D").Replace(query),
		strings.NewReplacer("[", "%5b", "]", "%5d").Replace(query),
		strings.Replace(query, "[", "%5B", 1), // half of them
	}
}

// forms are the ways to ask that a field equals a value.
func forms(field, value string) []string {
	return []string{field + "=" + value, "filter[" + field + "]=" + value, "filter[" + field + "][eq]=" + value}
}

// filters are what a list is asked, and which values of a member its rows then have.
func (s site) filters(t *testing.T, org, path, member string, filters map[string][]string) {
	t.Helper()
	for query, want := range filters {
		for i, spelt := range spellings(query) {
			at := path + strings.Repeat("/", i%2)
			got := s.want(t, 200, call{method: "GET", path: at + "?" + spelt, org: org})
			if diff := cmp.Diff(append([]string{}, want...), rows(got, member)); diff != "" || count(got) != len(want) {
				t.Errorf("GET %s?%s counts %d; %s (-want +got):\n%s", at, spelt, count(got), member, diff)
			}
		}
	}
}

// sourceFilters: every filter on sources in every form of it.
func sourceFilters(t *testing.T, s site) {
	const org = "filters1"
	alpha := s.add(t, org, "Alpha-1", `, "source_ref": "c1"`)
	s.add(t, org, "alpha_2", `, "source_ref": "C1", "paused": true`)
	s.add(t, org, "beta%", ``)
	s.add(t, "filters2", "Alpha-1", `, "source_ref": "c1"`) // somebody else's
	uuid := alpha.Body["uuid"].(string)
	a, aa, b := "Alpha-1", "alpha_2", "beta%"
	all := []string{a, aa, b}
	want := map[string][]string{
		"": all,
		// By name: the plain form contains every word, in any case; the others as they say.
		"name=alpha": {a, aa}, "name=ALPHA": {a, aa}, "name=alpha,1": {a}, "name=1,ALPHA": {a}, "name=alpha&name=2": {aa}, "name=alpha,beta": nil,
		"name=%25": {b}, "name=_": {aa}, "name=%5C": nil, "name=-": {a}, "name=a*": nil, "name=": all,
		"filter[name]=Alpha-1": {a}, "filter[name]=alpha-1": nil, "filter[name]=Alpha": nil, "filter[name]=Alpha-%25": nil, "filter[name]=Alpha_1": nil,
		"filter[name][eq]=Alpha-1": {a}, "filter[name][eq]=alpha-1": nil, "filter[name]=Alpha-1,alpha_2": nil,
		"filter[name][eq_i]=ALPHA-1": {a}, "filter[name][eq_i]=ALPHA": nil,
		"filter[name][contains]=lpha": {a, aa}, "filter[name][contains]=LPHA": nil, "filter[name][contains]=%25": {b}, "filter[name][contains]=_": {aa},
		"filter[name][contains_i]=LPHA": {a, aa}, "filter[name][contains_i]=A_2": {aa},
		"filter[name][starts_with]=alpha": {aa}, "filter[name][starts_with]=Al": {a}, "filter[name][starts_with]=%25": nil, "filter[name][starts_with]=lpha": nil,
		// By type.
		"type=oc": all, "type=OCP": all, "type=AWS": nil, "source_type_id=1,99": all,
		// Several at once narrow down; what nobody knows is ignored.
		"filter[name]=Alpha-1&filter[source_ref]=c1&filter[source_type_id]=1": {a}, "filter[name]=Alpha-1&paused=true": nil,
		"filter[unknown]=x": all, "filter[unknown][eq]=x": all, "filter[unknown][odd]=x": all, "unknown=x": all, "filter[unknown][eq][more]=x": all,
		"org_id=filters2": all, "filter[org_id]=filters2": all, "offset=0&limit=3": all,
	}
	equal := map[string]map[string][]string{
		"source_type":         {"OCP": all, "AWS": nil, "AWS,OCP": all},
		"source_type_id":      {"1": all, "3": all, "2": nil, "99999": nil, "2,3": all},
		"source_ref":          {"c1": {a}, "C1": {aa}, "c1,C1": {a, aa}, "c": nil, "%25": nil, "c_": nil},
		"uuid":                {uuid: {a}, strings.ToUpper(uuid): {a}, strings.ReplaceAll(uuid, "-", ""): {a}, "00000000-0000-0000-0000-000000000000": nil},
		"paused":              {"true": {aa}, "false": {a, b}, "True": {aa}, "FALSE": {a, b}, "true,false": all},
		"availability_status": {"paused": {aa}, "paused,in_progress,available": all, "unavailable": nil, "nonsense": nil},
	}
	for field, values := range equal {
		for value, names := range values {
			for _, form := range forms(field, value) {
				want[form] = names
			}
		}
	}
	for _, form := range forms("source_ref", "") {
		want[form+"c1&"+form+"nothing"] = []string{a} // a repeated one is any of them
	}
	s.filters(t, org, "/sources", "name", want)
}

// applicationFilters: every filter on applications in every form of it.
func applicationFilters(t *testing.T, s site) {
	const org = "filters3"
	x, y := s.addThing(t, org, "x", "c1"), s.addThing(t, org, "y", "c2")
	other := s.addThing(t, "filters4", "x", "c1")
	both := []string{x.app, y.app}
	want := map[string][]string{"": both, "name=zzz": both, "filter[unknown]=x": both, "source_id=" + x.id + "&application_type_id=1": nil}
	for value, apps := range map[string][]string{
		x.id: {x.app}, x.id + "," + y.id: both, other.id: nil, x.id + "," + other.id: {x.app}, "2147483647": nil,
	} {
		for _, form := range forms("source_id", value) {
			want[form] = apps
		}
	}
	for _, form := range forms("source_id", "") {
		want[form+x.id+"&"+form+y.id] = both
	}
	for value, apps := range map[string][]string{"0": both, "1": nil, "1,0": both} {
		for _, form := range forms("application_type_id", value) {
			want[form] = apps
		}
	}
	s.filters(t, org, "/applications", "id", want)
}

// typeFilters: the two lists of types, which nobody needs an identity for.
func typeFilters(t *testing.T, s site) {
	const kind = "/insights/platform/cost-management"
	types := []string{"openshift"}
	want := map[string][]string{
		"": types, "name=SHIFT": types, "name=open,shift": types, "name=x": nil, "filter[name]=openshift": types, "filter[name]=open": nil,
		"filter[name][eq]=openshift": types, "filter[name][eq_i]=OpenShift": types, "filter[name][contains]=shift": types, "filter[name][contains]=SHIFT": nil,
		"filter[name][contains_i]=SHIFT": types, "filter[name][starts_with]=open": types, "filter[name]=amazon": nil, "filter[unknown]=x": types,
	}
	for value, names := range map[string][]string{"1": types, "3": types, "2": nil, "2,1": types} {
		for _, form := range forms("id", value) {
			want[form] = names
		}
	}
	apps := []string{kind}
	wantApps := map[string][]string{
		"": apps, "name=COST": apps, "filter[name]=" + kind: apps, "filter[name]=" + url.QueryEscape(kind): apps, "filter[name][eq]=" + kind: apps,
		"filter[name]=cost-management": nil, "filter[name][starts_with]=/insights": apps, "filter[name][contains]=platform": apps,
	}
	for value, names := range map[string][]string{"0": apps, "1": nil, "0,1": apps} {
		for _, form := range forms("id", value) {
			wantApps[form] = names
		}
	}
	for _, org := range []string{"", "types1"} {
		s.filters(t, org, "/source_types", "name", want)
		s.filters(t, org, "/application_types", "name", wantApps)
	}
}

// refusedFilters: what cannot be asked is 400 with the field to blame, and never 500.
func refusedFilters(t *testing.T, s site) {
	for path, queries := range map[string]map[string]string{
		"/sources": {
			"filter=abc": "filter", "filter[name][like]=a": "name", "filter[name][EQ]=a": "name", "filter[type][gt]=a": "type", "filter[uuid]=x": "uuid",
			"filter[name][eq][more]=a": "name", "uuid=": "uuid", "filter[uuid][contains]=a": "uuid", "source_type_id=x": "source_type_id", "filter[source_type_id]=": "source_type_id",
			"filter[source_type_id][eq]=-1": "source_type_id", "source_type_id=1,x": "source_type_id", "source_type_id=1.0": "source_type_id",
			"paused=yes": "paused", "filter[paused]=": "paused", "filter[paused][eq]=true,x": "paused", "filter[source_ref][contains]=c": "source_ref",
			"filter[availability_status][starts_with]=a": "availability_status", "name=%00": "name", "filter[name]=a%00": "name", "filter[source_ref]=%00": "source_ref",
			"name=%ff": "name", "filter[name][contains]=%c3%28": "name", "order_by=uuid": "order_by", "order_by=paused": "order_by", "order_by=-": "order_by",
			"order_by=name,id": "order_by", "order_by=--name": "order_by", "ordering=id": "ordering", "order_by=Name": "order_by", "order_by=name%00": "order_by",
			"order_by=name%20desc": "order_by", "order_by=name%3Bdrop": "order_by",
		},
		"/applications": {
			"filter[source_id]=x": "source_id", "source_id=": "source_id", "source_id=-1": "source_id", "filter[source_id][contains]=1": "source_id",
			"application_type_id=x": "application_type_id", "filter=1": "filter", "source_id=%00": "source_id", "order_by=extra": "order_by",
		},
		"/source_types":      {"id=x": "id", "filter[id]=": "id", "filter[id][contains]=1": "id", "filter[name][odd]=1": "name", "filter=x": "filter", "name=%00": "name"},
		"/application_types": {"id=x": "id", "filter[name][odd]=1": "name", "filter=x": "filter", "name=%ff": "name", "order_by=extra": "order_by"},
	} {
		for query, blame := range queries {
			for _, spelt := range spellings(query) {
				c := call{method: "GET", path: path + "?" + spelt, org: "refused1"}
				if got := s.do(t, c).Problem(); !strings.HasPrefix(got, "400 "+blame+": ") {
					t.Errorf("%s = %s, want 400 %s: …", c, got, blame)
				}
				if c.org = ""; !strings.Contains(path, "type") {
					s.want(t, 401, c) // whatever else is wrong
				}
			}
		}
	}
}

// orders: every field that sources can be ordered by, both ways, under both names.
func orders(t *testing.T, s site) {
	const org = "orders1"
	var ids []string
	for _, name := range []string{"b", "a", "Z", "é", "a", "_"} {
		ids = append(ids, s.add(t, org, name, "").ID())
	}
	s.want(t, 200, call{method: "PATCH", path: "/sources/" + ids[1], org: org, body: "{}"}) // the last that was updated
	pick := func(order ...int) (picked []string) {
		for _, i := range order {
			picked = append(picked, ids[i])
		}
		return picked
	}
	byName, byUpdate := pick(2, 5, 1, 4, 0, 3), pick(0, 2, 3, 4, 5, 1) // by bytes; equal names by id
	want := map[string][]string{"": byName, "name": byName, "source_type": ids, "created_timestamp": ids, "updated_timestamp": byUpdate}
	for field, order := range want {
		for _, param := range []string{"order_by", "ordering"} {
			got := s.want(t, 200, call{method: "GET", path: "/sources?" + param + "=" + field, org: org})
			if diff := cmp.Diff(order, rows(got, "id")); diff != "" {
				t.Errorf("%s=%s (-want +got):\n%s", param, field, diff)
			}
			if field == "" || field == "source_type" {
				continue
			}
			down := slices.Clone(order)
			slices.Reverse(down)
			if field == "name" {
				down = rows(s.want(t, 200, call{method: "GET", path: "/sources?" + param + "=-name", org: org}), "name")
				if fmt.Sprint(down) != "[é b a a _ Z]" {
					t.Errorf("%s=-name = %v", param, down)
				}
				continue
			}
			got = s.want(t, 200, call{method: "GET", path: "/sources?" + param + "=-" + field, org: org})
			if diff := cmp.Diff(down, rows(got, "id")); diff != "" {
				t.Errorf("%s=-%s (-want +got):\n%s", param, field, diff)
			}
		}
	}
}

// pages: whoever follows the links sees every row once, in order, whatever else he asks.
func pages(t *testing.T, s site) {
	const org, n = "pages1", 25
	var names []string
	for i := range n {
		names = append(names, fmt.Sprintf("s %02d&é", i))
		s.add(t, org, names[i], fmt.Sprintf(`, "source_ref": "c%d"`, i))
	}
	backwards := slices.Clone(names)
	slices.Reverse(backwards)
	for query, want := range map[string][]string{
		"limit=7": names, "limit=7&order_by=-name": backwards, "limit=4&filter[name][contains]=%26%C3%A9&order_by=-name": backwards, "limit=1&name=s%200,9": names[9:10],
		"limit=5&paused=false&unknown=a%20b": names, "limit=1000": names, "limit=25": names, "limit=24": names, "limit=26": names, "limit=3&filter%5Bname%5D=none": nil, "": names,
	} {
		for _, slash := range []string{"", "/"} {
			s.follow(t, org, "/sources"+slash+"?"+query, "name", want)
		}
	}
	s.follow(t, org, "/applications?limit=8", "id", rows(s.want(t, 200, call{method: "GET", path: "/applications?limit=1000", org: org}), "id"))
	s.follow(t, "", "/source_types?limit=1", "id", []string{"1"})
	s.follow(t, "", "/application_types?limit=1", "id", []string{"0"})
	for query, want := range map[string]string{
		"": "10 0", "limit=0": "10 0", "limit=-1": "10 0", "limit=x": "10 0", "limit=1.5": "10 0", "limit=": "10 0", "limit=1": "1 0", "limit=1000": "1000 0", "limit=1001": "1000 0",
		"limit=99999999999999999999999": "1000 0", "offset=3": "10 3", "offset=-1": "10 0", "offset=x": "10 0", "offset=1e1": "10 0", "offset=": "10 0", "offset=24": "10 24", "limit=%00": "10 0",
		"offset=99999999999999999999999": "10 0", "limit=5&offset=1000": "5 1000", "limit=%2B5": "10 0",
	} {
		got := s.want(t, 200, call{method: "GET", path: "/sources?" + query, org: org})
		meta, _ := got.Body["meta"].(map[string]any)
		if shown := fmt.Sprintf("%v %v", meta["limit"], meta["offset"]); shown != want || count(got) != n {
			t.Errorf("GET /sources?%s has limit and offset %s and counts %d, want %s and %d", query, shown, count(got), want, n)
		}
		if diff := cmp.Diff([]string{"count", "limit", "offset"}, members(got.Body["meta"])); diff != "" {
			t.Errorf("meta (-want +got):\n%s", diff)
		}
	}
}

// follow walks from a page over next to the last, and over previous back.
func (s site) follow(t *testing.T, org, path, member string, want []string) {
	t.Helper()
	seen, back := []string{}, []string{}
	page, first := s.want(t, 200, call{method: "GET", path: path, org: org}), ""
	for at := ""; ; page = s.want(t, 200, call{method: "GET", path: at, org: org}) {
		seen = append(seen, rows(page, member)...)
		links, _ := page.Body["links"].(map[string]any)
		if diff := cmp.Diff([]string{"first", "last", "next", "previous"}, members(links)); diff != "" {
			t.Fatalf("GET %s: links (-want +got):\n%s", path, diff)
		}
		if first == "" {
			first = s.relative(t, links["first"])
		}
		if last := s.relative(t, links["last"]); links["next"] == nil && at != "" && at != last {
			t.Errorf("GET %s: the last page is %s, want %s", path, last, at)
		}
		if s.relative(t, links["first"]) != first || count(page) != len(want) {
			t.Errorf("GET %s: a page counts %d and begins at %v, want %d at %s", path, count(page), links["first"], len(want), first)
		}
		if links["next"] == nil {
			break
		}
		at = s.relative(t, links["next"])
	}
	for {
		back = append(rows(page, member), back...)
		links, _ := page.Body["links"].(map[string]any)
		if links["previous"] == nil {
			break
		}
		page = s.want(t, 200, call{method: "GET", path: s.relative(t, links["previous"]), org: org})
	}
	for direction, got := range map[string][]string{"next": seen, "previous": back} {
		if diff := cmp.Diff(append([]string{}, want...), got); diff != "" {
			t.Errorf("GET %s and its %s pages (-want +got):\n%s", path, direction, diff)
		}
	}
}

// relative is a link below the prefix.
func (s site) relative(t *testing.T, link any) string {
	t.Helper()
	text, _ := link.(string)
	path, ok := strings.CutPrefix(text, "/api/cost-management/v1")
	if !ok {
		t.Fatalf("a link is %v, want one relative to the host", link)
	}
	return path
}
