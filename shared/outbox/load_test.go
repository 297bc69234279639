package outbox_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/insights-onprem/cost-sources/shared/outbox"
	"github.com/insights-onprem/cost-sources/shared/store"
	"github.com/insights-onprem/cost-sources/shared/store/storetest"
)

func startAt(t testing.TB, db *store.Store, sink http.Handler, extensions map[string]string) *outbox.Dispatcher {
	t.Helper()
	server := httptest.NewServer(sink)
	t.Cleanup(server.Close)
	d := outbox.New(outbox.Config{Sink: server.URL, Overrides: outbox.Overrides{Extensions: extensions}}, db)
	t.Cleanup(func() { stop(t, d) })
	return d
}

// TestDepth: what has gathered in an outage is sent by several dispatchers at once, in order, although the
// sink still refuses some, and nothing stays behind.
func TestDepth(t *testing.T) {
	t.Parallel()

	db, sql := storetest.Open(t, "relay")
	all := upTo(1, 2000)
	fill(t, sql, all, 5)
	sink := newRecorder(func(n int, _ int64, _ *http.Request) int {
		if n%50 == 0 {
			return http.StatusServiceUnavailable
		}
		return http.StatusAccepted
	})
	for !isEmpty(t, db) {
		var group sync.WaitGroup
		for range 3 {
			d := startAt(t, db, sink, nil)
			group.Go(func() {
				if err := d.Drain(t.Context()); err != nil && !errors.Is(err, outbox.ErrUnsent) {
					t.Error(err)
				}
			})
		}
		group.Wait()
	}
	sink.wantInOrder(t, all, 5)
	if events, leases := count(t, sql, "sources.outbox"), count(t, sql, "sources.outbox_lease"); events+leases > 0 {
		t.Errorf("%d events and %d leases stay behind", events, leases)
	}
}

// TestCrowdInFront: more than a page of events that cannot be sent does not keep a drain from those behind.
func TestCrowdInFront(t *testing.T) {
	t.Parallel()

	for name, inFront := range map[string]struct {
		lease  string
		status int
	}{
		"of a source that is leased": {`INSERT INTO sources.outbox_lease VALUES (1, gen_random_uuid(), now() + interval '1 hour')`, 202},
		"of a source that fails":     {`SELECT`, 503},
		"of one source":              {`SELECT`, 202},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			db, sql := storetest.Open(t, "relay")
			fill(t, sql, []int64{1}, 250)
			fill(t, sql, upTo(2, 4), 80)
			if _, err := sql.Exec(t.Context(), inFront.lease); err != nil {
				t.Fatal(err)
			}
			sink := newRecorder(func(_ int, source int64, _ *http.Request) int {
				if source == 1 {
					return inFront.status
				}
				return http.StatusAccepted
			})
			err := startAt(t, db, sink, nil).Drain(t.Context())
			if (err != nil) != (inFront.status == 503) || err != nil && !errors.Is(err, outbox.ErrUnsent) {
				t.Errorf("Drain() = %v", err)
			}
			delete(sink.first, 1)
			sink.wantInOrder(t, upTo(2, 4), 80)
		})
	}
}

// TestFailedOnce: a drain tries a source that fails once, however many there are, and goes on.
func TestFailedOnce(t *testing.T) {
	t.Parallel()

	db, sql := storetest.Open(t, "relay")
	all := upTo(1, 300)
	fill(t, sql, all, 2)
	fails := func(source int64) bool { return source%3 == 0 }
	sink := newRecorder(func(_ int, source int64, _ *http.Request) int {
		if fails(source) {
			return http.StatusServiceUnavailable
		}
		return http.StatusAccepted
	})
	if err := startAt(t, db, sink, nil).Drain(t.Context()); !errors.Is(err, outbox.ErrUnsent) || errors.Is(err, outbox.ErrAway) {
		t.Errorf("Drain() = %v, want some sources unsent", err)
	}
	if sink.n != 2*200+100 {
		t.Errorf("%d requests, want two for each source that goes well and one for each that fails", sink.n)
	}
	sink.wantInOrder(t, slices.DeleteFunc(all, fails), 2)
}

// TestGivesUp: a sink that takes nothing is soon left alone, and when it is back, what was tried is sent too.
func TestGivesUp(t *testing.T) {
	t.Parallel()

	db, sql := storetest.Open(t, "relay")
	fill(t, sql, upTo(1, 500), 1)
	var status atomic.Int64
	status.Store(http.StatusServiceUnavailable)
	sink := newRecorder(func(int, int64, *http.Request) int { return int(status.Load()) })
	d := startAt(t, db, sink, nil)
	if err := d.Drain(t.Context()); !errors.Is(err, outbox.ErrAway) {
		t.Errorf("Drain() = %v, want the sink away", err)
	}
	if sink.n < 50 || sink.n >= 100 {
		t.Errorf("%d requests to a sink that takes none", sink.n)
	}
	if events, leases := count(t, sql, "sources.outbox"), count(t, sql, "sources.outbox_lease"); events != 500 || leases != 0 {
		t.Errorf("%d events and %d leases, want 500 and none", events, leases)
	}
	if _, err := sql.Exec(t.Context(), `DELETE FROM sources.outbox WHERE source_id > 50`); err != nil { // all that was not tried
		t.Fatal(err)
	}
	status.Store(http.StatusAccepted)
	if err := d.Drain(t.Context()); err != nil {
		t.Error(err)
	}
	sink.wantInOrder(t, upTo(1, 50), 1)
}

// TestCrowdAlwaysFails: sources that always fail, more of them than make a sink count as away, keep nobody
// from being sent for ever.
func TestCrowdAlwaysFails(t *testing.T) {
	t.Parallel()

	db, sql := storetest.Open(t, "relay")
	fill(t, sql, upTo(1, 120), 1)
	fill(t, sql, []int64{121}, 3)
	sink := newRecorder(func(_ int, source int64, _ *http.Request) int {
		if source <= 120 {
			return http.StatusServiceUnavailable
		}
		return http.StatusAccepted
	})
	d := startAt(t, db, sink, nil)
	for range 3 {
		if err := d.Drain(t.Context()); !errors.Is(err, outbox.ErrAway) {
			t.Errorf("Drain() = %v, want the sink away", err)
		}
	}
	sink.wantInOrder(t, []int64{121}, 3)
}
