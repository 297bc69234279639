package preflight_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"

	"github.com/insights-onprem/cost-sources/functions/preflight/preflight"
)

// A peer answers at every path, and its own path where answers says so.
func peer(t *testing.T, status int, answers map[string]string) (url string) {
	t.Helper()
	var server *httptest.Server
	server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if answer, ok := answers[r.URL.Path]; ok {
			fmt.Fprint(w, strings.ReplaceAll(answer, "SELF", server.URL))
			return
		}
		w.Header().Set("Location", server.URL+"/"+secret)
		w.WriteHeader(status)
		fmt.Fprint(w, secret)
	}))
	t.Cleanup(server.Close)
	return server.URL
}

// jwks is a set of one key, for signatures or for something else.
func jwks(t *testing.T, use string) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	ours, err := json.Marshal(jose.JSONWebKey{Key: &key.PublicKey, KeyID: "k", Use: use})
	if err != nil {
		t.Fatal(err)
	}
	return `{"keys": [{"kty": "of the future"}, ` + string(ours) + `]}`
}

func TestIssuer(t *testing.T) {
	t.Parallel()

	const name, document = "OIDC_ISSUER ", "/realm/.well-known/openid-configuration"
	good := `{"issuer": "SELF/realm", "jwks_uri": "SELF/keys"}`
	for what, tt := range map[string]struct {
		answers map[string]string
		want    string
	}{
		"in order":      {map[string]string{document: good, "/keys": jwks(t, "sig")}, "ok " + name + "the issuer answers, with 1 key for signatures"},
		"no document":   {nil, "FAIL " + name + "SELF" + document + ": it answers 404 instead of 200"},
		"other issuer":  {map[string]string{document: `{"issuer": "SELF/realm/", "jwks_uri": "SELF/keys"}`}, "FAIL " + name + "SELF" + document + `: it calls itself "SELF/realm/", which is not what OIDC_ISSUER says: they have to be the same, to the last slash`},
		"no JSON":       {map[string]string{document: "<html>" + secret}, "FAIL " + name + "SELF" + document + ": it answers something that is not the expected JSON"},
		"no keys' URL":  {map[string]string{document: `{"issuer": "SELF/realm"}`}, "FAIL " + name + "SELF" + document + ": it names no jwks_uri: it is no issuer of tokens"},
		"keys are away": {map[string]string{document: good}, "FAIL " + name + "its keys at SELF/keys: it answers 404 instead of 200"},
		"keys for other things": {map[string]string{document: good, "/keys": jwks(t, "enc")},
			"FAIL " + name + "its keys at SELF/keys: none of the 2 is an RSA or EC key for signatures: give the realm one"},
	} {
		url := peer(t, http.StatusNotFound, tt.answers)
		lines, _ := run(t, "check", about(func(cfg *preflight.Config) {
			cfg.Callers = preflight.PartOf(preflight.Callers{AuthMode: "jwt", Issuer: url + "/realm", Audience: []string{"a"}, RBACURL: "off"}, nil)
		}))
		want(t, what, lines, strings.ReplaceAll(tt.want, "SELF", url), "ok RBAC_URL off: every entitled caller may do everything in their organization")
	}
}

// TestPeers: that somebody answers is enough.
func TestPeers(t *testing.T) {
	t.Parallel()

	nowhere, mute := closed(t), silent(t)
	collector := strings.TrimPrefix(peer(t, http.StatusOK, nil), "http://")
	tls := httptest.NewTLSServer(nil)
	t.Cleanup(tls.Close)
	tlsAt := strings.TrimPrefix(tls.URL, "https://")
	for _, tt := range []struct{ rbac, kruize, otlp, wantRBAC, wantKruize, wantOTLP string }{
		{"off", "", "", "ok RBAC_URL off…", "ok KRUIZE_URL not set: there is no Kruize", "ok OTEL_EXPORTER_OTLP_ENDPOINT not set: traces and metrics go nowhere"},
		{peer(t, 200, nil), peer(t, 200, nil), "http://" + collector, "ok RBAC_URL http…", "ok KRUIZE_URL http…", "ok OTEL_EXPORTER_OTLP_ENDPOINT " + collector + " takes connections"},
		{peer(t, 401, nil), peer(t, 404, nil), tls.URL, "ok RBAC_URL http…", "ok KRUIZE_URL http…", "FAIL OTEL_EXPORTER_OTLP_ENDPOINT " + tlsAt + ": its certificate is signed by an authority that is not known here: add …"},
		{peer(t, 404, nil), "", "", "warn RBAC_URL http…", "ok KRUIZE_URL not set…", "ok OTEL_EXPORTER_OTLP_ENDPOINT not set…"},
		{peer(t, 302, nil), peer(t, 503, nil), "https://" + collector, "warn RBAC_URL http…", "warn KRUIZE_URL http…", "FAIL OTEL_EXPORTER_OTLP_ENDPOINT " + collector + ": it does not speak TLS: check the port, or do without TLS"},
		{"http://" + nowhere, "http://user:" + secret + "@" + nowhere + "/kruize", "http://" + nowhere,
			"FAIL RBAC_URL http://" + nowhere + "/api/rbac/v1/access/: nothing listens there (connection refused): check the port, and whether the service runs",
			"FAIL KRUIZE_URL http://" + nowhere + "/kruize/: nothing listens there (connection refused): check the port, and whether the service runs",
			"FAIL OTEL_EXPORTER_OTLP_ENDPOINT " + nowhere + ": nothing listens there (connection refused): check the port, and whether the service runs"},
		{"http://" + mute, "http://kruize.invalid", "http://otel.invalid", "FAIL RBAC_URL http://" + mute + "/api/rbac/v1/access/: no answer in time: check the address, and whether a network policy or a firewall is in between",
			"FAIL KRUIZE_URL http://kruize.invalid/: the name kruize.invalid …", "FAIL OTEL_EXPORTER_OTLP_ENDPOINT otel.invalid:80: the name otel.invalid …"},
	} {
		lines, _ := run(t, "check", about(func(cfg *preflight.Config) {
			cfg.Callers = preflight.PartOf(preflight.Callers{AuthMode: "identity", GatewaySecret: []string{secret}, RBACURL: tt.rbac}, nil)
			cfg.Kruize, cfg.OTLP = preflight.PartOf(preflight.Kruize{URL: tt.kruize}, nil), preflight.PartOf(preflight.OTLP{Endpoint: tt.otlp}, nil)
		}))
		want(t, tt.rbac, lines, "ok AUTH_MODE identity: callers come through a gateway, no issuer is asked", tt.wantRBAC, tt.wantKruize, tt.wantOTLP)
	}
}
