//go:build e2e

package e2e_test

import (
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"net/http"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// audience is whom the issuer's tokens are for.
const audience = "cost-management"

// An issuer publishes a key, and signs tokens with it.
type issuer struct {
	url string
	key *rsa.PrivateKey
}

func newIssuer() (*issuer, error) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	return &issuer{key: key}, err
}

func (i *issuer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var published any
	switch r.URL.Path {
	case "/.well-known/openid-configuration":
		published = map[string]string{"issuer": i.url, "jwks_uri": i.url + "/keys"}
	case "/keys":
		published = jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: i.key.Public(), KeyID: "1", Algorithm: "RS256", Use: "sig"}}}
	default:
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(published) // fails only if the caller has gone
}

// token is one of a user of an organization.
func (i *issuer) token(org string) (string, error) {
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.RS256, Key: jose.JSONWebKey{Key: i.key, KeyID: "1"}}, nil)
	if err != nil {
		return "", err
	}
	claims, err := json.Marshal(map[string]any{
		"iss": i.url, "aud": audience, "exp": time.Now().Add(time.Hour).Unix(),
		"org_id": org, "account_number": "account-" + org, "preferred_username": "admin",
	})
	if err != nil {
		return "", err
	}
	signed, err := signer.Sign(claims)
	if err != nil {
		return "", err
	}
	return signed.CompactSerialize()
}
