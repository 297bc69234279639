package identity_test

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/google/go-cmp/cmp"

	"github.com/insights-onprem/cost-sources/shared/identity"
	"github.com/insights-onprem/cost-sources/shared/sources"
)

var rsaKey = sync.OnceValue(func() *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return key
})

// wantKind checks an error of Require; good is for none.
func wantKind(t *testing.T, err error, want sources.Kind) {
	t.Helper()
	if got := sources.KindOf(err); got != want || (err == nil) != (want == good) {
		t.Errorf("Require() = %v (kind %d), want kind %d", err, got, want)
	}
}

// good stands for no error, as Require never means to return an Internal one.
const good = sources.Internal

func TestAlgorithms(t *testing.T) {
	t.Parallel()

	var signers []signer
	for _, alg := range []jose.SignatureAlgorithm{jose.ES256, jose.ES384, jose.ES512} {
		signers = append(signers, newSigner(t, alg, string(alg)))
	}
	for _, alg := range []jose.SignatureAlgorithm{jose.RS256, jose.RS384, jose.RS512} {
		signers = append(signers, signer{alg, rsaKey(), "rsa"})
	}
	keys := []jose.JSONWebKey{signers[0].public(), signers[1].public(), signers[2].public(), signers[3].public()}
	i := newIssuer(t, keys...)
	gate := i.gate(&clock{at: noon})
	for _, s := range signers {
		ctx, err := gate.Require(bearer(s.sign(t, i.claims(nil))))
		if err != nil {
			t.Errorf("%s is refused: %v", s.alg, err)
			continue
		}
		want := identity.Caller{OrgID: "1234567", AccountNumber: "7890123", Username: "admin"}
		if diff := cmp.Diff(want, identity.From(ctx)); diff != "" {
			t.Errorf("%s: the caller differs (-want +got):\n%s", s.alg, diff)
		}
	}
	pss := signer{jose.PS256, rsaKey(), "rsa"}
	_, err := gate.Require(bearer(pss.sign(t, i.claims(nil))))
	wantKind(t, err, sources.Unauthorized)
}

// TestForged: what the issuer did not sign is refused, whatever the token says about its signature.
func TestForged(t *testing.T) {
	t.Parallel()

	key := signer{jose.RS256, rsaKey(), "rsa"}
	i := newIssuer(t, key.public())
	public, err := x509.MarshalPKIXPublicKey(&rsaKey().PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	stranger := newSigner(t, jose.ES256, "rsa")
	payload := i.claims(nil)
	signed := key.sign(t, payload)
	part := strings.Split(signed, ".")
	text := base64.RawURLEncoding.EncodeToString
	none := text([]byte(`{"alg":"none","kid":"rsa"}`)) + "." + part[1] + "."
	embedded := func() string {
		with, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: stranger.key}, &jose.SignerOptions{EmbedJWK: true})
		if err != nil {
			t.Fatal(err)
		}
		signature, err := with.Sign(payload)
		if err != nil {
			t.Fatal(err)
		}
		token, err := signature.CompactSerialize()
		if err != nil {
			t.Fatal(err)
		}
		return token
	}()
	gate := i.gate(&clock{at: noon})
	for name, token := range map[string]string{
		"none":                       none,
		"none with a signature":      none + part[2],
		"HS256 with the key in PEM":  signer{jose.HS256, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public}), "rsa"}.sign(t, payload),
		"HS256 with the key in DER":  signer{jose.HS256, public, "rsa"}.sign(t, payload),
		"another's key":              stranger.sign(t, payload),
		"another's key, unknown":     newSigner(t, jose.ES256, "other").sign(t, payload),
		"a key in the token":         embedded,
		"other claims":               part[0] + "." + text(i.claims(claims{"org_id": "7654321"})) + "." + part[2],
		"signature cut":              signed[:len(signed)-4],
		"two parts":                  part[0] + "." + part[1],
		"four parts":                 signed + "." + part[2],
		"in JSON":                    `{"payload":"` + part[1] + `","protected":"` + part[0] + `","signature":"` + part[2] + `"}`,
		"garbage":                    "a.b.c",
		"nothing":                    "",
		"two tokens":                 signed + " " + signed,
		"claims that are no object":  key.sign(t, []byte(`[]`)),
		"claims that are null":       key.sign(t, []byte(`null`)),
		"claims that are no JSON":    key.sign(t, []byte(`{`)),
		"claims of somewhere else":   key.sign(t, i.claims(claims{"_claim_names": claims{"org_id": "s"}})),
		"claims nested out of shape": key.sign(t, i.claims(claims{"realm_access": claims{"roles": claims{}}})),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := gate.Require(bearer(token))
			wantKind(t, err, sources.Unauthorized)
		})
	}
}

