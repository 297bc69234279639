package identity

import (
	"context"
	"errors"
	"net/http"
	"time"

	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
	"golang.org/x/sync/singleflight"
)

// The bounds of what a peer answers, and of what of it is logged, in bytes.
const (
	maxAnswer = 1 << 20
	maxHeader = 64 << 10
	maxLogged = 500
)

// newClient makes a client that follows no redirect: tokens and identities go where the configuration
// says, and keys come from there.
func newClient(deadline time.Duration) *http.Client {
	return &http.Client{
		Timeout:       deadline,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: otelhttp.NewTransport(bounded{&http.Transport{
			Proxy:                  http.ProxyFromEnvironment,
			ForceAttemptHTTP2:      true,
			MaxResponseHeaderBytes: maxHeader,
			MaxIdleConnsPerHost:    16,
			IdleConnTimeout:        90 * time.Second,
		}}),
	}
}

// bounded cuts off bodies that are too long, with an error.
type bounded struct{ next http.RoundTripper }

func (b bounded) RoundTrip(r *http.Request) (*http.Response, error) {
	response, err := b.next.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	response.Body = http.MaxBytesReader(nil, response.Body, maxAnswer)
	return response, nil
}

// askOnce lets all who ask the same at the same time wait for one answer, each until their own ctx ends.
func askOnce[T any](ctx context.Context, asking *singleflight.Group, what string, ask func() (T, error)) (answer T, err error) {
	select {
	case <-ctx.Done():
		return answer, ctx.Err()
	case result := <-asking.DoChan(what, func() (any, error) { return ask() }):
		answer, _ = result.Val.(T)
		return answer, result.Err
	}
}

// shortened is for errors that quote what a peer answered.
func shortened(err error) error {
	if text := err.Error(); len(text) > maxLogged {
		return errors.New(text[:maxLogged] + "…")
	}
	return err
}
