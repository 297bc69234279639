package contract_test

import (
	"context"
	"fmt"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/insights-onprem/cost-sources/shared/store/storetest"
	"github.com/insights-onprem/cost-sources/tests/process"
)

// build builds what the tests run as processes, once.
var build = sync.OnceValues(func() (string, error) {
	return process.Build("functions/sources", "functions/applications", "functions/dev")
})

func TestMain(m *testing.M) {
	status := m.Run()
	if dir, err := build(); err == nil {
		_ = os.RemoveAll(dir) // a folder left behind is no reason to fail
	}
	os.Exit(status)
}

// start runs a function with some variables until the test ends, and returns where it listens.
func start(t *testing.T, name string, env ...string) string {
	t.Helper()
	dir, err := build()
	if err != nil {
		t.Fatal(err)
	}
	port := storetest.FreePort(t)
	p, err := process.Start(dir, name, append(env, fmt.Sprintf("PORT=%d", port))...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.End(); err != nil {
			t.Error(err)
		} else if t.Failed() {
			t.Logf("functions/%s said:\n%s", name, p.Said())
		}
	})
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	url := fmt.Sprintf("http://127.0.0.1:%d", port)
	if err := p.Ready(ctx, url); err != nil {
		t.Fatal(err)
	}
	return url
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