func TestAuthorization(t *testing.T) {
	t.Parallel()

	key := newSigner(t, jose.ES256, "")
	i := newIssuer(t, key.public())
	token, gate := key.sign(t, i.claims(nil)), i.gate(&clock{at: noon})
	for value, want := range map[string]sources.Kind{
		"Bearer " + token: good, "bearer " + token: good, "BEARER  " + token: good,
		"": sources.Unauthorized, token: sources.Unauthorized, "Basic " + token: sources.Unauthorized, "Bearer": sources.Unauthorized,
	} {
		r := httptest.NewRequest("GET", "/", nil)
		r.Header.Set("Authorization", value)
		_, err := gate.Require(r)
		wantKind(t, err, want)
	}
	r := httptest.NewRequest("GET", "/", nil)
	r.Header.Set("X-Rh-Identity", encoded(user))
	_, err := gate.Require(r)
	wantKind(t, err, sources.Unauthorized)
}

func TestClaims(t *testing.T) {
	t.Parallel()

	key := newSigner(t, jose.ES256, "1")
	i := newIssuer(t, key.public())
	gate := i.gate(&clock{at: noon})
	at := func(d time.Duration) int64 { return noon.Add(d).Unix() }
	tests := []struct {
		name    string
		changes claims
		want    sources.Kind
	}{
		{"the other audience", claims{"aud": "ui"}, good},
		{"one of several audiences", claims{"aud": []string{"x", "cost"}}, good},
		{"another audience", claims{"aud": "x"}, sources.Unauthorized},
		{"an audience like ours", claims{"aud": "cost,ui"}, sources.Unauthorized},
		{"no audience", claims{"aud": nil}, sources.Unauthorized},
		{"an empty audience", claims{"aud": []string{}}, sources.Unauthorized},
		{"another issuer", claims{"iss": i.URL + "/"}, sources.Unauthorized},
		{"no issuer", claims{"iss": nil}, sources.Unauthorized},

		{"expired within the skew", claims{"exp": at(-29 * time.Second)}, good},
		{"expired at the skew", claims{"exp": at(-30 * time.Second)}, sources.Unauthorized},
		{"no expiry", claims{"exp": nil}, sources.Unauthorized},
		{"expiry with a fraction", claims{"exp": float64(at(0)) + 0.5}, good},
		{"begins within the skew", claims{"nbf": at(30 * time.Second), "iat": at(30 * time.Second)}, good},
		{"begins later", claims{"nbf": at(31 * time.Second)}, sources.Unauthorized},
		{"issued later", claims{"iat": at(31 * time.Second)}, sources.Unauthorized},
		{"neither begin nor issue", claims{"nbf": nil, "iat": nil}, good},

		{"no organization", claims{"org_id": nil}, sources.Unauthorized},
		{"organization with a quote", claims{"org_id": "a'b"}, sources.Unauthorized},
		{"organization too long", claims{"org_id": strings.Repeat("1", 37)}, sources.Unauthorized},
		{"account number too long", claims{"account_number": strings.Repeat("7", 151)}, sources.Unauthorized},
		{"no name", claims{"preferred_username": nil, "sub": nil}, sources.Unauthorized},
		{"the least", claims{"preferred_username": nil, "email": nil, "account_number": nil, "realm_access": nil}, good},

		{"number as organization", claims{"org_id": 1234567}, sources.Unauthorized},
		{"list as organization", claims{"org_id": []string{"1234567"}}, sources.Unauthorized},
		{"number as account number", claims{"account_number": 7890123}, sources.Unauthorized},
		{"object as name", claims{"preferred_username": claims{}}, sources.Unauthorized},
		{"number as subject", claims{"sub": 1}, sources.Unauthorized},
		{"bool as email", claims{"email": true}, sources.Unauthorized},
		{"list as realm_access", claims{"realm_access": []string{"org-admin"}}, sources.Unauthorized},
		{"text as roles", claims{"realm_access": claims{"roles": "org-admin"}}, sources.Unauthorized},
		{"number among roles", claims{"realm_access": claims{"roles": []any{1}}}, sources.Unauthorized},
		{"text as expiry", claims{"exp": "tomorrow"}, sources.Unauthorized},
		{"number in text as expiry", claims{"exp": "9999999999"}, sources.Unauthorized},
		{"expiry beyond numbers", claims{"exp": json.RawMessage("1e999")}, sources.Unauthorized},
		{"object as audience", claims{"aud": claims{}}, sources.Unauthorized},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := gate.Require(bearer(key.sign(t, i.claims(tt.changes))))
			wantKind(t, err, tt.want)
		})
	}
}

