package flow_test

import (
	"fmt"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/insights-onprem/cost-sources/shared/store/storetest"
)

// TestKilled: whatever was answered 201 has exactly one provider in the end, at whatever moment the
// process was killed, the embedded PostgreSQL and the embedded broker with it.
func TestKilled(t *testing.T) {
	t.Parallel()

	const requests, kills = 200, 5
	env := "DATA_DIR=" + storetest.Folder(t)
	var made []string
	var p *process
	for kill := range kills {
		p = start(t, env)
		answered := createUntilKilled(t, p, kill, requests/kills)
		made = append(made, answered...)
	}
	p = start(t, env)
	c := p.client("killed1")
	for _, id := range made {
		awaitLinked(t, c, id)
	}
	db := p.pool(t, "database")
	await(t, func() string {
		if query[bool](t, db, `SELECT NOT EXISTS (SELECT FROM sources.source WHERE observed_generation < generation OR state <> 'ready')`) {
			return ""
		}
		return "sources are pending"
	})
	stored := query[int](t, db, `SELECT count(*) FROM sources.source`)
	got := query[string](t, db, `
		SELECT format('%s providers, %s authentications, %s copies, %s sources linked',
			(SELECT count(*) FROM public.api_provider), (SELECT count(*) FROM public.api_providerauthentication),
			(SELECT count(*) FROM orgkilled1.reporting_tenant_api_provider),
			(SELECT count(*) FROM public.api_sources s JOIN public.api_provider p ON p.uuid = s.provider_id AND p.uuid = s.source_uuid))`)
	want := fmt.Sprintf("%[1]d providers, %[1]d authentications, %[1]d copies, %[1]d sources linked", stored)
	if got != want || stored < len(made) {
		t.Errorf("%d requests were answered 201, %d sources are stored; there are %s, want %s", len(made), stored, got, want)
	}
}

// createUntilKilled posts sources, four at a time, kills the process after some of the answers, and
// returns the ids of those that were answered.
func createUntilKilled(t *testing.T, p *process, kill, requests int) (made []string) {
	t.Helper()
	c := p.client("killed1")
	killAfter := 5 + 7*kill // answers, so that it hits another moment each time
	var mu sync.Mutex
	var all sync.WaitGroup
	for client := range 4 {
		all.Go(func() {
			for i := range requests / 4 {
				cluster := fmt.Sprintf("cluster-%d-%d-%d", kill, client, i)
				answer, err := c.Try(t, "POST", "/sources/", fmt.Sprintf(`{"name": "s", "source_type_id": "1", "source_ref": %q}`, cluster))
				if err != nil {
					return // killed
				}
				mu.Lock()
				if answer.Status == 201 {
					made = append(made, answer.ID())
				}
				if len(made) == killAfter {
					_ = p.cmd.Process.Signal(syscall.SIGKILL)
				}
				mu.Unlock()
			}
		})
	}
	all.Wait()
	p.end(t, syscall.SIGKILL)
	return made
}

// TestInterrupted: an interrupt ends the process in order, and what was promised is kept for the next.
func TestInterrupted(t *testing.T) {
	t.Parallel()

	env := "DATA_DIR=" + storetest.Folder(t)
	p := start(t, env)
	id := p.client("org1").Want(t, 201, "POST", "/sources/", `{"name": "s", "source_type_id": "1", "source_ref": "c"}`).ID()
	p.end(t, syscall.SIGINT)
	if code := p.cmd.ProcessState.ExitCode(); code != 0 {
		t.Errorf("an interrupt ends the process with %d:\n%s", code, p.stderr)
	}
	awaitLinked(t, start(t, env).client("org1"), id)
}

// TestRefusesToStart: what stands in the way is told in one line.
func TestRefusesToStart(t *testing.T) {
	t.Parallel()

	used := storetest.Folder(t)
	start(t, "DATA_DIR="+used)
	file := used + "/file"
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	port := takenPort(t)
	for name, tt := range map[string]struct{ env, want string }{
		"port taken":         {fmt.Sprintf("PORT=%d", port), fmt.Sprintf("PORT: listen tcp 127.0.0.1:%d: bind: address already in use", port)},
		"port no number":     {"PORT=http", "PORT"},
		"folder in use":      {"DATA_DIR=" + used, "DATA_DIR: another process uses " + used},
		"no broker there":    {"KAFKA_BROKERS=127.0.0.1:1", "KAFKA_BROKERS: "},
		"folder is a file":   {"DATA_DIR=" + file, "DATA_DIR: "},
		"database not there": {"DATABASE_URL=postgres://nobody@127.0.0.1:1/x", "DATABASE_URL: "},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := launch(t, "DATA_DIR="+storetest.Folder(t), tt.env)
			select {
			case <-p.ended:
			case <-time.After(time.Minute):
				t.Fatal("the process runs")
			}
			said := strings.TrimSpace(p.stderr.String())
			if !strings.Contains(said, tt.want) || strings.Contains(said, "\n") || p.cmd.ProcessState.ExitCode() != 1 {
				t.Errorf("with %s the process ends with %d and says %q, want 1 and one line with %q", tt.env, p.cmd.ProcessState.ExitCode(), said, tt.want)
			}
		})
	}
}
