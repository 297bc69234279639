// Package process runs the project's commands for tests as they are deployed: each a process of its own,
// which can be ended in order or killed.
package process

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Build builds packages of the module with the race detector into a folder of their own, which the caller
// removes. They are named as from the root of the module, such as "functions/relay".
func Build(packages ...string) (dir string, err error) {
	dir, err = os.MkdirTemp("", "cost-sources-")
	if err != nil {
		return "", err
	}
	args := []string{"build", "-race", "-o", dir + "/"}
	for _, name := range packages {
		args = append(args, "github.com/insights-onprem/cost-sources/"+name)
	}
	if output, err := exec.Command("go", args...).CombinedOutput(); err != nil {
		return "", errors.Join(fmt.Errorf("go build: %w\n%s", err, output), os.RemoveAll(dir))
	}
	return dir, nil
}

// A Process is a command at work.
type Process struct {
	name  string
	cmd   *exec.Cmd
	ended chan struct{}
	said  *Tail
}

// Start starts a command of dir with variables, and with nothing of our environment but PATH and HOME.
func Start(dir, name string, env ...string) (*Process, error) {
	p := &Process{name: name, cmd: exec.Command(filepath.Join(dir, name)), ended: make(chan struct{}), said: &Tail{}}
	p.cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + os.Getenv("HOME"),
		"GORACE=atexit_sleep_ms=0"}, env...) // the detector would have each process take a second to end
	p.cmd.Stdout, p.cmd.Stderr = p.said, p.said
	// It must not outlive the tests, however they end.
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	go func() {
		_ = p.cmd.Wait() // how it ended says cmd.ProcessState
		close(p.ended)
	}()
	return p, nil
}

// ID is the process's id.
func (p *Process) ID() int { return p.cmd.Process.Pid }

// Said is the end of what the process wrote.
func (p *Process) Said() string { return p.said.String() }

// Ready waits until the process answers its probe at url. Where it ends instead, that is the error.
func (p *Process) Ready(ctx context.Context, url string) error {
	probe := http.Client{Timeout: 5 * time.Second}
	ticker := time.NewTicker(10 * time.Millisecond)
	defer ticker.Stop()
	for {
		response, err := probe.Get(url + "/readyz")
		if err == nil {
			response.Body.Close()
		}
		select {
		case <-p.ended: // then it was somebody else who answered
			return fmt.Errorf("%s ended at once: %s", p.name, p.said)
		default:
		}
		if err == nil && response.StatusCode == http.StatusOK {
			return nil
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return fmt.Errorf("%s is not ready: %w: %s", p.name, context.Cause(ctx), p.said)
		}
	}
}

// Kill ends the process at once, as a crash would, and waits for that.
func (p *Process) Kill() {
	_ = p.cmd.Process.Kill() // it may have ended already
	<-p.ended
}

// End ends the process in order. An error is one that has to be killed after a minute, and one that ends
// with another status than 0, as the race detector makes one end that had a race.
func (p *Process) End() error {
	_ = p.cmd.Process.Signal(syscall.SIGTERM) // it may have ended already, which its status tells
	select {
	case <-p.ended:
	case <-time.After(time.Minute):
		p.Kill()
		return fmt.Errorf("%s has not ended a minute after SIGTERM: %s", p.name, p.said)
	}
	return p.failure()
}

func (p *Process) failure() error {
	if code := p.cmd.ProcessState.ExitCode(); code != 0 {
		return fmt.Errorf("%s ended with status %d: %s", p.name, code, p.said)
	}
	return nil
}

// Crashed reports a race or a panic, whatever the process ended of.
func (p *Process) Crashed() error {
	said := p.said.String()
	for _, sign := range []string{"DATA RACE", "panic", "fatal error"} {
		if strings.Contains(said, sign) {
			return fmt.Errorf("%s: %s", p.name, said)
		}
	}
	return nil
}

// A Tail keeps the last 16 KiB of what is written to it, which may happen from several goroutines.
type Tail struct {
	mu   sync.Mutex
	text []byte
}

// Write never fails.
func (w *Tail) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.text = append(w.text, p...)
	w.text = w.text[max(0, len(w.text)-16<<10):]
	return len(p), nil
}

// String is what is kept.
func (w *Tail) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return string(w.text)
}