// TestWriterWithToken: who may not write is told so before what is wrong with the organization.
func TestWriterWithToken(t *testing.T) {
	t.Parallel()

	key := newSigner(t, jose.ES256, "1")
	i := newIssuer(t, key.public())
	r := bearer(key.sign(t, i.claims(claims{"org_id": "Org-1"})))
	r.Method = "POST"
	_, err := i.gate(&clock{at: noon}).Require(r)
	wantKind(t, err, sources.Invalid)
}

func TestRotation(t *testing.T) {
	t.Parallel()

	old, young := newSigner(t, jose.ES256, "old"), newSigner(t, jose.ES256, "young")
	i := newIssuer(t, old.public())
	gate := i.gate(&clock{at: noon})
	require := func(s signer, want sources.Kind) {
		t.Helper()
		_, err := gate.Require(bearer(s.sign(t, i.claims(nil))))
		wantKind(t, err, want)
	}
	require(young, sources.Unauthorized)
	require(old, good)
	i.Publish(old.public(), young.public())
	require(young, good)
	i.Publish(young.public())
	before := i.Asked(keysPath)
	require(young, good)
	if asked := i.Asked(keysPath); asked != before {
		t.Errorf("for a key that is known the issuer was asked %d times more", asked-before)
	}
	if asked := i.Asked(discoveryPath); asked != 1 {
		t.Errorf("the issuer was discovered %d times, want once", asked)
	}
}

// TestIssuerAway: nobody is refused for what the issuer does not say, and when it is back all is well.
func TestIssuerAway(t *testing.T) {
	t.Parallel()

	redirect := func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/elsewhere", http.StatusFound) }
	answer := func(status int, text string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(status)
			_, _ = w.Write([]byte(text))
		}
	}
	slow := func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }
	for name, h := range map[string]http.HandlerFunc{
		"failing":       answer(503, strings.Repeat("x", 2000)),
		"absent":        answer(404, ""),
		"no JSON":       answer(200, "<html>"),
		"empty":         answer(200, ""),
		"null":          answer(200, `{"issuer": null, "keys": 1}`),
		"oversized":     answer(200, `{"keys": [], "x": "`+strings.Repeat("x", 1<<20)+`"}`),
		"redirecting":   redirect,
		"slow":          slow,
		"hanging up":    func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
		"another's own": answer(200, `{"issuer": "http://other", "jwks_uri": "http://other/keys", "keys": "x"}`),
	} {
		for _, path := range []string{discoveryPath, keysPath} {
			t.Run(name+path, func(t *testing.T) {
				t.Parallel()
				testIssuerAway(t, path, h, name == "slow")
			})
		}
	}
}

func testIssuerAway(t *testing.T, path string, h http.HandlerFunc, slow bool) {
	key := newSigner(t, jose.ES256, "1")
	i := newIssuer(t, key.public())
	deadline := 5 * time.Second
	if slow {
		deadline = 50 * time.Millisecond
	}
	gate := identity.NewAt(i.config(), (&clock{at: noon}).Now, deadline)
	token := key.sign(t, i.claims(nil))
	i.Answer(path, h)
	_, err := gate.Require(bearer(token))
	wantKind(t, err, sources.Unavailable)
	if e, ok := err.(*sources.Error); !ok || e.Msg != "The token issuer is not available" || len(err.Error()) > 1000 {
		t.Errorf("Require() = %v", err)
	}
	if _, err := gate.Require(bearer("a.b.c")); sources.KindOf(err) != sources.Unauthorized {
		t.Errorf("what is no token is refused with %v, want Unauthorized", err)
	}
	if asked := i.Asked("/elsewhere"); asked != 0 {
		t.Error("a redirect was followed")
	}
	if slow {
		return // with its short deadline what follows would hang on the machine
	}
	i.Answer(path, nil)
	_, err = gate.Require(bearer(token))
	wantKind(t, err, good)
	i.Answer(discoveryPath, h)
	i.Answer(keysPath, h)
	_, err = gate.Require(bearer(token))
	wantKind(t, err, good) // its key is known
}

