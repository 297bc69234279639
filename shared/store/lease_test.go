package store_test

import (
	"context"
	"testing"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/insights-onprem/cost-sources/shared/store"
	"github.com/insights-onprem/cost-sources/shared/store/storetest"
)

// addEvent puts an event of source 1 into the outbox; nobody here looks at its body.
const addEvent = `INSERT INTO sources.outbox (source_id, sequence, id, event) VALUES (1, $1, gen_random_uuid(), '{}')`

func execute(t *testing.T, sql interface {
	Exec(context.Context, string, ...any) (pgconn.CommandTag, error)
}, statement string, args ...any) {
	t.Helper()
	if _, err := sql.Exec(t.Context(), statement, args...); err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
}

func lease(t *testing.T, db *store.Store, owner string) (bool, []store.Queued) {
	t.Helper()
	taken, events, err := db.Lease(t.Context(), 1, owner, 10)
	if err != nil {
		t.Fatal(err)
	}
	return taken, events
}

// behindALock runs fn, which has to come to a lock on the lease of source 1, has meanwhile happen, and lets
// it go on.
func behindALock(t *testing.T, sql *pgxpool.Pool, meanwhile string, fn func()) {
	t.Helper()
	tx, err := sql.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback(context.WithoutCancel(t.Context()))
	execute(t, tx, `SELECT FROM sources.outbox_lease WHERE source_id = 1 FOR UPDATE`)
	done := make(chan struct{})
	go func() {
		defer close(done)
		fn()
	}()
	for waits := false; !waits; {
		if err := sql.QueryRow(t.Context(), `SELECT EXISTS (SELECT FROM pg_stat_activity
			WHERE datname = current_database() AND wait_event_type = 'Lock')`).Scan(&waits); err != nil {
			t.Fatal(err)
		}
	}
	execute(t, tx, meanwhile)
	if err := tx.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	<-done
}

// TestReleaseLooksAfterwards: an event is not overlooked that is committed between the beginning of a
// release and its end, whose own dispatcher found the lease taken.
func TestReleaseLooksAfterwards(t *testing.T) {
	t.Parallel()

	db, sql := storetest.Open(t, "relay")
	owner := uuid.NewString()
	execute(t, sql, addEvent, 1)
	if taken, _ := lease(t, db, owner); !taken {
		t.Fatal("the lease was not given")
	}
	var more bool
	var err error
	behindALock(t, sql, `INSERT INTO sources.outbox (source_id, sequence, id, event) VALUES (1, 2, gen_random_uuid(), '{}')`,
		func() { more, err = db.Release(t.Context(), 1, owner, 1) })
	if err != nil || !more {
		t.Errorf("Release() = %v, %v, want to be told of the event", more, err)
	}
}

// TestLeaseLooksAfterwards: who waited for the former owner's release does not get what that one has sent.
func TestLeaseLooksAfterwards(t *testing.T) {
	t.Parallel()

	db, sql := storetest.Open(t, "relay")
	execute(t, sql, addEvent, 1)
	execute(t, sql, addEvent, 2)
	execute(t, sql, `INSERT INTO sources.outbox_lease VALUES (1, gen_random_uuid(), clock_timestamp() - interval '1 second')`)
	var taken bool
	var events []store.Queued
	behindALock(t, sql, `DELETE FROM sources.outbox WHERE sequence = 1`,
		func() { taken, events = lease(t, db, uuid.NewString()) })
	if !taken || len(events) != 1 || events[0].Sequence != 2 {
		t.Errorf("Lease() = %v, %v, want the second event only", taken, events)
	}
}

func TestLease(t *testing.T) {
	t.Parallel()

	db, sql := storetest.Open(t, "relay")
	first, second := uuid.NewString(), uuid.NewString()
	if taken, _ := lease(t, db, first); taken {
		t.Error("a lease is given where nothing waits")
	}
	execute(t, sql, addEvent, 2)
	execute(t, sql, addEvent, 1)
	if taken, events := lease(t, db, first); !taken || len(events) != 2 || events[0].Sequence != 1 {
		t.Errorf("Lease() = %v, %v, want both events in order", taken, events)
	}
	if taken, events := lease(t, db, second); taken || len(events) != 0 {
		t.Errorf("Lease() of another = %v, %v", taken, events)
	}
	if more, err := db.Release(t.Context(), 1, second, 0); err != nil || !more {
		t.Errorf("Release() of another = %v, %v, want to be told that events wait", more, err)
	}
	if taken, _ := lease(t, db, second); taken {
		t.Error("somebody else has ended the lease")
	}
	execute(t, sql, `UPDATE sources.outbox_lease SET until = clock_timestamp()`)
	if taken, events := lease(t, db, second); !taken || len(events) != 2 {
		t.Errorf("a lease that has run out was not given on (%v, %v)", taken, events)
	}
	execute(t, sql, `UPDATE sources.outbox SET parked_at = now() WHERE sequence = 1`)
	execute(t, sql, `UPDATE sources.outbox_lease SET until = clock_timestamp()`)
	if taken, events := lease(t, db, second); !taken || len(events) != 1 || events[0].Sequence != 2 {
		t.Errorf("Lease() = %v, %v, want what is not parked", taken, events)
	}
	execute(t, sql, `UPDATE sources.outbox SET parked_at = now()`)
	if more, err := db.Release(t.Context(), 1, second, 0); err != nil || more {
		t.Errorf("Release() = %v, %v, want nothing to wait but what is parked", more, err)
	}
	if taken, _ := lease(t, db, first); taken {
		t.Error("a lease is given where all is parked")
	}
}
