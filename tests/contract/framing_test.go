package contract_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/insights-onprem/cost-sources/shared/httpapi"
)

// framing: on the wire, where no HTTP client tidies up, the body of every answer is as long as its
// Content-Length says and has nothing around it.
func framing(t *testing.T, s site) {
	const org = "framing1"
	s.addMany(t, org, 1000, "s", "")
	x := s.addThing(t, org, "x", "c-x")
	long := strings.Repeat("x", 65<<10)
	for _, c := range []call{
		{method: "GET", path: "/sources?limit=1000", org: org},
		{method: "GET", path: "/sources/?limit=1000&filter%5Bname%5D%5Bstarts_with%5D=s", org: org},
		{method: "HEAD", path: "/sources?limit=1000", org: org},
		{method: "GET", path: "/applications?limit=1000", org: org},
		{method: "GET", path: x.at("/sources/{id}"), org: org},
		{method: "GET", path: x.at("/sources/{uuid}/stats"), org: org},
		{method: "GET", path: x.at("/applications/{app}"), org: org},
		{method: "GET", path: "/source_types"}, {method: "GET", path: "/application_types/0/"},
		{method: "POST", path: "/sources", org: org, body: `{"name": "made", "source_type_id": "1"}`},
		{method: "PATCH", path: x.at("/sources/{id}"), org: org, body: `{"paused": true}`},
		{method: "POST", path: "/applications", org: org, body: x.at(`{"source_id": "{id}"}`)},
		{method: "GET", path: "/sources"}, {method: "HEAD", path: "/sources"}, {method: "PUT", path: "/sources", org: org},
		{method: "GET", path: "/elsewhere"}, {method: "GET", path: "/sources/x", org: org}, {method: "GET", path: "/sources?filter=x", org: org},
		{method: "POST", path: "/sources", org: org, body: "{"}, {method: "POST", path: "/sources", org: org, body: long},
		{method: "POST", path: "/sources", org: org, body: "{}", header: map[string]string{"Content-Type": "text/plain"}},
		{method: "DELETE", path: x.at("/sources/{id}"), org: org},
	} {
		for _, version := range []string{"1.1", "1.0"} {
			s.wire(t, c, version)
		}
	}
}

// wire makes a call over a connection of its own and looks at the bytes that come back.
func (s site) wire(t *testing.T, c call, version string) {
	t.Helper()
	root := strings.TrimPrefix(s.root(c.path), "http://")
	conn, err := net.DialTimeout("tcp", root, 10*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	go func() { _, _ = io.WriteString(conn, asBytes(c, root, version)) }() // who refuses a long body need not read it
	answer, err := io.ReadAll(bufio.NewReader(conn))
	if len(answer) == 0 {
		t.Fatalf("%s over HTTP/%s is not answered: %v", c, version, err)
	}
	head, body, ok := bytes.Cut(answer, []byte("\r\n\r\n"))
	headers := strings.ToLower(string(head)) + "\r\n"
	status := strings.SplitN(headers, " ", 3)[1]
	length := fmt.Sprintf("\r\ncontent-length: %d\r\n", len(body))
	switch {
	case !ok || strings.Contains(headers, "\r\ntransfer-encoding:") || strings.Contains(headers, "\r\ncontent-encoding:"):
		t.Errorf("%s over HTTP/%s is answered with the head\n%s", c, version, head)
	case status == "204":
		if len(body) > 0 {
			t.Errorf("%s is answered 204 with a body", c)
		}
	case c.method == "HEAD":
		if len(body) > 0 || !strings.Contains(headers, "\r\ncontent-length: ") || strings.Contains(headers, "\r\ncontent-length: 0\r\n") {
			t.Errorf("%s over HTTP/%s has a body of %d bytes and the head\n%s", c, version, len(body), head)
		}
	case !strings.Contains(headers, length) || len(body) == 0 || body[0] != '{' || body[len(body)-1] != '}':
		t.Errorf("%s over HTTP/%s has a body of %d bytes, from %.20q, and the head\n%s", c, version, len(body), body, head)
	}
}

func asBytes(c call, host, version string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s%s HTTP/%s\r\nHost: %s\r\nConnection: close\r\nAccept-Encoding: gzip, br\r\n", c.method, httpapi.Prefix, c.path, version, host)
	kind := "application/json"
	for name, value := range c.header {
		if name == "Content-Type" {
			kind = value
		}
	}
	if c.org != "" {
		fmt.Fprintf(&b, "X-Rh-Identity: %s\r\n", identity(c.org))
	}
	if c.body != "" {
		fmt.Fprintf(&b, "Content-Type: %s\r\nContent-Length: %d\r\n", kind, len(c.body))
	}
	return b.String() + "\r\n" + c.body
}

// addMany stores sources of an organization, each ready and with an application, as quickly as SQL can.
// Their names are prefix, a number and suffix.
func (s site) addMany(t *testing.T, org string, n int, prefix, suffix string) {
	t.Helper()
	_, err := s.db.Exec(t.Context(), `
		WITH made AS (
			INSERT INTO sources.source (org_id, account_number, name, source_type, cluster_id, credentials, state)
			SELECT $1, '7890123', $3 || n || $4, 'OCP', 'many-' || n, jsonb_build_object('cluster_id', 'many-' || n), 'ready'
			FROM generate_series(1, $2::int) n
			RETURNING id, org_id)
		INSERT INTO sources.application (org_id, source_id, application_type_id) SELECT org_id, id, 0 FROM made`, org, n, prefix, suffix)
	if err != nil {
		t.Fatalf("add %d sources: %v", n, err)
	}
	// As autovacuum does in time, which the tests' server is without.
	if _, err := s.db.Exec(t.Context(), `ANALYZE sources.source, sources.application`); err != nil {
		t.Fatal(err)
	}
}