// TestNoKeysAddress: an issuer that publishes no keys is asked again, not remembered.
func TestNoKeysAddress(t *testing.T) {
	t.Parallel()

	key := newSigner(t, jose.ES256, "1")
	i := newIssuer(t, key.public())
	gate := i.gate(&clock{at: noon})
	token := key.sign(t, i.claims(nil))
	for _, uri := range []any{nil, "", 1} {
		i.Answer(discoveryPath, func(w http.ResponseWriter, _ *http.Request) {
			_ = json.NewEncoder(w).Encode(map[string]any{"issuer": i.URL, "jwks_uri": uri})
		})
		_, err := gate.Require(bearer(token))
		wantKind(t, err, sources.Unavailable)
	}
	i.Answer(discoveryPath, nil)
	_, err := gate.Require(bearer(token))
	wantKind(t, err, good)
}

// TestBurst: tokens that come while the issuer is being discovered wait for that one discovery, and one
// whose sender leaves leaves the others be.
func TestBurst(t *testing.T) {
	t.Parallel()

	key := newSigner(t, jose.ES256, "1")
	i := newIssuer(t, key.public())
	begun, finish := make(chan struct{}), make(chan struct{})
	i.Answer(discoveryPath, func(w http.ResponseWriter, r *http.Request) {
		i.Answer(discoveryPath, nil)
		close(begun)
		<-finish
		i.ServeHTTP(w, r) // counts once more
	})
	gate, token := i.gate(&clock{at: noon}), key.sign(t, i.claims(nil))
	first := make(chan error, 1)
	ctx, leave := contextWithCancel(t)
	go func() {
		_, err := gate.Require(bearer(token).WithContext(ctx))
		first <- err
	}()
	<-begun
	others := make(chan error, 20)
	for range cap(others) {
		go func() {
			_, err := gate.Require(bearer(token))
			others <- err
		}()
	}
	leave()
	wantKind(t, <-first, sources.Unavailable)
	close(finish)
	for range cap(others) {
		wantKind(t, <-others, good)
	}
	if asked := i.Asked(discoveryPath); asked != 2 {
		t.Errorf("the issuer was asked %d times, want once", asked-1)
	}
}

// FuzzClaims: whatever a token claims, there is a caller with an organization and a name and an identity
// that our own gateway mode reads as the same caller, or a refusal.
func FuzzClaims(f *testing.F) {
	f.Add([]byte(`{"exp": 1e10, "org_id": "1", "sub": "a", "realm_access": {"roles": ["org-admin"]}}`))
	f.Add([]byte(`{"exp": 1e10, "org_id": "1", "preferred_username": "\u0000\"<", "email": "\ud800", "account_number": "é"}`))
	f.Add([]byte(`{"exp": "1", "org_id": 1}`))
	f.Add([]byte(`null`))
	gate := identity.New(identity.Config{AuthMode: "identity", AllowDirectIdentity: true, RBACURL: "off"})
	f.Fuzz(func(t *testing.T, raw []byte) {
		caller, passedOn, err := identity.ParseClaims(raw, noon)
		if err != nil {
			wantKind(t, err, sources.Unauthorized)
			return
		}
		if caller.OrgID == "" || caller.Username == "" {
			t.Fatalf("%s is let in as %+v", raw, caller)
		}
		ctx, err := gate.Require(request("", passedOn))
		if err != nil {
			t.Fatalf("the identity of %s is refused: %v", raw, err)
		}
		if diff := cmp.Diff(caller, identity.From(ctx)); diff != "" {
			t.Errorf("the identity of %s is another caller (-token +identity):\n%s", raw, diff)
		}
	})
}
