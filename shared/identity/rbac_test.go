package identity_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/google/go-cmp/cmp"

	"github.com/insights-onprem/cost-sources/shared/identity"
	"github.com/insights-onprem/cost-sources/shared/sources"
)

func contextWithCancel(t *testing.T) (context.Context, context.CancelFunc) {
	return context.WithCancel(t.Context())
}

// rbacGate asks RBAC about callers of a gateway.
func rbacGate(url string, now func() time.Time) *identity.Gate {
	return identity.NewAt(identity.Config{AuthMode: "identity", AllowDirectIdentity: true, RBACURL: url}, now, 5*time.Second)
}

// rbac answers with one page, and counts how often it is asked.
type rbac struct {
	URL   string
	asked atomic.Int32
}

func newRBAC(t *testing.T, h http.HandlerFunc) *rbac {
	t.Helper()
	b := &rbac{}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b.asked.Add(1)
		h(w, r)
	}))
	t.Cleanup(srv.Close)
	b.URL = srv.URL
	return b
}

func says(status int, text string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		_, _ = w.Write([]byte(text))
	}
}

// page is RBAC's answer with permissions, and with a link where next is not empty.
func page(next string, permissions ...string) string {
	data := []map[string]any{}
	for _, p := range permissions {
		data = append(data, map[string]any{"permission": p, "resourceDefinitions": []any{}})
	}
	links := map[string]any{"next": nil}
	if next != "" {
		links["next"] = next
	}
	text, err := json.Marshal(map[string]any{"meta": map[string]int{"count": len(data)}, "links": links, "data": data})
	if err != nil {
		panic(err) // a test's own mistake
	}
	return string(text)
}

func caller(method string) *http.Request {
	r := request("", encoded(user))
	r.Method = method
	return r
}

// wantMay checks what a caller may do.
func wantMay(t *testing.T, gate *identity.Gate, read, write sources.Kind) {
	t.Helper()
	for method, want := range map[string]sources.Kind{"GET": read, "HEAD": read, "POST": write, "PATCH": write, "DELETE": write} {
		_, err := gate.Require(caller(method))
		wantKind(t, err, want)
	}
}

func TestPermissions(t *testing.T) {
	t.Parallel()

	const no = sources.Forbidden
	tests := []struct {
		name, answer string
		read, write  sources.Kind
	}{
		{"none", page(""), no, no},
		{"read", page("", "cost-management:sources:read"), good, no},
		{"write", page("", "cost-management:sources:write"), good, good},
		{"every verb", page("", "cost-management:sources:*"), good, good},
		{"every resource", page("", "cost-management:*:read"), good, no},
		{"everything", page("", "cost-management:*:*"), good, good},
		{"write of every resource", page("", "cost-management:*:write"), good, good},
		{"among others", page("", "cost-management:rate:write", "cost-management:sources:read"), good, no},
		{"another resource", page("", "cost-management:rate:*"), no, no},
		{"another application", page("", "inventory:*:*", "*:*:*", "sources:sources:write"), no, no},
		{"another verb", page("", "cost-management:sources:update"), no, no},
		{"part of a verb", page("", "cost-management:sources:wri*"), no, no},
		{"other forms", page("", "", "*", "cost-management:*", "cost-management:sources", "cost-management:sources:read:x", " cost-management:*:*", "Cost-Management:*:*"), no, no},
		{"confined", `{"data": [{"permission": "cost-management:*:*", "resourceDefinitions": [{"attributeFilter": {}}]}]}`, no, no},
		{"confined to null", `{"data": [{"permission": "cost-management:*:*", "resourceDefinitions": [null]}]}`, no, no},
		{"write confined", `{"data": [{"permission": "cost-management:sources:read"}, {"permission": "cost-management:sources:write", "resourceDefinitions": [1]}]}`, good, no},
		{"confinement null", `{"data": [{"permission": "cost-management:*:*", "resourceDefinitions": null}], "links": null}`, good, good},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			b := newRBAC(t, says(200, tt.answer))
			wantMay(t, rbacGate(b.URL, time.Now), tt.read, tt.write)
			if asked := b.asked.Load(); asked != 1 {
				t.Errorf("RBAC was asked %d times, want once", asked)
			}
		})
	}
}

