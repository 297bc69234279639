package relay_test

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/insights-onprem/cost-sources/shared/events"
	"github.com/insights-onprem/cost-sources/shared/sources"
)

const (
	ran       = `sources.relay_run`
	forgotten = `sources.idempotency_key`
)

// leaveToForget puts something into the database that has had its time.
func (f fixture) leaveToForget() {
	f.Helper()
	f.exec(`INSERT INTO sources.idempotency_key (org_id, path, key, body_sha256, created_at)
		VALUES ('org1', '/sources', 'old', '', now() - interval '25 hours')`)
}

// crowd makes n sources whose work is undone, without events.
func (f fixture) crowd(n int) {
	f.Helper()
	f.exec(`INSERT INTO sources.source (org_id, name, source_type, state, generation, next_attempt_at)
		SELECT 'org1', 'a', 'OCP', 'pending', 1, now() - interval '1 minute' FROM generate_series(1, $1)`, n)
}

func (f fixture) wantCounts(want map[string]int) {
	f.Helper()
	for what, n := range want {
		if got := f.count(what); got != n {
			f.Errorf("%d of %s, want %d", got, what, n)
		}
	}
}

// TestOneAlwaysFails: a source whose event the sink never takes keeps none of the others from being sent,
// repaired and forgotten, nor the run from being recorded.
func TestOneAlwaysFails(t *testing.T) {
	t.Parallel()

	f := setup(t)
	f.save(sources.Ref{}, events.SourceCreated, attach)
	f.sink.breakFor(func(subject string) bool { return subject == "sources/1" })
	f.ping(503)
	f.save(sources.Ref{}, events.SourceCreated, func(*sources.Source) {})
	f.crowd(150)
	f.leaveToForget()
	sent := f.ping(503)
	if len(sent) != 151 || sent[0] != "source.create sources/2 1 " || sent[1] != "source.update sources/10 1 1" {
		t.Errorf("%d events were sent, want one new and 150 repairs: %v", len(sent), sent)
	}
	f.wantCounts(map[string]int{"sources.outbox": 1, "sources.outbox_lease": 0, forgotten: 0, ran: 1})
}

// TestPartAway: also where so many sources fail that a drain meets no others, those are repaired.
func TestPartAway(t *testing.T) {
	t.Parallel()

	f := setup(t)
	f.crowd(70)
	f.sink.answer(http.StatusServiceUnavailable)
	f.ping(503)
	f.wantCounts(map[string]int{"sources.outbox": 70, ran: 0})
	f.sink.answer(http.StatusAccepted)
	f.sink.breakFor(func(subject string) bool { return subject != "sources/71" })
	f.crowd(1)
	f.want("the part that works", []string{"source.update sources/71 1 1"}, f.ping(503))
}

// TestAway: without a sink nothing is sent and the run is not recorded, but what has had its time is
// forgotten, and no source is asked again that waits to be sent.
func TestAway(t *testing.T) {
	t.Parallel()

	f := setup(t)
	f.crowd(250)
	f.sink.answer(http.StatusServiceUnavailable)
	f.leaveToForget()
	f.want("without a sink", nil, f.ping(503))
	f.wantCounts(map[string]int{"sources.outbox": 100})
	for range 4 {
		f.want("still without a sink", nil, f.ping(503))
		f.later()
	}
	f.wantCounts(map[string]int{"sources.outbox": 250, "sources.outbox_lease": 0, forgotten: 0, ran: 0})
	f.sink.answer(http.StatusAccepted)
	f.exec(`UPDATE sources.source SET observed_generation = generation`)
	if n := len(f.ping(204)); n != 250 {
		t.Errorf("%d events were sent with the sink back, want all", n)
	}
	f.wantCounts(map[string]int{"sources.outbox": 0, ran: 1})
}

// TestOneCannotBeAsked: nor does a source hold up the others of which no event can be made.
func TestOneCannotBeAsked(t *testing.T) {
	t.Parallel()

	f := setup(t)
	f.crowd(3)
	f.exec(`UPDATE sources.source SET account_number = $1, next_attempt_at = next_attempt_at - interval '1 hour' WHERE id = 1`,
		strings.Repeat("a", 300<<10))
	f.want("the others", []string{"source.update sources/2 1 1", "source.update sources/3 1 1"}, f.ping(503))
	f.wantCounts(map[string]int{ran: 1})
}

// hold has somebody lock rows who does not come back.
func (f fixture) hold(sql string) {
	f.Helper()
	tx, err := f.sql.Begin(f.Context())
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { _ = tx.Rollback(context.WithoutCancel(f.Context())) })
	if _, err := tx.Exec(f.Context(), sql); err != nil {
		f.Fatal(err)
	}
}

// TestOneIsLocked: nor one whose row somebody has locked for long.
func TestOneIsLocked(t *testing.T) {
	t.Parallel()

	f := setup(t)
	f.crowd(3)
	f.exec(`UPDATE sources.source SET next_attempt_at = next_attempt_at - interval '1 hour' WHERE id = 1`)
	f.hold(`SELECT FROM sources.source WHERE id = 1 FOR NO KEY UPDATE`)
	f.want("the others", []string{"source.update sources/2 1 1", "source.update sources/3 1 1"}, f.ping(204))
	f.wantCounts(map[string]int{ran: 1})
}

// TestTidyWaitsForNobody: what cannot be forgotten now, as somebody has it locked, keeps nothing from being sent, nor
// anything else from being forgotten.
func TestTidyWaitsForNobody(t *testing.T) {
	t.Parallel()

	f := setup(t)
	f.crowd(1)
	f.leaveToForget()
	f.exec(`INSERT INTO sources.outbox_lease (source_id, owner, until) VALUES (9, gen_random_uuid(), now() - interval '1 hour')`)
	f.hold(`DELETE FROM sources.idempotency_key`)
	f.client.Timeout = 20 * time.Second
	f.want("what is due", []string{"source.update sources/1 1 1"}, f.ping(503))
	f.wantCounts(map[string]int{"sources.outbox_lease": 0, forgotten: 1})
}
