// Package flow_test drives the whole flow through functions/dev, a process of its own: over HTTP, with a
// real PostgreSQL and a real Kafka, and nothing known of the inside but what the contract promises.
package flow_test

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/insights-onprem/cost-sources/shared/httpapi/apitest"
	tests "github.com/insights-onprem/cost-sources/tests/process"
)

// build builds functions/dev once.
var build = sync.OnceValues(func() (string, error) { return tests.Build("functions/dev") })

func TestMain(m *testing.M) {
	status := m.Run()
	if dir, err := build(); err == nil {
		_ = os.RemoveAll(dir) // a folder left behind is no reason to fail
	}
	os.Exit(status)
}

// A process is functions/dev at work.
type process struct {
	cmd    *exec.Cmd
	ended  chan struct{}
	told   map[string]string // what it said where it runs, by name
	stderr *tests.Tail
}

// start runs functions/dev with some variables and waits until it says that it is ready.
func start(t *testing.T, env ...string) *process {
	t.Helper()
	p := launch(t, env...)
	select {
	case <-p.ended:
		t.Fatalf("functions/dev ended at once:\n%s", p.stderr)
	default:
	}
	return p
}

// launch is start for a process that may end instead of getting ready.
func launch(t *testing.T, env ...string) *process {
	t.Helper()
	dir, err := build()
	if err != nil {
		t.Fatal(err)
	}
	p := &process{cmd: exec.Command(filepath.Join(dir, "dev")), ended: make(chan struct{}), told: map[string]string{}, stderr: &tests.Tail{}}
	p.cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + os.Getenv("HOME"), "PORT=0"}, env...)
	p.cmd.Stderr = p.stderr
	stdout, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ready := make(chan struct{})
	go p.watch(stdout, ready)
	t.Cleanup(func() {
		p.end(t, syscall.SIGTERM)
		if t.Failed() {
			t.Logf("functions/dev said:\n%s", p.stderr)
		}
	})
	select {
	case <-ready:
	case <-p.ended:
	case <-time.After(2 * time.Minute):
		t.Fatalf("functions/dev is not ready after two minutes:\n%s", p.stderr)
	}
	return p
}

// watch reads what the process says until it ends.
func (p *process) watch(stdout io.Reader, ready chan struct{}) {
	defer close(p.ended)
	lines := bufio.NewScanner(stdout)
	for lines.Scan() {
		if name, value, ok := strings.Cut(strings.TrimSpace(lines.Text()), "   "); ok {
			p.told[name] = strings.TrimSpace(value)
		}
		if strings.HasPrefix(lines.Text(), "See its provider") {
			close(ready)
			break
		}
	}
	_, _ = io.Copy(io.Discard, stdout) // until the process ends
	_ = p.cmd.Wait()                   // how it ended says cmd.ProcessState
}

// end sends a signal and waits until the process has ended.
func (p *process) end(t *testing.T, signal syscall.Signal) {
	t.Helper()
	_ = p.cmd.Process.Signal(signal) // it may have ended already
	select {
	case <-p.ended:
	case <-time.After(time.Minute):
		t.Errorf("functions/dev has not ended a minute after %v", signal)
		_ = p.cmd.Process.Kill()
	}
}

// root is where the process listens.
func (p *process) root() string {
	return strings.TrimSuffix(p.told["base URL"], "/api/cost-management/v1")
}

func (p *process) client(org string) apitest.Client { return apitest.Client{URL: p.root(), Org: org} }

// pool opens one of the process's databases.
func (p *process) pool(t *testing.T, name string) *pgxpool.Pool {
	t.Helper()
	pool, err := pgxpool.New(t.Context(), p.told[name])
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	return pool
}

// await asks again until ok, which says what it still waits for, says nothing.
func await(t *testing.T, ok func() string) {
	t.Helper()
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	deadline := time.After(2 * time.Minute)
	for {
		missing := ok()
		if missing == "" {
			return
		}
		select {
		case <-ticker.C:
		case <-deadline:
			t.Fatalf("two minutes later still: %s", missing)
		}
	}
}

// query reads one value.
func query[T any](t *testing.T, db *pgxpool.Pool, sql string, args ...any) T {
	t.Helper()
	rows, _ := db.Query(t.Context(), sql, args...) // its error comes out of Collect
	v, err := pgx.CollectExactlyOneRow(rows, pgx.RowTo[T])
	if err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	return v
}

// fetch gets a JSON document from the process.
func fetch[T any](t *testing.T, url string) (v T) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if err := json.NewDecoder(response.Body).Decode(&v); err != nil {
		t.Fatalf("GET %s: %v", url, err)
	}
	return v
}

// number reads an id.
func number(t *testing.T, id string) int64 {
	t.Helper()
	n, err := strconv.ParseInt(id, 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// takenPort is a port that somebody listens on until the test ends.
func takenPort(t *testing.T) int {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(context.WithoutCancel(t.Context()), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	return listener.Addr().(*net.TCPAddr).Port
}