// TestQuestion: what RBAC is asked, and that the identity reaches it as it came.
func TestQuestion(t *testing.T) {
	t.Parallel()

	var got []string
	b := newRBAC(t, func(w http.ResponseWriter, r *http.Request) {
		got = append(got, r.Method+" "+r.URL.String(), r.Header.Get("X-Rh-Identity"))
		says(200, page("", "cost-management:*:*"))(w, r)
	})
	_, err := rbacGate(b.URL+"/prefix/", time.Now).Require(caller("GET"))
	wantKind(t, err, good)
	want := []string{"GET /prefix/api/rbac/v1/access/?application=cost-management&limit=100", encoded(user)}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("RBAC was asked otherwise (-want +got):\n%s", diff)
	}
}

// TestQuestionWithToken: RBAC is shown the identity that the token proves, not the one that the client
// would like to have.
func TestQuestionWithToken(t *testing.T) {
	t.Parallel()

	key := newSigner(t, jose.ES256, "1")
	i := newIssuer(t, key.public())
	var shown []byte
	b := newRBAC(t, func(w http.ResponseWriter, r *http.Request) {
		shown, _ = base64.StdEncoding.DecodeString(r.Header.Get("X-Rh-Identity"))
		says(200, page("", "cost-management:sources:read"))(w, r)
	})
	cfg := i.config()
	cfg.RBACURL = b.URL
	r := bearer(key.sign(t, i.claims(nil)))
	r.Header.Set("X-Rh-Identity", encoded(user))
	gate := identity.NewAt(cfg, (&clock{at: noon}).Now, 5*time.Second)
	_, err := gate.Require(r)
	wantKind(t, err, good)
	var got, want any
	if err := json.Unmarshal(shown, &got); err != nil {
		t.Fatal(err)
	}
	text := `{"identity": {"org_id": "1234567", "account_number": "7890123", "type": "User",
		"user": {"username": "admin", "email": "a@example.com", "is_org_admin": true}},
		"entitlements": {"cost_management": {"is_entitled": true}}}`
	if err := json.Unmarshal([]byte(text), &want); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("RBAC was shown another identity (-want +got):\n%s", diff)
	}
	r.Method = "POST"
	_, err = gate.Require(r)
	wantKind(t, err, sources.Forbidden) // though the caller is an org admin
}

// TestOrder: 401 comes before 403, and that before the 400 about the organization.
func TestOrder(t *testing.T) {
	t.Parallel()

	b := newRBAC(t, says(200, page("", "cost-management:sources:read")))
	gate := rbacGate(b.URL, time.Now)
	post := func(header string) error {
		r := request("", header)
		r.Method = "POST"
		_, err := gate.Require(r)
		return err
	}
	wantKind(t, post(""), sources.Unauthorized)
	if asked := b.asked.Load(); asked != 0 {
		t.Error("RBAC was asked about nobody")
	}
	wantKind(t, post(encoded(strings.Replace(user, "1234567", "Org-1", 1))), sources.Forbidden)
}

