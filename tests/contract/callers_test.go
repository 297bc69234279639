package contract_test

import (
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"

	"github.com/insights-onprem/cost-sources/shared/store/storetest"
)

// An object is one in JSON.
type object = map[string]any

// caller is an identity that is good, for edit to change.
func caller(edit func(identity, user, entitlement object)) string {
	user := object{"username": "admin", "email": "a@example.com", "is_org_admin": true}
	identity := object{"org_id": "callers1", "account_number": "7890123", "type": "User", "user": user}
	entitlement := object{"is_entitled": true}
	edit(identity, user, entitlement)
	text, _ := json.Marshal(object{"identity": identity, "entitlements": object{"cost_management": entitlement}}) // it always encodes
	return base64.StdEncoding.EncodeToString(text)
}

func encoded(text string) string { return base64.StdEncoding.EncodeToString([]byte(text)) }

// callers: who is let in, who is unknown (401) and who may not (403), on every path that asks.
func callers(t *testing.T, s site) {
	service := func(identity, _, _ object) {
		identity["type"], identity["service_account"] = "ServiceAccount", object{"username": "robot"}
		delete(identity, "user")
	}
	in := func(part, name string, value any) string {
		return caller(func(identity, user, entitlement object) {
			of := map[string]object{"identity": identity, "user": user, "entitlement": entitlement}[part]
			if of[name] = value; value == nil {
				delete(of, name)
			}
		})
	}
	for name, tt := range map[string]struct {
		header string
		status int
	}{
		"user":                    {caller(func(_, _, _ object) {}), 200},
		"type in capitals":        {in("identity", "type", "USER"), 200},
		"service account":         {caller(service), 200},
		"no admin":                {in("user", "is_org_admin", false), 200},
		"empty email":             {in("user", "email", ""), 200},
		"unusual organization":    {in("identity", "org_id", "Org.1_-x"), 200},
		"36 characters":           {in("identity", "org_id", strings.Repeat("a", 36)), 200},
		"37 characters":           {in("identity", "org_id", strings.Repeat("a", 37)), 401},
		"no organization":         {in("identity", "org_id", nil), 401},
		"empty organization":      {in("identity", "org_id", ""), 401},
		"number as organization":  {in("identity", "org_id", 1234567), 401},
		"quote in organization":   {in("identity", "org_id", "a'b"), 401},
		"space in organization":   {in("identity", "org_id", "a b"), 401},
		"newline in organization": {in("identity", "org_id", "a\n"), 401},
		"no user":                 {in("identity", "user", nil), 401},
		"no user name":            {in("user", "username", nil), 401},
		"empty user name":         {in("user", "username", ""), 401},
		"no email":                {in("user", "email", nil), 401},
		"service without account": {in("identity", "type", "ServiceAccount"), 401},
		"no JSON":                 {encoded("x"), 401},
		"another JSON":            {encoded("[]"), 401},
		"null":                    {encoded("null"), 401},
		"nothing in it":           {encoded("{}"), 401},
		"cut short":               {encoded(`{"identity": {"org_id": "callers1"`), 401},
		"no base64":               {"{}", 403},
		"no base64 either":        {"!!!!", 403},
		"not entitled":            {in("entitlement", "is_entitled", false), 403},
		"nothing of entitlement":  {in("entitlement", "is_entitled", nil), 403},
	} {
		for _, path := range []string{"/sources", "/sources/", "/sources/2147483647/stats", "/applications", "/applications/x"} {
			want := tt.status
			if want == 200 && strings.Count(strings.Trim(path, "/"), "/") > 0 {
				want = 404 // let in, and told that there is none
			}
			if got := s.do(t, call{method: "GET", path: path, header: map[string]string{"X-Rh-Identity": tt.header}}); got.Status != want {
				t.Errorf("%s: GET %s = %d %s, want %d", name, path, got.Status, got.Text, want)
			}
		}
		for _, path := range []string{"/source_types", "/application_types/0"} { // which ask nobody
			s.want(t, 200, call{method: "GET", path: path, header: map[string]string{"X-Rh-Identity": tt.header}})
		}
	}
}

// unwritable: an organization whose id cannot be a schema's name may read, and is told why it may not write.
func unwritable(t *testing.T, s site) {
	for _, org := range []string{"Upper", "with-hyphen", "with.dot"} {
		s.want(t, 200, call{method: "GET", path: "/sources", org: org})
		s.want(t, 200, call{method: "GET", path: "/applications", org: org})
		for _, c := range []call{
			{method: "POST", path: "/sources", body: `{"name": "a", "source_type_id": "1"}`}, {method: "PATCH", path: "/sources/1", body: "{}"},
			{method: "DELETE", path: "/sources/1"}, {method: "POST", path: "/applications", body: `{"source_id": 1}`},
			{method: "PATCH", path: "/applications/1", body: "{}"}, {method: "DELETE", path: "/applications/1"},
		} {
			c.org = org
			if got := s.do(t, c).Problem(); !strings.HasPrefix(got, "400 <nil>: ") || !strings.Contains(got, org) {
				t.Errorf("%s for the organization %s = %s, want 400 with that reason", c, org, got)
			}
		}
	}
}

// TestGateway: where a gateway is expected, whoever does not have its secret is nobody, whatever else he
// sends; either of two secrets will do.
func TestGateway(t *testing.T) {
	t.Parallel()

	database := storetest.Database(t)
	env := []string{"K_SINK=http://127.0.0.1:1/", "AUTH_MODE=identity", "GATEWAY_SECRET=old,new", "RBAC_URL=off"}
	s := apis(t, database, straight, env...)
	for secret, known := range map[string]bool{"old": true, "new": true, "": false, "ol": false, "old ": true, "old,new": false, "New": false, "other": false} {
		for _, path := range []string{"/sources", "/applications", "/sources/1", "/applications/1"} {
			for _, method := range []string{"GET", "PUT"} {
				want := 401
				if known {
					want = map[bool]int{true: 200, false: 404}[strings.Count(path, "/") == 1]
					if method == "PUT" {
						want = 405
					}
				}
				c := call{method: method, path: path, org: "gateway1", header: map[string]string{"X-Gateway-Secret": secret}}
				if got := s.do(t, c); got.Status != want {
					t.Errorf("%s with the secret %q = %d, want %d", c, secret, got.Status, want)
				}
				c.org = ""
				s.want(t, 401, c)
			}
		}
		s.want(t, 200, call{method: "GET", path: "/source_types", header: map[string]string{"X-Gateway-Secret": secret}})
		s.want(t, 404, call{method: "GET", path: "/elsewhere", header: map[string]string{"X-Gateway-Secret": secret}})
	}
}
