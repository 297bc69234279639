package preflight

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// The bounds of a peer's answer.
const (
	peerWithin = 5 * time.Second
	maxAnswer  = 1 << 20
)

// get asks a peer. As in the functions no redirect is followed. The error is for people, and without the URL.
func get(ctx context.Context, address string) (status int, body []byte, err error) {
	ctx, cancel := context.WithTimeout(ctx, peerWithin)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return 0, nil, errors.New(explain(err))
	}
	client := http.Client{
		Transport:     &http.Transport{Proxy: http.ProxyFromEnvironment, DisableKeepAlives: true, ForceAttemptHTTP2: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	response, err := client.Do(request)
	if err != nil {
		return 0, nil, errors.New(explain(err))
	}
	defer response.Body.Close()
	body, err = io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	if err != nil {
		return 0, nil, fmt.Errorf("the answer breaks off: %s", explain(err))
	}
	return response.StatusCode, body, nil
}

// host is what may be shown of a URL: the rest may hold a password.
func host(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return "an address that is none"
	}
	return u.Scheme + "://" + u.Host + u.EscapedPath()
}

func checkRBAC(ctx context.Context, cfg Callers, r *report) {
	const name = "RBAC_URL"
	if cfg.RBACURL == "off" {
		r.ok(name, "off: every entitled caller may do everything in their organization")
		return
	}
	checkAnswers(ctx, name, strings.TrimRight(cfg.RBACURL, "/")+"/api/rbac/v1/access/?application=cost-management&limit=1", true, r)
}

func checkKruize(ctx context.Context, cfg Kruize, r *report) {
	const name = "KRUIZE_URL"
	if cfg.URL == "" {
		r.ok(name, "not set: there is no Kruize")
		return
	}
	checkAnswers(ctx, name, strings.TrimSuffix(cfg.URL, "/")+"/", false, r)
}

// checkAnswers reports whether there is an HTTP server. What it thinks of a question without an identity does not
// matter, but for one that does not know the path, where that is the very one that the functions use.
func checkAnswers(ctx context.Context, name, address string, exact bool, r *report) {
	status, _, err := get(ctx, address)
	switch {
	case err != nil:
		r.fail(name, "%s: %v", host(address), err)
	case status >= 300 && status < 400:
		r.warn(name, "%s answers %d, a redirect, and the functions follow none: give the address that it leads to", host(address), status)
	case exact && status == http.StatusNotFound:
		r.warn(name, "%s answers 404, for which the functions would refuse every caller: give the address of the service itself, without a path that it does not have", host(address))
	case status >= 500:
		r.warn(name, "%s answers %d: it may not be ready, or a gateway in between does not find it", host(address), status)
	default:
		r.ok(name, "%s answers (%d)", host(address), status)
	}
}

// checkOTLP only connects: the collector may speak gRPC.
func checkOTLP(ctx context.Context, cfg OTLP, r *report) {
	const name = "OTEL_EXPORTER_OTLP_ENDPOINT"
	if cfg.Endpoint == "" {
		r.ok(name, "not set: traces and metrics go nowhere")
		return
	}
	u, err := url.Parse(cfg.Endpoint)
	if err != nil {
		r.fail(name, "not an address")
		return
	}
	ctx, cancel := context.WithTimeout(ctx, peerWithin)
	defer cancel()
	at := net.JoinHostPort(u.Hostname(), port(u))
	var conn net.Conn
	if u.Scheme == "https" {
		conn, err = (&tls.Dialer{}).DialContext(ctx, "tcp", at)
	} else {
		conn, err = (&net.Dialer{}).DialContext(ctx, "tcp", at)
	}
	if err != nil {
		r.fail(name, "%s: %s", at, explain(err))
		return
	}
	_ = conn.Close()
	r.ok(name, "%s takes connections", at)
}

func port(u *url.URL) string {
	switch {
	case u.Port() != "":
		return u.Port()
	case u.Scheme == "https":
		return "443"
	default:
		return "80"
	}
}