func TestPages(t *testing.T) {
	t.Parallel()

	other := newRBAC(t, says(200, page("", "cost-management:*:*")))
	tests := []struct {
		name        string
		next        func(self string, n int) string // the link on page n, from 1; empty for none
		last        int                             // the page with the permission
		read        sources.Kind
		asked       int32
		permissions []string
	}{
		{"a path", func(_ string, n int) string { return fmt.Sprintf("/api/rbac/v1/access/?offset=%d", n) }, 3, good, 3, nil},
		{"a query", func(_ string, n int) string { return fmt.Sprintf("?offset=%d", n) }, 2, good, 2, nil},
		{"an address", func(self string, n int) string { return fmt.Sprintf("%s/x?offset=%d", self, n) }, 2, good, 2, nil},
		{"20 pages", func(_ string, n int) string { return fmt.Sprintf("?offset=%d", n) }, 20, good, 20, nil},
		{"21 pages", func(_ string, n int) string { return fmt.Sprintf("?offset=%d", n) }, 21, sources.Forbidden, 20, nil},
		{"none", func(string, int) string { return "" }, 2, sources.Forbidden, 1, nil},
		{"another host", func(string, int) string { return other.URL + "/" }, 2, sources.Unavailable, 1, nil},
		{"another host without a scheme", func(string, int) string { return strings.TrimPrefix(other.URL, "http:") }, 2, sources.Unavailable, 1, nil},
		{"another scheme", func(self string, _ int) string { return strings.Replace(self, "http", "https", 1) }, 2, sources.Unavailable, 1, nil},
		{"no link", func(string, int) string { return "%zz" }, 2, sources.Unavailable, 1, nil},
		{"read, then another host", func(string, int) string { return other.URL }, 2, sources.Unavailable, 1, []string{"cost-management:sources:read"}},
		{"all, then another host", func(string, int) string { return other.URL }, 2, good, 1, []string{"cost-management:*:*"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var b *rbac
			b = newRBAC(t, func(w http.ResponseWriter, r *http.Request) {
				n, permissions := int(b.asked.Load()), tt.permissions
				if n == tt.last {
					permissions = []string{"cost-management:sources:write"}
				}
				if r.Header.Get("X-Rh-Identity") == "" {
					t.Errorf("page %d was asked for without an identity", n)
				}
				says(200, page(tt.next(b.URL, n), permissions...))(w, r)
			})
			_, err := rbacGate(b.URL, time.Now).Require(caller("GET"))
			wantKind(t, err, tt.read)
			if tt.read == sources.Unavailable && !strings.Contains(err.Error(), "next page") {
				t.Errorf("Require() = %v, want the next page to be blamed", err)
			}
			if asked := b.asked.Load(); asked != tt.asked {
				t.Errorf("RBAC was asked %d times, want %d", asked, tt.asked)
			}
		})
	}
	t.Cleanup(func() {
		if other.asked.Load() != 0 {
			t.Error("the identity was shown to another host")
		}
	})
}

// TestRBACFails: whatever RBAC does wrong nobody is let in, and nothing of it is remembered.
func TestRBACFails(t *testing.T) {
	t.Parallel()

	const away = sources.Unavailable
	tests := []struct {
		name   string
		answer http.HandlerFunc
		want   sources.Kind
	}{
		{"400", says(400, page("", "cost-management:*:*")), sources.Forbidden},
		{"401", says(401, ""), sources.Forbidden},
		{"403", says(403, ""), sources.Forbidden},
		{"404", says(404, ""), sources.Forbidden},
		{"429", says(429, ""), sources.Forbidden},
		{"500", says(500, page("", "cost-management:*:*")), away},
		{"503", says(503, ""), away},
		{"204", says(204, ""), away},
		{"redirect", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/elsewhere", http.StatusFound) }, away},
		{"redirect by 307", func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "/elsewhere", http.StatusTemporaryRedirect)
		}, away},
		{"no JSON", says(200, "<html>"), away},
		{"half a JSON", says(200, page("", "cost-management:*:*")[:60]), away},
		{"more than a JSON", says(200, page("", "cost-management:*:*")+"x"), away},
		{"nothing", says(200, ""), away},
		{"null", says(200, "null"), away},
		{"empty object", says(200, "{}"), away},
		{"list", says(200, "[]"), away},
		{"data of another kind", says(200, `{"data": {}}`), away},
		{"permission of another kind", says(200, `{"data": [{"permission": 1}]}`), away},
		{"confinement of another kind", says(200, `{"data": [{"permission": "cost-management:*:*", "resourceDefinitions": {}}]}`), away},
		{"link of another kind", says(200, `{"data": [], "links": {"next": 1}}`), away},
		{"oversized", says(200, `{"data": [{"permission": "cost-management:*:*"}], "x": "`+strings.Repeat("x", 1<<20)+`"}`), away},
		{"hanging up", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, away},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var healed atomic.Bool
			b := newRBAC(t, func(w http.ResponseWriter, r *http.Request) {
				switch {
				case r.URL.Path == "/elsewhere":
					t.Error("a redirect was followed")
				case healed.Load():
					says(200, page("", "cost-management:*:*"))(w, r)
				default:
					tt.answer(w, r)
				}
			})
			gate := rbacGate(b.URL, time.Now)
			_, err := gate.Require(caller("GET"))
			wantKind(t, err, tt.want)
			if e, ok := err.(*sources.Error); !ok || tt.want == away && e.Msg != "RBAC is not available" {
				t.Errorf("Require() = %v", err)
			}
			healed.Store(true)
			_, err = gate.Require(caller("GET"))
			wantKind(t, err, good)
		})
	}
}

