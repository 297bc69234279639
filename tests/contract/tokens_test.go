package contract_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/insights-onprem/cost-sources/shared/store/storetest"
)

// issuer publishes a key and signs with it.
type issuer struct {
	url string
	key *ecdsa.PrivateKey
}

func newIssuer(t *testing.T) issuer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	i := issuer{key: key}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var published any = map[string]string{"issuer": i.url, "jwks_uri": i.url + "/keys"}
		if r.URL.Path == "/keys" {
			published = jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: key.Public(), KeyID: "1", Algorithm: "ES256", Use: "sig"}}}
		}
		_ = json.NewEncoder(w).Encode(published)
	}))
	t.Cleanup(srv.Close)
	i.url = srv.URL
	return i
}

// token is a good one for a user of an organization, but for what more says.
func (i issuer) token(t *testing.T, org, user string, more map[string]any) string {
	t.Helper()
	claims := map[string]any{"iss": i.url, "aud": "cost", "exp": time.Now().Add(time.Hour).Unix(), "org_id": org, "preferred_username": user}
	for name, value := range more {
		claims[name] = value
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: jose.JSONWebKey{Key: i.key, KeyID: "1"}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(claims)
	if err != nil {
		t.Fatal(err)
	}
	signed, err := signer.Sign(text)
	if err != nil {
		t.Fatal(err)
	}
	compact, err := signed.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	return compact
}

// rbac grants what the user's name says, and is away for one called "away".
func rbac(w http.ResponseWriter, r *http.Request) {
	caller, err := userOf(r.Header.Get("X-Rh-Identity"))
	granted := map[string]string{"reader": "cost-management:sources:read", "writer": "cost-management:sources:write", "admin": "cost-management:*:*"}[caller]
	switch {
	case err != nil:
		http.Error(w, err.Error(), http.StatusBadRequest)
	case caller == "away":
		w.WriteHeader(http.StatusBadGateway)
	case granted == "":
		_, _ = w.Write([]byte(`{"links": {"next": null}, "data": []}`))
	default:
		_ = json.NewEncoder(w).Encode(map[string]any{"links": map[string]any{"next": nil}, "data": []any{map[string]any{"permission": granted, "resourceDefinitions": []any{}}}})
	}
}

// TestTokens: AUTH_MODE=jwt and RBAC, in both functions as they are deployed (contract section 3).
func TestTokens(t *testing.T) {
	t.Parallel()

	issuer := newIssuer(t)
	access := httptest.NewServer(http.HandlerFunc(rbac))
	t.Cleanup(access.Close)
	database := storetest.Database(t)
	env := []string{"K_SINK=http://127.0.0.1:1", "AUTH_MODE=jwt", "OIDC_ISSUER=" + issuer.url, "OIDC_AUDIENCE=other,cost", "RBAC_URL=" + access.URL}
	s := apis(t, database, straight, env...)
	tests := []struct {
		name, token        string
		read, write, types int
	}{
		{"nobody", "", 401, 401, 200},
		{"no token", "abc", 401, 401, 200},
		{"reader", issuer.token(t, "org1", "reader", nil), 200, 403, 200},
		{"writer", issuer.token(t, "org1", "writer", nil), 200, 404, 200},
		{"admin", issuer.token(t, "org1", "admin", nil), 200, 404, 200},
		{"granted nothing", issuer.token(t, "org1", "stranger", nil), 403, 403, 200},
		{"RBAC away", issuer.token(t, "org1", "away", nil), 424, 424, 200},
		{"organization that cannot be written", issuer.token(t, "Org-1", "admin", nil), 200, 400, 200},
		{"no organization", issuer.token(t, "", "admin", nil), 401, 401, 200},
		{"expired", issuer.token(t, "org1", "admin", map[string]any{"exp": time.Now().Add(-time.Minute).Unix()}), 401, 401, 200},
		{"within the skew", issuer.token(t, "org1", "admin", map[string]any{"exp": time.Now().Add(-time.Second).Unix()}), 200, 404, 200},
		{"for somebody else", issuer.token(t, "org1", "admin", map[string]any{"aud": "others"}), 401, 401, 200},
		{"of somebody else", newIssuer(t).token(t, "org1", "admin", nil), 401, 401, 200},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) { // one after the other: a wait for the other tests would outlast a token
			header := map[string]string{}
			if tt.token != "" {
				header["Authorization"] = "Bearer " + tt.token
			}
			for _, of := range []string{"source", "application"} {
				// A client's own identity is not looked at.
				s.want(t, tt.read, call{method: "GET", path: "/" + of + "s", org: "org2", header: header})
				s.want(t, tt.write, call{method: "DELETE", path: "/" + of + "s/1", org: "org2", header: header})
				s.want(t, tt.types, call{method: "GET", path: "/" + of + "_types", header: header})
			}
		})
	}
}

// userOf reads the user's name out of an identity.
func userOf(header string) (string, error) {
	raw, err := base64.StdEncoding.DecodeString(header)
	if err != nil {
		return "", err
	}
	var value struct {
		Identity struct {
			User struct {
				Username string `json:"username"`
			} `json:"user"`
		} `json:"identity"`
	}
	err = json.Unmarshal(raw, &value)
	return value.Identity.User.Username, err
}
