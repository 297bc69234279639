//go:build e2e

package e2e_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os/exec"
	"slices"
	"sync"
	"syscall"
	"time"
)

// A pod is what a watch has told of one so far.
type pod struct {
	name, function string
	ready          bool
	finished       bool // it has run to its end, as that of a Job
	created        time.Time
	leaving        time.Time // when its deletion began; zero until then
	gone           time.Time // when it was; zero until then
}

// living reports a pod that has work, or may get some.
func (p pod) living() bool { return p.leaving.IsZero() && !p.finished }

// there reports a pod that takes something of a node.
func (p pod) there() bool { return p.gone.IsZero() && !p.finished }

// pods are all that our namespace has and had.
type pods struct {
	mu      sync.Mutex
	all     map[string]pod // by uid
	changed chan struct{}  // closed at the next change
	err     error          // why nothing is watched any more
}

// watchPods watches the pods of our namespace until ctx ends.
func (c cluster) watchPods(ctx context.Context) (*pods, error) {
	args := append(slices.Clone(c.kubectl), "--namespace", c.namespace, "get", "pods", "--watch", "--output-watch-events", "--output", "json")
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	p := &pods{all: map[string]pod{}, changed: make(chan struct{})}
	go func() {
		err := p.read(out)
		p.change(func() { p.err = fmt.Errorf("the watch of the pods has ended: %w (%w)", err, cmd.Wait()) })
	}()
	return p, nil
}

// podEvent is what of a watch's events is read.
type podEvent struct {
	Type   string
	Object struct {
		Metadata struct {
			UID, Name                            string
			Labels                               map[string]string
			CreationTimestamp, DeletionTimestamp time.Time
		}
		Status struct {
			Phase      string
			Conditions []struct{ Type, Status string }
		}
	}
}

func (p *pods) read(out io.Reader) error {
	decoder := json.NewDecoder(out)
	for {
		var e podEvent
		if err := decoder.Decode(&e); err != nil {
			return err
		}
		p.change(func() { p.take(e, time.Now()) })
	}
}

func (p *pods) change(do func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	do()
	close(p.changed)
	p.changed = make(chan struct{})
}

// take notes an event. Kubernetes writes whole seconds, and the end of the grace where the begin of a deletion is
// meant; so what is seen happening gets the time at which it is seen.
func (p *pods) take(e podEvent, now time.Time) {
	m := e.Object.Metadata
	was, known := p.all[m.UID]
	if !known {
		was = pod{name: m.Name, function: m.Labels["serving.knative.dev/service"], created: now}
	}
	was.ready = false
	for _, condition := range e.Object.Status.Conditions {
		was.ready = was.ready || condition.Type == "Ready" && condition.Status == "True"
	}
	was.finished = e.Object.Status.Phase == "Succeeded" || e.Object.Status.Phase == "Failed"
	if was.leaving.IsZero() && (!m.DeletionTimestamp.IsZero() || e.Type == "DELETED") {
		was.leaving = now
	}
	if e.Type == "DELETED" {
		was.gone = now
	}
	p.all[m.UID] = was
}

// list is what there is and was, and a channel that is closed when that has changed.
func (p *pods) list() ([]pod, <-chan struct{}, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Collect(maps.Values(p.all)), p.changed, p.err
}

// of are the pods of some functions, of all if none is named.
func of(all []pod, functions ...string) (some []pod) {
	for _, p := range all {
		if p.function != "" && (len(functions) == 0 || slices.Contains(functions, p.function)) {
			some = append(some, p)
		}
	}
	return some
}

// since are the pods that were made after a moment.
func since(all []pod, moment time.Time) (some []pod) {
	for _, p := range all {
		if p.created.After(moment) {
			some = append(some, p)
		}
	}
	return some
}

// await returns when ok, which is asked again whenever something has changed, is content.
func (p *pods) await(ctx context.Context, what string, ok func([]pod) bool) error {
	for {
		all, changed, err := p.list()
		switch {
		case err != nil:
			return err
		case ok(all):
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("waiting for %s: %w; there are %+v", what, context.Cause(ctx), all)
		}
	}
}
