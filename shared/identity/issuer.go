package identity

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/sync/singleflight"
)

// issuer is where tokens come from. What it publishes is fetched when the first token comes; a failure is
// forgotten, so that the next token tries again.
type issuer struct {
	url    string
	client *http.Client
	asking singleflight.Group
	keys   atomic.Pointer[oidc.RemoteKeySet] // nil until it is known where they are
}

func newIssuer(url string, deadline time.Duration) *issuer {
	return &issuer{url: url, client: newClient(deadline)}
}

func (i *issuer) keySet(ctx context.Context) (*oidc.RemoteKeySet, error) {
	if keys := i.keys.Load(); keys != nil {
		return keys, nil
	}
	return askOnce(ctx, &i.asking, "keys", i.discover)
}

// discover belongs to nobody's request: others wait for it too, and the key set keeps its context.
func (i *issuer) discover() (*oidc.RemoteKeySet, error) {
	if keys := i.keys.Load(); keys != nil {
		return keys, nil // somebody was quicker
	}
	ctx := oidc.ClientContext(context.Background(), i.client)
	provider, err := oidc.NewProvider(ctx, i.url)
	if err != nil {
		return nil, fmt.Errorf("discovery at %s: %w", i.url, err)
	}
	var published struct {
		KeysURL string `json:"jwks_uri"`
	}
	if err := provider.Claims(&published); err != nil || published.KeysURL == "" {
		return nil, errors.Join(fmt.Errorf("discovery at %s: no jwks_uri", i.url), err)
	}
	keys := oidc.NewRemoteKeySet(ctx, published.KeysURL)
	i.keys.Store(keys)
	return keys, nil
}

// lookup is the keys as one verification sees them. The verifier keeps only the text of an error, and who
// is told needs to know whether the token is bad or the keys cannot be had.
type lookup struct {
	issuer *issuer
	away   error
}

// VerifySignature is for the verifier. Keys that are known are not asked for again until one does not fit.
func (l *lookup) VerifySignature(ctx context.Context, token string) ([]byte, error) {
	keys, err := l.issuer.keySet(ctx)
	if err != nil {
		l.away = err
		return nil, err
	}
	payload, err := keys.VerifySignature(ctx, token)
	if errors.Unwrap(err) != nil { // why the keys cannot be fetched; that none of them fits has no cause
		l.away = err
	}
	return payload, err
}
