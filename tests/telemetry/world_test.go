// Package telemetry_test runs the functions as processes beside a collector, and looks at what it is told.
package telemetry_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/insights-onprem/cost-sources/shared/httpapi"
	"github.com/insights-onprem/cost-sources/shared/httpapi/apitest"
	"github.com/insights-onprem/cost-sources/shared/store/storetest"
	"github.com/insights-onprem/cost-sources/tests/process"
)

// build builds the functions, once.
var build = sync.OnceValues(func() (string, error) {
	return process.Build("functions/sources", "functions/provisioner", "functions/relay")
})

func TestMain(m *testing.M) {
	status := m.Run()
	if dir, err := build(); err == nil {
		_ = os.RemoveAll(dir) // a folder left behind is no reason to fail
	}
	os.Exit(status)
}

// A function is one at work.
type function struct {
	*process.Process
	url string
}

// start runs a function as Knative does. The test ends it, or the test's end does.
func start(t *testing.T, name string, env ...string) function {
	t.Helper()
	dir, err := build()
	if err != nil {
		t.Fatal(err)
	}
	port := storetest.FreePort(t)
	p, err := process.Start(dir, name, append([]string{fmt.Sprintf("PORT=%d", port), "K_SERVICE=" + name, "K_REVISION=" + name + "-00001",
		"AUTH_MODE=identity", "ALLOW_DIRECT_IDENTITY=true", "RBAC_URL=off"}, env...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Kill)
	f := function{p, fmt.Sprintf("http://127.0.0.1:%d", port)}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	if err := p.Ready(ctx, f.url); err != nil {
		t.Fatal(err)
	}
	return f
}

// end ends a function as Knative does when it scales it to zero.
func (f function) end(t *testing.T) {
	t.Helper()
	if err := f.End(); err != nil {
		t.Error(err)
	}
}

// send posts to a function with some headers and returns the answer's status and body.
func (f function) send(t *testing.T, path, body string, header http.Header) (int, string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, f.url+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	request.Header = header
	request.Header.Set("Content-Type", "application/json")
	response, err := (&http.Client{Timeout: time.Minute}).Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(text)
}

// create makes a source with a cluster in the trace of a client, which is what causes two events.
func (f function) create(t *testing.T, traceparent string) {
	t.Helper()
	status, text := f.send(t, httpapi.Prefix+"/sources/", `{"name": "s", "source_type_id": "1", "source_ref": "c"}`,
		http.Header{"X-Rh-Identity": {apitest.Header("org1")}, "Traceparent": {traceparent}})
	if status != http.StatusCreated {
		t.Fatalf("POST /sources/ is answered %d: %s", status, text)
	}
}

// closed waits until a function that is being ended takes no more requests.
func (f function) closed(t *testing.T) {
	t.Helper()
	ticker := time.NewTicker(10 * time.Millisecond)
	defer ticker.Stop()
	for {
		conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", strings.TrimPrefix(f.url, "http://"))
		if err != nil {
			return
		}
		conn.Close()
		<-ticker.C
	}
}

// A sink accepts events, hands each to a function at several paths, as a KafkaSource for each would, and keeps
// their headers.
type sink struct {
	*httptest.Server
	arrived chan http.Header
}

func newSink(t *testing.T, to string, paths ...string) sink {
	t.Helper()
	s := sink{arrived: make(chan http.Header, 100)}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		for _, path := range paths {
			f := function{url: to}
			if status, text := f.send(t, path, string(body), r.Header.Clone()); status != http.StatusNoContent {
				t.Errorf("an event is answered %d: %s", status, text)
			}
		}
		w.WriteHeader(http.StatusAccepted)
		s.arrived <- r.Header.Clone()
	}))
	t.Cleanup(s.Close)
	return s
}

// next waits for a number of events.
func (s sink) next(t *testing.T, n int) (headers []http.Header) {
	t.Helper()
	for range n {
		select {
		case header := <-s.arrived:
			headers = append(headers, header)
		case <-time.After(time.Minute):
			t.Fatalf("only %d of %d events have come", len(headers), n)
		}
	}
	return headers
}
