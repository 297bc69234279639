//go:build e2e

package e2e_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/insights-onprem/cost-sources/shared/httpapi"
)

// patience is how long a client tries, and a test waits, at all.
const patience = 4 * time.Minute

// A client calls the APIs through the ingress, with a token of an organization.
type client struct {
	gateway, host, token string
	failures             atomic.Int64 // tries that were not answered, or with what tells a client to try again
}

func (w *world) client(t *testing.T, org string) *client {
	t.Helper()
	token, err := w.issuer.token(org)
	if err != nil {
		t.Fatal(err)
	}
	return &client{gateway: w.gateway, host: w.host, token: token}
}

// A call is a request to one of the APIs.
type call struct {
	method, path, body string
	key                string // the Idempotency-Key of a POST
}

// A reply is how a call was answered.
type reply struct {
	status int
	body   map[string]any
	text   string
	tries  int
}

// id is a number of the reply's body that is written as text.
func (r reply) id() (id int64, err error) {
	_, err = fmt.Sscan(fmt.Sprint(r.body["id"]), &id)
	return id, err
}

// want makes a call once, which has to be answered with a status.
func (c *client) want(t *testing.T, status int, method, path, body string) reply {
	t.Helper()
	r, err := c.once(t.Context(), call{method: method, path: path, body: body})
	if err != nil {
		t.Fatal(err)
	}
	if r.status != status {
		t.Fatalf("%s %s %s = %d %s, want %d", method, path, body, r.status, r.text, status)
	}
	return r
}

// answered makes a call once, and returns an error unless it is answered with a status.
func (c *client) answered(t *testing.T, status int, what call) error {
	r, err := c.once(t.Context(), what)
	if err == nil && r.status != status {
		err = fmt.Errorf("%s %s = %d %s, want %d", what.method, what.path, r.status, r.text, status)
	}
	return err
}

// try makes a call until it is answered by something else than that a part of the system is away.
func (c *client) try(ctx context.Context, what call) (reply, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	pause := time.NewTicker(500 * time.Millisecond)
	defer pause.Stop()
	for tries := 1; ; tries++ {
		r, err := c.once(ctx, what)
		r.tries = tries
		if err == nil && r.status < 500 && r.status != http.StatusFailedDependency {
			return r, nil
		}
		c.failures.Add(1)
		select {
		case <-pause.C:
		case <-ctx.Done():
			return r, fmt.Errorf("%s %s: not answered in %v: %d %s %w", what.method, what.path, patience, r.status, r.text, err)
		}
	}
}

// web does not follow redirects, as no client of ours does.
var web = http.Client{
	Timeout:       time.Minute, // a function may have to be started first
	Transport:     &http.Transport{MaxIdleConnsPerHost: 100},
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
}

func (c *client) once(ctx context.Context, what call) (r reply, err error) {
	request, err := http.NewRequestWithContext(ctx, what.method, c.gateway+httpapi.Prefix+what.path, strings.NewReader(what.body))
	if err != nil {
		return r, err
	}
	request.Host = c.host
	request.Header.Set("Authorization", "Bearer "+c.token)
	request.Header.Set("Content-Type", "application/json")
	if what.key != "" {
		request.Header.Set("Idempotency-Key", what.key)
	}
	response, err := web.Do(request)
	if err != nil {
		return r, err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return r, err
	}
	r.status, r.text = response.StatusCode, string(text)
	if len(text) > 0 && r.status < 500 { // of a 5xx the text may be the ingress's
		err = json.Unmarshal(text, &r.body)
	}
	return r, err
}
