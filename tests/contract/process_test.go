package contract_test

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// build builds what the tests run as processes, once and with the race detector.
var build = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "cost-sources-contract-")
	if err != nil {
		return "", err
	}
	args := []string{"build", "-race", "-o", dir + "/"}
	for _, name := range []string{"sources", "applications", "dev"} {
		args = append(args, "../../functions/"+name)
	}
	if output, err := exec.Command("go", args...).CombinedOutput(); err != nil {
		return "", errors.Join(fmt.Errorf("go build: %w\n%s", err, output), os.RemoveAll(dir))
	}
	return dir, nil
})

func TestMain(m *testing.M) {
	status := m.Run()
	if dir, err := build(); err == nil {
		_ = os.RemoveAll(dir) // a folder left behind is no reason to fail
	}
	os.Exit(status)
}

// A process is a function at work.
type process struct {
	cmd   *exec.Cmd
	ended chan struct{}
	said  *tail
}

// start runs a function with some variables until the test ends, and returns where it listens.
func start(t *testing.T, name string, env ...string) string {
	t.Helper()
	for range 5 {
		port := freePort(t)
		p := launch(t, name, append(env, fmt.Sprintf("PORT=%d", port)))
		url := fmt.Sprintf("http://127.0.0.1:%d", port)
		if p.ready(t, url) {
			t.Cleanup(func() { p.end(t, name) })
			return url
		}
		if !strings.Contains(p.said.String(), "address already in use") { // somebody may have been faster
			t.Fatalf("functions/%s ended at once:\n%s", name, p.said)
		}
	}
	t.Fatalf("functions/%s finds no port", name)
	return ""
}

func launch(t *testing.T, name string, env []string) *process {
	t.Helper()
	dir, err := build()
	if err != nil {
		t.Fatal(err)
	}
	p := &process{cmd: exec.Command(filepath.Join(dir, name)), ended: make(chan struct{}), said: &tail{}}
	p.cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + os.Getenv("HOME")}, env...)
	p.cmd.Stderr = p.said
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		_ = p.cmd.Wait() // how it ended says cmd.ProcessState
		close(p.ended)
	}()
	return p
}

// ready waits until the process answers its probe, and reports false where it has ended instead.
func (p *process) ready(t *testing.T, url string) bool {
	t.Helper()
	probe := http.Client{Timeout: 5 * time.Second}
	await(t, func() string {
		select {
		case <-p.ended:
			return ""
		default:
		}
		response, err := probe.Get(url + "/readyz")
		if err != nil {
			return err.Error()
		}
		response.Body.Close()
		return strings.TrimPrefix(response.Status, "200 OK")
	})
	select {
	case <-p.ended: // it was somebody else who answered
		return false
	default:
		return true
	}
}

// end ends the process in order. The race detector makes the status of one that had a race another than 0.
func (p *process) end(t *testing.T, name string) {
	t.Helper()
	_ = p.cmd.Process.Signal(syscall.SIGTERM) // it may have ended already, which is told below
	select {
	case <-p.ended:
	case <-time.After(time.Minute):
		_ = p.cmd.Process.Kill()
		t.Errorf("functions/%s has not ended a minute after SIGTERM", name)
		return
	}
	if code := p.cmd.ProcessState.ExitCode(); code != 0 {
		t.Errorf("functions/%s ended with status %d", name, code)
	}
	if t.Failed() {
		t.Logf("functions/%s said:\n%s", name, p.said)
	}
}

// tail keeps the end of what is written to it.
type tail struct {
	mu   sync.Mutex
	text []byte
}

func (w *tail) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.text = append(w.text, p...)
	w.text = w.text[max(0, len(w.text)-16<<10):]
	return len(p), nil
}

func (w *tail) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return string(w.text)
}

func freePort(t *testing.T) int {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return listener.Addr().(*net.TCPAddr).Port
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
