package contract_test

import (
	"context"
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/insights-onprem/cost-sources/shared/store/storetest"
)

// answersWithin is when a client gives up: a handler has a deadline of 20 s, and a busy machine takes some.
const answersWithin = 30 * time.Second

const away = "424 <nil>: PostgreSQL is not available"

// TestDatabaseStops: PostgreSQL is stopped under load. Requests are then answered 424 in time, none hangs,
// and when it is back they are served again by the same process; nothing that was answered 201 is lost.
func TestDatabaseStops(t *testing.T) {
	t.Parallel()

	postgres := newDatabase(t)
	loads := map[string]*load{}
	for name, serve := range sites {
		loads[name] = &load{site: serve(t, postgres.with(t, name))}
	}
	for round := range 2 {
		for _, l := range loads {
			l.begin(t, round)
			l.awaitMore(t, "201")
		}
		postgres.stop(t)
		for _, l := range loads {
			l.awaitMore(t, away)
		}
		postgres.start(t)
		for name, l := range loads {
			l.awaitMore(t, "201")
			l.end()
			l.check(t, name)
		}
	}
}

// A database is a PostgreSQL that can be stopped and started again where it was. It ends with the test,
// and after all that was started later.
type database struct {
	cfg    storetest.ServerConfig
	server *storetest.Server
}

func newDatabase(t *testing.T) *database {
	t.Helper()
	d := &database{cfg: storetest.ServerConfig{DataDir: storetest.Folder(t), Port: storetest.FreePort(t)}}
	d.start(t)
	t.Cleanup(func() { d.stop(t) })
	return d
}

func (d *database) start(t *testing.T) {
	t.Helper()
	server, err := storetest.Start(t.Context(), d.cfg)
	if err != nil {
		t.Fatal(err)
	}
	d.server = server
}

func (d *database) stop(t *testing.T) {
	t.Helper()
	if err := d.server.Stop(); err != nil {
		t.Error(err)
	}
}

// with makes a database with our tables, and returns its address.
func (d *database) with(t *testing.T, name string) string {
	t.Helper()
	if err := d.server.CreateDatabase(t.Context(), name); err != nil {
		t.Fatal(err)
	}
	if err := storetest.Migrate(t.Context(), d.server.URL(name)); err != nil {
		t.Fatal(err)
	}
	return d.server.URL(name)
}

// A load is clients that make and list sources one after the other, whatever they are answered.
type load struct {
	site
	stop context.CancelFunc
	all  sync.WaitGroup

	mu       sync.Mutex
	answers  map[string]int // how often each was given
	made     []string       // ids that were answered 201
	problems []string
}

func (l *load) begin(t *testing.T, round int) {
	ctx, cancel := context.WithCancel(t.Context())
	l.stop, l.answers = cancel, map[string]int{}
	var n atomic.Int64
	for range 8 {
		l.all.Go(func() {
			for ctx.Err() == nil {
				name := fmt.Sprintf("s%d-%d", round, n.Add(1))
				l.send(ctx, call{method: "POST", path: "/sources", body: fmt.Sprintf(`{"name": %q, "source_type_id": "1", "source_ref": %[1]q}`, name)})
				l.send(ctx, call{method: "GET", path: "/sources?limit=3"})
				l.send(ctx, call{method: "GET", path: "/applications?limit=3"})
			}
		})
	}
}

// send makes a call to its end, also one that the end of the load comes in between of.
func (l *load) send(ctx context.Context, c call) {
	c.org = "load1"
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), answersWithin)
	defer cancel()
	answer, err := l.try(ctx, c)
	l.mu.Lock()
	defer l.mu.Unlock()
	said := fmt.Sprint(answer.Status)
	if answer.Status >= 300 {
		said = answer.Problem()
	}
	l.answers[said]++
	if answer.Status == 201 {
		l.made = append(l.made, answer.ID())
	}
	if err != nil || answer.Status != 200 && answer.Status != 201 && said != away {
		l.problems = append(l.problems, fmt.Sprintf("%s = %s, %v", c, said, err))
	}
}

// awaitMore waits until an answer is given more often than by now, of all that have it since the last wait.
func (l *load) awaitMore(t *testing.T, answer string) {
	t.Helper()
	count := func() int {
		l.mu.Lock()
		defer l.mu.Unlock()
		return l.answers[answer]
	}
	enough := count() + 20
	await(t, func() string {
		if n := count(); n < enough {
			return fmt.Sprintf("%d of %d answers %s", n, enough, answer)
		}
		return ""
	})
}

func (l *load) end() {
	l.stop()
	l.all.Wait()
}

// check: there was no other answer than those that may be, and what was answered 201 is there.
func (l *load) check(t *testing.T, name string) {
	t.Helper()
	for _, problem := range l.problems {
		t.Errorf("%s: %s", name, problem)
	}
	for _, id := range l.made {
		l.want(t, 200, call{method: "GET", path: "/sources/" + id, org: "load1"})
	}
	t.Logf("%s: %v", name, l.answers)
}

// TestDatabaseSilent: a PostgreSQL that takes connections and says nothing, or that does not let go of a
// lock, holds nobody for longer than the deadline either.
func TestDatabaseSilent(t *testing.T) {
	t.Parallel()

	silent := functions(t, "postgres://nobody@"+silence(t)+"/none?sslmode=disable")
	locked := functions(t, storetest.Database(t))
	id := locked.addThing(t, "locked1", "s", "c").id
	tx, err := locked.db.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec(t.Context(), `LOCK TABLE sources.source IN ACCESS EXCLUSIVE MODE`); err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	for _, s := range []site{silent, locked} {
		for _, c := range []call{
			{method: "GET", path: "/sources"}, {method: "GET", path: "/sources/" + id}, {method: "DELETE", path: "/sources/" + id},
			{method: "POST", path: "/sources", body: `{"name": "a", "source_type_id": "1"}`}, {method: "PATCH", path: "/sources/" + id, body: "{}"},
			{method: "GET", path: "/applications"}, {method: "POST", path: "/applications", body: fmt.Sprintf(`{"source_id": %s}`, id)},
		} {
			c.org = "locked1"
			all.Go(func() { s.isAway(t, c) })
		}
	}
	all.Wait()
	silent.want(t, 200, call{method: "GET", path: "/source_types"}) // which needs no database
	if err := tx.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	locked.want(t, 200, call{method: "GET", path: "/sources/" + id, org: "locked1"})
}

func (s site) isAway(t *testing.T, c call) {
	ctx, cancel := context.WithTimeout(t.Context(), answersWithin)
	defer cancel()
	if answer, err := s.try(ctx, c); err != nil || answer.Problem() != away {
		t.Errorf("%s = %s, %v; want %s", c, answer.Text, err, away)
	}
}

// silence is where somebody listens and never answers.
func silence(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var held []net.Conn
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			held = append(held, conn)
		}
	}()
	t.Cleanup(func() {
		listener.Close()
		<-done
		for _, conn := range held {
			conn.Close()
		}
	})
	return strings.TrimSpace(listener.Addr().String())
}
