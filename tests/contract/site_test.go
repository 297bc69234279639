// Package contract_test holds what the contract says of the HTTP API against what answers over real HTTP:
// the two functions as they are deployed, each a process of its own, and functions/dev, which has all of
// them in one. Rules that a package can be held to alone are tested beside it; here is what shows only on
// the whole.
package contract_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/insights-onprem/cost-sources/shared/httpapi"
	"github.com/insights-onprem/cost-sources/shared/httpapi/apitest"
	"github.com/insights-onprem/cost-sources/shared/store/storetest"
)

// A site is a place where the whole API is served. Each test has organizations of its own in it.
type site struct {
	sources, applications string // where the two functions listen
	provisions            bool   // events lead to providers
	db                    *pgxpool.Pool
}

// sites are the two ways to run the API.
var sites = map[string]func(t *testing.T, databaseURL string) site{"functions": functions, "dev": dev}

// functions runs the two functions.
func functions(t *testing.T, databaseURL string) site {
	return functionsThrough(t, databaseURL, straight)
}

// functionsThrough is functions that come to the database another way. Their events are accepted by a
// sink that keeps nothing.
func functionsThrough(t *testing.T, databaseURL string, way func(address string) string) site {
	t.Helper()
	sink := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // so that the connection is used again
		w.WriteHeader(http.StatusNoContent)
	}))
	t.Cleanup(sink.Close)
	return apis(t, databaseURL, way, "K_SINK="+sink.URL, "AUTH_MODE=identity", "ALLOW_DIRECT_IDENTITY=true", "RBAC_URL=off")
}

// apis runs the two functions, each with its role and with some variables more.
func apis(t *testing.T, databaseURL string, way func(address string) string, env ...string) site {
	t.Helper()
	run := func(function string) string {
		return start(t, function, append(env, "DATABASE_URL="+way(storetest.As(function, databaseURL)))...)
	}
	return site{sources: run("sources"), applications: run("applications"), db: open(t, databaseURL)}
}

// straight is the way to the database that has nothing in between.
func straight(address string) string { return address }

// dev runs functions/dev, with a Kafka broker of its own.
func dev(t *testing.T, databaseURL string) site {
	t.Helper()
	url := start(t, "dev", "DATA_DIR="+t.TempDir(), "DATABASE_URL="+databaseURL, "ROS_DATABASE_URL="+storetest.Empty(t))
	return site{sources: url, applications: url, provisions: true, db: open(t, databaseURL)}
}

func open(t *testing.T, databaseURL string) *pgxpool.Pool {
	t.Helper()
	pool, err := pgxpool.New(t.Context(), databaseURL)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	return pool
}

// contract are the tests that every site is put to.
var contract = map[string]func(*testing.T, site){
	"routes":                  routes,
	"unknown paths":           unknownPaths,
	"ids":                     ids,
	"bodies":                  bodies,
	"errors of sources":       sourceErrors,
	"errors of applications":  applicationErrors,
	"views":                   views,
	"filters of sources":      sourceFilters,
	"filters of applications": applicationFilters,
	"filters of types":        typeFilters,
	"refused filters":         refusedFilters,
	"orders":                  orders,
	"pages":                   pages,
	"framing":                 framing,
	"callers":                 callers,
	"unwritable organization": unwritable,
	"operator":                operator,
	"organizations apart":     apart,
	"crowd":                   crowd,
}

func (s site) test(t *testing.T) {
	t.Helper()
	for name, test := range contract {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, s)
		})
	}
}

// TestContract runs the same tests on both sites.
func TestContract(t *testing.T) {
	t.Parallel()

	for name, serve := range sites {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			serve(t, storetest.Database(t)).test(t)
		})
	}
}

// client is the one that all calls are made with. It keeps a connection for each of a crowd.
var client = &http.Client{
	Timeout:       time.Minute,
	Transport:     &http.Transport{MaxIdleConnsPerHost: 128, DisableCompression: true},
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
}

// A call is a request to the API.
type call struct {
	method, path string // the path below the prefix, as it goes over the wire
	body         string // JSON, unless the header says otherwise
	org          string // empty for a caller without an identity
	header       map[string]string
}

func (c call) String() string {
	return fmt.Sprintf("%s %.200s %.300s", c.method, c.path, c.body)
}

// identity is the X-Rh-Identity of a user. They all have one name and one account number: nothing but the
// organization tells them apart.
func identity(org string) string {
	return base64.StdEncoding.EncodeToString(fmt.Appendf(nil, `{"identity": {"org_id": %q, "account_number": "7890123", "type": "User",
		"user": {"username": "admin", "email": ""}}, "entitlements": {"cost_management": {"is_entitled": true}}}`, org))
}

// root is where the function listens that a path belongs to.
func (s site) root(path string) string {
	if strings.HasPrefix(path, "/application") {
		return s.applications
	}
	return s.sources
}

// try makes a call. Its error is also that the answer breaks a rule that every answer has to keep.
func (s site) try(ctx context.Context, c call) (apitest.Answer, error) {
	request, err := http.NewRequestWithContext(ctx, c.method, s.root(c.path)+httpapi.Prefix+c.path, strings.NewReader(c.body))
	if err != nil {
		return apitest.Answer{}, err
	}
	if c.body != "" {
		request.Header.Set("Content-Type", "application/json")
	}
	if c.org != "" {
		request.Header.Set("X-Rh-Identity", identity(c.org))
	}
	for name, value := range c.header {
		request.Header.Set(name, value)
	}
	return exchange(request)
}

