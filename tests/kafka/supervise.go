package kafka

import (
	_ "embed"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
)

//go:embed supervise.sh
var superviseScript string

// A process runs until it is told to end or this process is gone, whichever is first.
type process struct {
	folder string
	orders io.WriteCloser
	done   chan struct{} // closed when it has ended
}

// supervise starts command in a process group of its own, so that an interrupt
// from the keyboard leaves it to be ended in order. folder takes its log.
func supervise(folder string, command ...string) (*process, error) {
	cmd := exec.Command("sh", append([]string{"-c", superviseScript, "supervise.sh", folder}, command...)...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	orders, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	p := &process{folder, orders, make(chan struct{})}
	go func() {
		defer close(p.done)
		_ = cmd.Wait() // how it ended stands in its log
	}()
	return p, nil
}

// kill ends the process at once and leaves its folder.
func (p *process) kill() error {
	if _, err := io.WriteString(p.orders, "kill\n"); err != nil {
		return fmt.Errorf("telling Kafka's supervisor: %w\n%s", err, tail(p.folder))
	}
	<-p.done
	return nil
}

// runs reports whether the process has not ended yet.
func (p *process) runs() bool {
	select {
	case <-p.done:
		return false
	default:
		return true
	}
}

// tail returns the last lines of a log, and before them the last that tell of errors: what a broker does to end in
// order is more than what it ended of.
func tail(folder string) string {
	log, err := os.ReadFile(filepath.Join(folder, "log"))
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(strings.TrimSpace(string(log)), "\n")
	last := lines[max(0, len(lines)-40):]
	var errs []string
	for _, line := range lines[:len(lines)-len(last)] {
		if strings.Contains(line, " ERROR ") || strings.Contains(line, "Exception") {
			errs = append(errs, line)
		}
	}
	return strings.Join(append(errs[max(0, len(errs)-10):], last...), "\n")
}
