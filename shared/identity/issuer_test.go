package identity_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/insights-onprem/cost-sources/shared/identity"
)

// noon is when tests of tokens begin.
var noon = time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)

// clock is set by tests.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) Set(at time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = at
}

// issuer publishes keys, and can be made to answer something else.
type issuer struct {
	URL string

	mu     sync.Mutex
	keys   []jose.JSONWebKey
	answer map[string]http.HandlerFunc // by path, instead of what is published there
	asked  map[string]int              // how often, by path
}

const (
	discoveryPath = "/.well-known/openid-configuration"
	keysPath      = "/keys"
)

func newIssuer(t *testing.T, keys ...jose.JSONWebKey) *issuer {
	t.Helper()
	i := &issuer{keys: keys, answer: map[string]http.HandlerFunc{}, asked: map[string]int{}}
	srv := httptest.NewServer(i)
	t.Cleanup(srv.Close)
	i.URL = srv.URL
	return i
}

func (i *issuer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	i.mu.Lock()
	i.asked[r.URL.Path]++
	answer, keys := i.answer[r.URL.Path], i.keys
	i.mu.Unlock()
	switch {
	case answer != nil:
		answer(w, r)
	case r.URL.Path == discoveryPath:
		_ = json.NewEncoder(w).Encode(map[string]string{"issuer": i.URL, "jwks_uri": i.URL + keysPath})
	case r.URL.Path == keysPath:
		_ = json.NewEncoder(w).Encode(jose.JSONWebKeySet{Keys: keys})
	default:
		http.NotFound(w, r)
	}
}

// Answer has a path answered otherwise; with nil again as it should be.
func (i *issuer) Answer(path string, h http.HandlerFunc) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.answer[path] = h
}

// Publish replaces the keys.
func (i *issuer) Publish(keys ...jose.JSONWebKey) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.keys = keys
}

func (i *issuer) Asked(path string) int {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.asked[path]
}

// gate lets in who has a token of the issuer.
func (i *issuer) gate(c *clock) *identity.Gate {
	return identity.NewAt(i.config(), c.Now, 5*time.Second)
}

func (i *issuer) config() identity.Config {
	return identity.Config{AuthMode: "jwt", Issuer: i.URL, Audience: []string{"cost", "ui"}, RBACURL: "off"}
}

// signer has the private side of a key.
type signer struct {
	alg jose.SignatureAlgorithm
	key any
	id  string
}

func newSigner(t *testing.T, alg jose.SignatureAlgorithm, id string) signer {
	t.Helper()
	curve := map[jose.SignatureAlgorithm]elliptic.Curve{jose.ES256: elliptic.P256(), jose.ES384: elliptic.P384(), jose.ES512: elliptic.P521()}[alg]
	key, err := ecdsa.GenerateKey(curve, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return signer{alg, key, id}
}

func (s signer) public() jose.JSONWebKey {
	key := (&jose.JSONWebKey{Key: s.key, KeyID: s.id}).Public()
	key.Use = "sig"
	return key
}

// sign makes a token; payload is its claims, in JSON.
func (s signer) sign(t *testing.T, payload []byte) string {
	t.Helper()
	var key any = s.key
	if s.id != "" {
		key = jose.JSONWebKey{Key: s.key, KeyID: s.id}
	}
	with, err := jose.NewSigner(jose.SigningKey{Algorithm: s.alg, Key: key}, nil)
	if err != nil {
		t.Fatal(err)
	}
	signed, err := with.Sign(payload)
	if err != nil {
		t.Fatal(err)
	}
	token, err := signed.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	return token
}

type claims map[string]any

// claims are good for an hour from noon, with changes; nil takes a claim away.
func (i *issuer) claims(changes claims) []byte {
	c := claims{
		"iss": i.URL, "aud": "cost", "sub": "d2c7", "preferred_username": "admin", "email": "a@example.com",
		"org_id": "1234567", "account_number": "7890123", "realm_access": claims{"roles": []string{"org-admin", "x"}},
		"exp": noon.Add(time.Hour).Unix(), "nbf": noon.Unix(), "iat": noon.Unix(),
	}
	maps.Copy(c, changes)
	maps.DeleteFunc(c, func(_ string, v any) bool { return v == nil })
	raw, err := json.Marshal(c)
	if err != nil {
		panic(err) // a test's own mistake
	}
	return raw
}

func bearer(token string) *http.Request {
	r := httptest.NewRequest("GET", "/", nil)
	r.Header.Set("Authorization", "Bearer "+token)
	return r
}
