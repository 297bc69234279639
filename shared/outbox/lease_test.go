package outbox_test

import (
	"context"
	"net/http"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/insights-onprem/cost-sources/shared/store/storetest"
)

// held makes a sink that holds the first request of each dispatcher, before it is written down, until its
// channel is closed, and says on reached that it has come.
func held(gates map[string]chan struct{}, reached chan<- string) *recorder {
	came := map[string]bool{}
	s := newRecorder(nil)
	s.answer = func(_ int, _ int64, r *http.Request) int {
		name := r.Header.Get("Ce-Dispatcher")
		s.mu.Lock()
		first := !came[name]
		came[name] = true
		s.mu.Unlock()
		if first {
			reached <- name
			<-gates[name]
		}
		return http.StatusAccepted
	}
	return s
}

// await waits until somebody has said so.
func await(t *testing.T, said <-chan string, what string) {
	t.Helper()
	select {
	case got := <-said:
		if got != what {
			t.Fatalf("%q came, want %q", got, what)
		}
	case <-time.After(time.Minute):
		t.Fatalf("%q did not come", what)
	}
}

// TestLeaseRunsOut: the lease of one dispatcher runs out while its first event is on the way, and another
// takes over. Whichever of the two is held up for longer, neither overtakes the order, nor does the first
// one end the lease of the second.
func TestLeaseRunsOut(t *testing.T) {
	t.Parallel()

	for _, order := range [][]string{{"a", "b"}, {"b", "a"}} {
		t.Run(order[0]+" first", func(t *testing.T) {
			t.Parallel()

			db, sql := storetest.Open(t, "relay")
			fill(t, sql, []int64{1}, 20)
			gates, reached, done := map[string]chan struct{}{"a": make(chan struct{}), "b": make(chan struct{})}, make(chan string), make(chan string)
			sink := held(gates, reached)
			for _, name := range []string{"a", "b"} {
				d := startAt(t, db, sink, map[string]string{"dispatcher": name})
				go func() {
					_ = d.Send(t.Context(), []int64{1}) // a's may take too long for it
					done <- name
				}()
				await(t, reached, name)
				if name == "a" {
					if _, err := sql.Exec(t.Context(), `UPDATE sources.outbox_lease SET until = clock_timestamp() - interval '1 second'`); err != nil {
						t.Fatal(err)
					}
				}
			}
			close(gates[order[0]])
			await(t, done, order[0])
			if order[0] == "a" && count(t, sql, "sources.outbox_lease WHERE until > clock_timestamp()") != 1 {
				t.Error("the first dispatcher has ended the lease of the second")
			}
			close(gates[order[1]])
			await(t, done, order[1])
			sink.wantInOrder(t, []int64{1}, 20)
			if left := count(t, sql, "sources.outbox") + count(t, sql, "sources.outbox_lease"); left != 0 {
				t.Errorf("%d events and leases stay behind", left)
			}
		})
	}
}

// TestChecksBeforeEachSend: what might not have arrived when the lease runs out is not sent under it.
func TestChecksBeforeEachSend(t *testing.T) {
	t.Parallel()

	db, sql := storetest.Open(t, "relay")
	fill(t, sql, []int64{1}, 2)
	sink := newRecorder(func(int, int64, *http.Request) int { return http.StatusAccepted })
	d := startAt(t, db, sink, nil)
	_, events, err := db.Lease(t.Context(), 1, uuid.NewString(), 10)
	if err != nil {
		t.Fatal(err)
	}
	for left, want := range map[time.Duration]int{3 * time.Second: 0, time.Hour: 2} {
		if n, err := d.SendUnder(t.Context(), 1, events, time.Now().Add(left)); n != want || err != nil {
			t.Errorf("with %s left %d events were sent (%v), want %d", left, n, err, want)
		}
	}
}

// TestChecksAfterTheDatabase: nor is what comes after an event that the database took its time to remove.
func TestChecksAfterTheDatabase(t *testing.T) {
	t.Parallel()

	db, sql := storetest.Open(t, "relay")
	fill(t, sql, []int64{1}, 2)
	until := time.Now().Add(5 * time.Second)
	sink := newRecorder(func(n int, _ int64, _ *http.Request) int {
		if n == 1 {
			tx, err := sql.Begin(t.Context())
			if err != nil {
				t.Error(err)
				return http.StatusInternalServerError
			}
			if _, err := tx.Exec(t.Context(), `SELECT FROM sources.outbox FOR UPDATE`); err != nil {
				t.Error(err)
			}
			time.AfterFunc(2*time.Second, func() { _ = tx.Rollback(context.WithoutCancel(t.Context())) })
		}
		return http.StatusAccepted
	})
	d := startAt(t, db, sink, nil)
	_, events, err := db.Lease(t.Context(), 1, uuid.NewString(), 10)
	if err != nil {
		t.Fatal(err)
	}
	n, err := d.SendUnder(t.Context(), 1, events, until)
	if n != 1 || err != nil {
		t.Errorf("%d events were sent (%v), want no second one with %s left", n, err, time.Until(until))
	}
	if left := count(t, sql, "sources.outbox"); left != 1 {
		t.Errorf("%d events are left, want the second one", left)
	}
}