func TestRBACAway(t *testing.T) {
	t.Parallel()

	srv := httptest.NewServer(http.NotFoundHandler())
	srv.Close()
	_, err := rbacGate(srv.URL, time.Now).Require(caller("GET"))
	wantKind(t, err, sources.Unavailable)
}

// TestRBACSlow: the deadline is for all pages together, however soon each of them comes.
func TestRBACSlow(t *testing.T) {
	t.Parallel()

	for name, pause := range map[string]time.Duration{"one page": time.Minute, "every page": 30 * time.Millisecond} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newRBAC(t, func(w http.ResponseWriter, r *http.Request) {
				select {
				case <-r.Context().Done():
				case <-time.After(pause):
					says(200, page("?offset=1"))(w, r)
				}
			})
			cfg := identity.Config{AuthMode: "identity", AllowDirectIdentity: true, RBACURL: b.URL}
			_, err := identity.NewAt(cfg, time.Now, 150*time.Millisecond).Require(caller("GET"))
			wantKind(t, err, sources.Unavailable)
		})
	}
}

// TestRemembered: an answer is kept for 30 s, and for the one it is about.
func TestRemembered(t *testing.T) {
	t.Parallel()

	b := newRBAC(t, func(w http.ResponseWriter, r *http.Request) {
		text, _ := base64.StdEncoding.DecodeString(r.Header.Get("X-Rh-Identity"))
		if strings.Contains(string(text), `"reader"`) {
			says(200, page("", "cost-management:sources:read"))(w, r)
			return
		}
		says(200, page(""))(w, r)
	})
	c := &clock{at: noon}
	gate := rbacGate(b.URL, c.Now)
	reader := strings.Replace(user, `"admin"`, `"reader"`, 1)
	ask := func(name, identity string, want sources.Kind, asked int32) {
		t.Helper()
		before := b.asked.Load()
		_, err := gate.Require(request("", encoded(identity)))
		wantKind(t, err, want)
		if got := b.asked.Load() - before; got != asked {
			t.Errorf("%s: RBAC was asked %d times, want %d", name, got, asked)
		}
	}
	edit := func(old, with string) string { return strings.Replace(reader, old, with, 1) }
	ask("first", reader, good, 1)
	ask("again", reader, good, 0)
	ask("another email", edit(`"email": ""`, `"email": "a@example.com"`), good, 0)
	ask("another user", user, sources.Forbidden, 1)
	ask("another user again", user, sources.Forbidden, 0)
	ask("another organization", edit("1234567", "7654321"), good, 1)
	ask("another account", edit("7890123", "1"), good, 1)
	ask("an org admin", edit(`"email"`, `"is_org_admin": true, "email"`), good, 1)
	ask("another user id", edit(`"email"`, `"user_id": 7, "email"`), good, 1)
	robot := `"type": "ServiceAccount", "service_account": {"username": "reader"}`
	ask("a service account of that name", edit(`"type": "User", "user": {"username": "reader", "email": ""}`, robot), good, 1)
	c.Set(noon.Add(30*time.Second - 1))
	ask("just before 30 s", reader, good, 0)
	c.Set(noon.Add(30 * time.Second))
	ask("after 30 s", reader, good, 1)
	ask("after that", reader, good, 0)
}

