package faults_test

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/insights-onprem/cost-sources/shared/store/storetest"
	"github.com/insights-onprem/cost-sources/tests/process"
)

// An instance is one of the processes of a function. It comes back where it was.
type instance struct {
	name string
	env  []string
	port int

	mu       sync.Mutex
	process  *process.Process // nil while it is down
	problems []error
}

func newInstance(name string, env []string) (*instance, error) {
	ports, err := storetest.FreePorts(1)
	if err != nil {
		return nil, err
	}
	return &instance{name: name, env: append([]string{fmt.Sprintf("PORT=%d", ports[0])}, env...), port: ports[0]}, nil
}

func (i *instance) url() string { return fmt.Sprintf("http://127.0.0.1:%d", i.port) }

// start starts the process where it is down, and returns when it answers.
func (i *instance) start(ctx context.Context) error {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.process != nil {
		return nil
	}
	dir, err := build()
	if err != nil {
		return err
	}
	p, err := process.Start(dir, i.name, i.env...)
	if err != nil {
		return err
	}
	i.process = p
	return p.Ready(ctx, i.url())
}

// kill ends the process at once, as a crash would.
func (i *instance) kill() {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.process == nil {
		return
	}
	i.process.Kill()
	i.problems = append(i.problems, i.process.Crashed())
	i.process = nil
}

// end ends the process in order. That it had to break off what it was at is told by its status, which is a problem
// only where nothing kept it from coming to an end.
func (i *instance) end(undisturbed bool) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.process == nil {
		return
	}
	err := i.process.End()
	if !undisturbed {
		err = i.process.Crashed()
	}
	i.problems = append(i.problems, err)
	i.process = nil
}

// problem is all that was wrong with how the process ended, each time.
func (i *instance) problem() error {
	i.mu.Lock()
	defer i.mu.Unlock()
	return errors.Join(i.problems...)
}
