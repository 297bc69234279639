// Package apitest calls the APIs as a client does, for tests: over HTTP, with an identity.
package apitest

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/insights-onprem/cost-sources/shared/httpapi"
	"github.com/insights-onprem/cost-sources/shared/identity"
)

// Identity is how a function is configured whose tests are their own gateway.
var Identity = identity.Config{AuthMode: "identity", AllowDirectIdentity: true, RBACURL: "off"}

// Header is the X-Rh-Identity of a user of an organization.
func Header(org string) string {
	return base64.StdEncoding.EncodeToString(fmt.Appendf(nil, `{
		"identity": {"org_id": %q, "account_number": "account-%s", "type": "User", "user": {"username": "admin", "email": ""}},
		"entitlements": {"cost_management": {"is_entitled": true}}}`, org, org))
}

// A Client calls an API for an organization.
type Client struct {
	URL string // up to the prefix of the API
	Org string // empty for a caller without an identity
	Key string // the Idempotency-Key, if there is to be one
}

// Serve serves an API until the test ends, and returns a client of an organization.
func Serve(t testing.TB, h http.Handler, org string) Client {
	t.Helper()
	srv := httptest.NewServer(h)
	t.Cleanup(srv.Close)
	return Client{URL: srv.URL, Org: org}
}

// An Answer is what the API replied.
type Answer struct {
	Status int
	Header http.Header
	Body   map[string]any // nil if there is none
	Text   string
}

// Do sends a request to a path below the prefix; body is JSON, or empty.
func (c Client) Do(t testing.TB, method, path, body string) Answer {
	t.Helper()
	answer, err := c.Try(t, method, path, body)
	if err != nil {
		t.Fatal(err)
	}
	return answer
}

// Try is Do for a server that may be gone. The answer has to be as documented.
func (c Client) Try(t testing.TB, method, path, body string) (Answer, error) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, c.URL+httpapi.Prefix+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if c.Org != "" {
		request.Header.Set("X-Rh-Identity", Header(c.Org))
	}
	if c.Key != "" {
		request.Header.Set("Idempotency-Key", c.Key)
	}
	if body != "" {
		request.Header.Set("Content-Type", "application/json")
	}
	client := http.Client{Timeout: time.Minute, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	response, err := client.Do(request)
	if err != nil {
		return Answer{}, err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return Answer{}, err
	}
	answer := Answer{Status: response.StatusCode, Header: response.Header, Text: string(text)}
	if len(text) > 0 {
		if err := json.Unmarshal(text, &answer.Body); err != nil {
			t.Fatalf("%s %s answered %d with what is no JSON object: %s", method, path, answer.Status, text)
		}
	}
	check(t, method, path, answer)
	return answer, nil
}

// Want is Do for a request that has to be answered with a status.
func (c Client) Want(t testing.TB, status int, method, path, body string) Answer {
	t.Helper()
	answer := c.Do(t, method, path, body)
	if answer.Status != status {
		t.Fatalf("%s %s %s = %d %s, want %d", method, path, body, answer.Status, answer.Text, status)
	}
	return answer
}

// ID is the id in the answer.
func (a Answer) ID() string { return fmt.Sprint(a.Body["id"]) }

// Problem is the first error of the answer as "status source: detail".
func (a Answer) Problem() string {
	list, ok := a.Body["errors"].([]any)
	if !ok || len(list) != 1 {
		return fmt.Sprintf("%d without exactly one error: %s", a.Status, a.Text)
	}
	e, _ := list[0].(map[string]any)
	return fmt.Sprintf("%v %v: %v", e["status"], e["source"], e["detail"])
}