// TestAskedOnce: who asks the same at the same time shares one question, which does not depend on the one
// who asked first.
func TestAskedOnce(t *testing.T) {
	t.Parallel()

	begun, finish := make(chan struct{}), make(chan struct{})
	b := newRBAC(t, func(w http.ResponseWriter, r *http.Request) {
		close(begun) // a second question would panic
		<-finish
		says(200, page("", "cost-management:*:*"))(w, r)
	})
	gate := rbacGate(b.URL, time.Now)
	ctx, leave := contextWithCancel(t)
	first := make(chan error, 1)
	go func() {
		_, err := gate.Require(caller("GET").WithContext(ctx))
		first <- err
	}()
	<-begun
	leave()
	wantKind(t, <-first, sources.Unavailable)
	others := make(chan error, 20)
	for range cap(others) {
		go func() {
			_, err := gate.Require(caller("POST"))
			others <- err
		}()
	}
	close(finish)
	for range cap(others) {
		wantKind(t, <-others, good)
	}
	if asked := b.asked.Load(); asked != 1 {
		t.Errorf("RBAC was asked %d times, want once", asked)
	}
}

func TestCacheIsBounded(t *testing.T) {
	t.Parallel()

	c := &clock{at: noon}
	cache := identity.NewCache(3, 30*time.Second, c.Now)
	for n := range 100 {
		cache.Put(fmt.Sprint(n), n%2 == 0)
		if cache.Len() > 3 {
			t.Fatalf("after %d answers %d are held", n+1, cache.Len())
		}
	}
	if _, ok := cache.Get("96"); ok {
		t.Error("the oldest answer is still held")
	}
	for who, want := range map[string]bool{"97": false, "98": true, "99": false} {
		if got, ok := cache.Get(who); got != want || !ok {
			t.Errorf("Get(%s) = %t, %t, want %t", who, got, ok, want)
		}
	}
	c.Set(noon.Add(30 * time.Second))
	cache.Put("x", true)
	if cache.Len() != 1 {
		t.Errorf("%d answers are held, want only that of the last 30 s", cache.Len())
	}
}

// TestCacheAnew: what is remembered anew does not go with its older self.
func TestCacheAnew(t *testing.T) {
	t.Parallel()

	c := &clock{at: noon}
	cache := identity.NewCache(10, 30*time.Second, c.Now)
	cache.Put("a", false)
	c.Set(noon.Add(20 * time.Second))
	cache.Put("a", true)
	c.Set(noon.Add(30 * time.Second))
	cache.Put("b", true)
	if write, ok := cache.Get("a"); !write || !ok {
		t.Errorf("Get(a) = %t, %t, want what was put last", write, ok)
	}
}

func TestCacheIsConcurrent(t *testing.T) {
	t.Parallel()

	cache := identity.NewCache(10, time.Minute, time.Now)
	var all sync.WaitGroup
	for n := range 8 {
		all.Go(func() {
			for m := range 200 {
				who := fmt.Sprint((n + m) % 20)
				cache.Put(who, true)
				cache.Get(who)
			}
		})
	}
	all.Wait()
	if cache.Len() > 10 {
		t.Errorf("%d answers are held, want at most 10", cache.Len())
	}
}