func exchange(request *http.Request) (apitest.Answer, error) {
	response, err := client.Do(request)
	if err != nil {
		return apitest.Answer{}, err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return apitest.Answer{}, err
	}
	if len(response.TransferEncoding) > 0 {
		return apitest.Answer{}, fmt.Errorf("the answer is %v", response.TransferEncoding)
	}
	answer := apitest.Answer{Status: response.StatusCode, Header: response.Header, Text: string(text)}
	if len(text) > 0 {
		if err := json.Unmarshal(text, &answer.Body); err != nil {
			return answer, fmt.Errorf("answered %d with what is no JSON object: %s", answer.Status, text)
		}
	}
	return answer, keepsRules(request.Method, answer)
}

// keepsRules reports what no answer may be like, whatever it answers.
func keepsRules(method string, a apitest.Answer) error {
	length := a.Header.Get("Content-Length")
	switch {
	case a.Status == http.StatusNoContent && a.Text == "":
		return nil
	case a.Header.Get("Content-Type") != "application/json":
		return fmt.Errorf("answered %d with Content-Type %q", a.Status, a.Header.Get("Content-Type"))
	case method == http.MethodHead && (a.Text != "" || length == "" || length == "0"):
		return fmt.Errorf("HEAD is answered with Content-Length %q and the body %q", length, a.Text)
	case method != http.MethodHead && length != strconv.Itoa(len(a.Text)):
		return fmt.Errorf("%d bytes come with Content-Length %q", len(a.Text), length)
	case method != http.MethodHead && a.Status >= 300:
		return keepsErrorForm(a)
	}
	return nil
}

// inside are words that a client may not read in an error.
var inside = []string{"SELECT", "SQLSTATE", "pgx", "pgconn", "dial tcp", "127.0.0.1", "json:", "goroutine", "sources.source", "context deadline"}

// keepsErrorForm holds an error to the one form there is.
func keepsErrorForm(a apitest.Answer) error {
	var form struct {
		Errors []struct {
			Detail *string         `json:"detail"`
			Source json.RawMessage `json:"source"`
			Status int             `json:"status"`
		} `json:"errors"`
	}
	decoder := json.NewDecoder(bytes.NewReader([]byte(a.Text)))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&form); err != nil || len(form.Errors) != 1 {
		return fmt.Errorf("%d is not answered with one error: %s", a.Status, a.Text)
	}
	e := form.Errors[0]
	if e.Detail == nil || *e.Detail == "" || e.Source == nil || string(e.Source) == `""` || e.Status != a.Status {
		return fmt.Errorf("%d is answered with %s", a.Status, a.Text)
	}
	if i := slices.IndexFunc(inside, func(word string) bool { return strings.Contains(a.Text, word) }); i >= 0 {
		return fmt.Errorf("the error tells of the inside, %q: %s", inside[i], a.Text)
	}
	return nil
}

// do makes a call that has to be answered.
func (s site) do(t testing.TB, c call) apitest.Answer {
	t.Helper()
	answer, err := s.try(t.Context(), c)
	if err != nil {
		t.Fatalf("%s: %v", c, err)
	}
	return answer
}

// want makes a call that has to be answered with a status.
func (s site) want(t testing.TB, status int, c call) apitest.Answer {
	t.Helper()
	answer := s.do(t, c)
	if answer.Status != status {
		t.Fatalf("%s = %d %s, want %d", c, answer.Status, answer.Text, status)
	}
	return answer
}

// refused makes a call that has to be answered with an error, given as "status source: detail".
func (s site) refused(t testing.TB, want string, c call) {
	t.Helper()
	if got := s.do(t, c).Problem(); got != want {
		t.Errorf("%s\n got %s\nwant %s", c, got, want)
	}
}

// add makes a source of an organization, with what else is to be said of it.
func (s site) add(t testing.TB, org, name, more string) apitest.Answer {
	t.Helper()
	return s.want(t, 201, call{method: "POST", path: "/sources", org: org, body: fmt.Sprintf(`{"name": %q, "source_type_id": "1"%s}`, name, more)})
}

// rows are the values of a member in the data of a list, in its order.
func rows(a apitest.Answer, member string) []string {
	found := []string{}
	data, _ := a.Body["data"].([]any)
	for _, row := range data {
		fields, _ := row.(map[string]any)
		found = append(found, fmt.Sprint(fields[member]))
	}
	return found
}

// count is what a list says of itself.
func count(a apitest.Answer) int {
	meta, _ := a.Body["meta"].(map[string]any)
	n, ok := meta["count"].(float64)
	if !ok {
		return -1
	}
	return int(n)
}

// members are the names in an object, sorted.
func members(object any) []string {
	m, _ := object.(map[string]any)
	return slices.Sorted(maps.Keys(m))
}

// operations is how many operations something that could go on for ever does.
func operations(t testing.TB, usual int) int {
	t.Helper()
	text := os.Getenv("CONTRACT_OPERATIONS")
	if text == "" {
		return usual
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		t.Fatalf("CONTRACT_OPERATIONS: %q is no number of operations", text)
	}
	return n
}
