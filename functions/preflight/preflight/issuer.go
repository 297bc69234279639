package preflight

import (
	"context"
	"crypto/ecdsa"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/go-jose/go-jose/v4"
)

func checkCallers(ctx context.Context, cfg Callers, r *report) {
	checkIssuer(ctx, cfg, r)
	checkRBAC(ctx, cfg, r)
}

// checkIssuer reports whether tokens could be checked.
func checkIssuer(ctx context.Context, cfg Callers, r *report) {
	const name = "OIDC_ISSUER"
	if cfg.AuthMode != "jwt" {
		r.ok("AUTH_MODE", "%s: callers come through a gateway, no issuer is asked", cfg.AuthMode)
		return
	}
	var document struct {
		Issuer  string `json:"issuer"`
		KeysURL string `json:"jwks_uri"`
	}
	at := strings.TrimSuffix(cfg.Issuer, "/") + "/.well-known/openid-configuration"
	if err := getJSON(ctx, at, &document); err != nil {
		r.fail(name, "%s: %v", host(at), err)
		return
	}
	if document.Issuer != cfg.Issuer {
		r.fail(name, "%s: it calls itself %q, which is not what OIDC_ISSUER says: they have to be the same, to the last slash", host(at), document.Issuer)
		return
	}
	if !isAddress(document.KeysURL) {
		r.fail(name, "%s: it names no jwks_uri: it is no issuer of tokens", host(at))
		return
	}
	checkKeys(ctx, name, document.KeysURL, r)
}

func checkKeys(ctx context.Context, name, at string, r *report) {
	var published struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := getJSON(ctx, at, &published); err != nil {
		r.fail(name, "its keys at %s: %v", host(at), err)
		return
	}
	usable := 0
	for _, text := range published.Keys {
		var key jose.JSONWebKey
		if json.Unmarshal(text, &key) == nil && signs(key) { // what is not known is for others
			usable++
		}
	}
	if usable == 0 {
		r.fail(name, "its keys at %s: none of the %d is an RSA or EC key for signatures: give the realm one", host(at), len(published.Keys))
		return
	}
	r.ok(name, "the issuer answers, with %s for signatures", count(usable, "key"))
}

func isAddress(text string) bool {
	u, err := url.Parse(text)
	return err == nil && isHTTP(u)
}

// signs reports whether a token that is signed with key would be taken.
func signs(key jose.JSONWebKey) bool {
	if !key.Valid() || key.Use != "" && key.Use != "sig" {
		return false
	}
	switch key.Key.(type) {
	case *rsa.PublicKey, *ecdsa.PublicKey:
		return true
	}
	return false
}

// getJSON is get for an answer that has to be a JSON document.
func getJSON(ctx context.Context, address string, into any) error {
	status, body, err := get(ctx, address)
	switch {
	case err != nil:
		return err
	case status != http.StatusOK:
		return fmt.Errorf("it answers %d instead of 200", status)
	}
	if err := json.Unmarshal(body, into); err != nil {
		return errors.New("it answers something that is not the expected JSON")
	}
	return nil
}
