package identity_test

import (
	"encoding/base64"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/insights-onprem/cost-sources/shared/identity"
	"github.com/insights-onprem/cost-sources/shared/sources"
)

const user = `{"identity": {"org_id": "1234567", "account_number": "7890123", "type": "User", "user": {"username": "admin", "email": ""}},
	"entitlements": {"cost_management": {"is_entitled": true}}}`

func request(secret, header string) *http.Request {
	r := httptest.NewRequest("GET", "/", nil)
	r.Header.Set("X-Gateway-Secret", secret)
	r.Header.Set("X-Rh-Identity", header)
	return r
}

func encoded(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }

func TestHeader(t *testing.T) {
	t.Parallel()

	edit := func(old, with string) string { return encoded(strings.Replace(user, old, with, 1)) }
	tests := []struct {
		name, header string
		want         sources.Kind // Internal where it is good
	}{
		{"user", encoded(user), sources.Internal},
		{"type in another case", edit(`"User"`, `"user"`), sources.Internal},
		{"service account", edit(`"type": "User", "user": {"username": "admin", "email": ""}`, `"type": "ServiceAccount", "service_account": {"username": "robot"}`), sources.Internal},
		{"none", "", sources.Unauthorized},
		{"not base64", "!", sources.Forbidden},
		{"not JSON", encoded("x"), sources.Unauthorized},
		{"another JSON", encoded("[]"), sources.Unauthorized},
		{"empty object", encoded("{}"), sources.Unauthorized},
		{"null", encoded("null"), sources.Unauthorized},
		{"no organization", edit(`"1234567"`, `""`), sources.Unauthorized},
		{"organization with a quote", edit(`1234567`, `a'b`), sources.Unauthorized},
		{"organization too long", edit(`1234567`, strings.Repeat("1", 37)), sources.Unauthorized},
		{"number as organization", edit(`"1234567"`, `1234567`), sources.Unauthorized},
		{"no user name", edit(`"admin"`, `""`), sources.Unauthorized},
		{"no email", edit(`, "email": ""`, ``), sources.Unauthorized},
		{"user of another type", edit(`"User"`, `"System"`), sources.Unauthorized},
		{"account number too long", edit(`7890123`, strings.Repeat("7", 151)), sources.Unauthorized},
		{"not entitled", edit(`true`, `false`), sources.Forbidden},
	}
	gate := identity.New(identity.Config{AuthMode: "identity", AllowDirectIdentity: true, RBACURL: "off"})
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			ctx, err := gate.Require(request("", tt.header))
			if err == nil && tt.want == sources.Internal {
				if got := identity.From(ctx); got.OrgID != "1234567" || got.AccountNumber != "7890123" || got.Username == "" {
					t.Errorf("the caller is %+v", got)
				}
				return
			}
			if sources.KindOf(err) != tt.want || err == nil {
				t.Errorf("Require() = %v, want kind %v", err, tt.want)
			}
		})
	}
}

func TestGatewaySecret(t *testing.T) {
	t.Parallel()

	gate := identity.New(identity.Config{AuthMode: "identity", GatewaySecret: []string{"old", "new"}, RBACURL: "off"})
	for secret, good := range map[string]bool{"old": true, "new": true, "": false, "ol": false, "old,new": false} {
		_, err := gate.Require(request(secret, encoded(user)))
		if (err == nil) != good || !good && sources.KindOf(err) != sources.Unauthorized {
			t.Errorf("with the secret %q: %v", secret, err)
		}
	}
}

// TestNoGateway: without a secret nobody is let in, unless that is wanted.
func TestNoGateway(t *testing.T) {
	t.Parallel()

	_, err := identity.New(identity.Config{AuthMode: "identity", RBACURL: "off"}).Require(request("", encoded(user)))
	if sources.KindOf(err) != sources.Unauthorized {
		t.Errorf("Require() = %v, want Unauthorized", err)
	}
}

func TestWriter(t *testing.T) {
	t.Parallel()

	gate := identity.New(identity.Config{AuthMode: "identity", AllowDirectIdentity: true, RBACURL: "off"})
	for method, want := range map[string]sources.Kind{"GET": sources.Internal, "HEAD": sources.Internal, "POST": sources.Invalid, "DELETE": sources.Invalid} {
		r := request("", encoded(strings.Replace(user, "1234567", "Org-1", 1)))
		r.Method = method
		if _, err := gate.Require(r); sources.KindOf(err) != want || (err == nil) != (want == sources.Internal) {
			t.Errorf("%s for an organization that cannot be a schema: %v", method, err)
		}
	}
}

// FuzzHeader: whatever the header holds, there is a caller with an organization, or a refusal.
func FuzzHeader(f *testing.F) {
	f.Add(encoded(user))
	f.Add("e30=")
	f.Add("%")
	gate := identity.New(identity.Config{AuthMode: "identity", AllowDirectIdentity: true, RBACURL: "off"})
	f.Fuzz(func(t *testing.T, header string) {
		r := &http.Request{Header: http.Header{"X-Rh-Identity": {header}}}
		ctx, err := gate.Require(r)
		switch kind := sources.KindOf(err); {
		case err == nil && (identity.OrgID(ctx) == "" || identity.From(ctx).Username == ""):
			t.Errorf("%q is let in as %+v", header, identity.From(ctx))
		case err != nil && kind != sources.Unauthorized && kind != sources.Forbidden:
			t.Errorf("%q is refused with %v", header, err)
		}
	})
}
