//go:build e2e

package e2e_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"
)

// clients is how many a load has, so few that the smallest ingress carries all that follows from what they do: each of
// their requests makes two events, and each event three deliveries.
const clients = 2

// A load is clients that register clusters, and delete some of them, one after the other until it is ended.
type load struct {
	*world
	name    string
	clients []*client
	stop    context.CancelFunc
	all     sync.WaitGroup

	mu      sync.Mutex
	made    []registered
	errs    []error
	changed chan struct{} // closed at the next change
}

// A registered cluster is a source that was answered 201.
type registered struct {
	id           int64
	org, cluster string
	gone         bool // and its delete 204
}

// startLoad starts clients, each of an organization of its own whose name begins with name.
func (w *world) startLoad(t *testing.T, name string) *load {
	t.Helper()
	l := &load{world: w, name: name, changed: make(chan struct{})}
	var ctx context.Context
	ctx, l.stop = context.WithCancel(context.WithoutCancel(t.Context()))
	for i := range clients {
		org := fmt.Sprintf("%s%d", name, i)
		c := w.client(t, org)
		l.clients = append(l.clients, c)
		l.all.Go(func() { l.act(ctx, c, org, i) })
	}
	t.Cleanup(func() {
		l.stop()
		l.all.Wait()
	})
	return l
}

// act registers clusters until ctx ends; what has begun then is seen to its end.
func (l *load) act(ctx context.Context, c *client, org string, number int) {
	pause := time.NewTicker(300 * time.Millisecond) // a client who thinks
	defer pause.Stop()
	for n := 0; ctx.Err() == nil; n++ {
		made := registered{org: org, cluster: fmt.Sprintf("%s-%d-%d", l.name, number, n)}
		err := l.register(context.WithoutCancel(ctx), c, &made, n%3 == 2)
		l.mu.Lock()
		if err == nil {
			l.made = append(l.made, made)
		} else {
			l.errs = append(l.errs, err)
		}
		close(l.changed)
		l.changed = make(chan struct{})
		l.mu.Unlock()
		select {
		case <-pause.C:
		case <-ctx.Done():
		}
	}
}

// register registers a cluster, and deletes it again if it is to be. What is not answered is sent again, under the same
// key, and has to be answered as if it were the first.
func (l *load) register(ctx context.Context, c *client, made *registered, remove bool) error {
	r, err := c.try(ctx, call{"POST", "/sources/", registration(made.cluster), made.cluster})
	if err != nil {
		return err
	}
	if r.status != http.StatusCreated {
		return fmt.Errorf("the registration of %s is answered %d %s", made.cluster, r.status, r.text)
	}
	if made.id, err = r.id(); err != nil || !remove {
		return err
	}
	r, err = c.try(ctx, call{method: "DELETE", path: fmt.Sprintf("/sources/%d", made.id)})
	if err == nil && r.status != http.StatusNoContent && !(r.status == http.StatusNotFound && r.tries > 1) {
		err = fmt.Errorf("the delete of source %d is answered %d %s", made.id, r.status, r.text)
	}
	made.gone = true
	return err
}

// registration is the body that registers a cluster in one request.
func registration(cluster string) string {
	return fmt.Sprintf(`{"name": %q, "source_type_id": "1", "source_ref": %[1]q}`, cluster)
}

// await waits for n more registrations, so that something happens while something else does.
func (l *load) await(t *testing.T, n int) {
	t.Helper()
	deadline := time.After(patience)
	l.mu.Lock()
	n += len(l.made)
	l.mu.Unlock()
	for {
		l.mu.Lock()
		made, changed, errs := len(l.made), l.changed, errors.Join(l.errs...)
		l.mu.Unlock()
		switch {
		case errs != nil:
			t.Fatal(errs)
		case made >= n:
			return
		}
		select {
		case <-changed:
		case <-deadline:
			t.Fatalf("%d registrations after %v, want %d", made, patience, n)
		}
	}
}

// end ends the clients and returns what they were answered.
func (l *load) end(t *testing.T) []registered {
	t.Helper()
	l.stop()
	l.all.Wait()
	if err := errors.Join(l.errs...); err != nil {
		t.Error(err)
	}
	var failures int64
	for _, c := range l.clients {
		failures += c.failures.Load()
	}
	t.Logf("%d registrations; %d requests had to be sent again", len(l.made), failures)
	return l.made
}
