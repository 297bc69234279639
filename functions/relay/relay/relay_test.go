package relay_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
	"time"

	cloudevents "github.com/cloudevents/sdk-go/v2"
	cehttp "github.com/cloudevents/sdk-go/v2/protocol/http"
	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/insights-onprem/cost-sources/functions/relay/relay"
	"github.com/insights-onprem/cost-sources/shared/events"
	"github.com/insights-onprem/cost-sources/shared/outbox"
	"github.com/insights-onprem/cost-sources/shared/sources"
	"github.com/insights-onprem/cost-sources/shared/store"
	"github.com/insights-onprem/cost-sources/shared/store/storetest"
)

// A fixture is the relay with a sink behind it.
type fixture struct {
	*testing.T
	db   *store.Store
	api  *store.Store // what makes changes
	sql  *pgxpool.Pool
	url  string
	sink *sink

	client http.Client // who pings
}

// A sink keeps what it is sent, as "type subject sequence repair".
type sink struct {
	mu     sync.Mutex
	status int
	broken func(subject string) bool // the part of it that fails, if not nil
	sent   []string
}

func (s *sink) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.broken != nil && s.broken(r.Header.Get("Ce-Subject")) {
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	if s.status == http.StatusAccepted {
		h := r.Header
		s.sent = append(s.sent, fmt.Sprintf("%s %s %s %s", h.Get("Ce-Type"), h.Get("Ce-Subject"), h.Get("Ce-Sequence"), h.Get("Ce-Repair")))
	}
	w.WriteHeader(s.status)
}

// take returns what has been sent since the last call, in order of the lines.
func (s *sink) take() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	sent := s.sent
	s.sent = nil
	slices.Sort(sent)
	return sent
}

func (s *sink) answer(status int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.status = status
}

// breakFor has the sink fail for some subjects.
func (s *sink) breakFor(subjects func(string) bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.broken = subjects
}

func setup(t *testing.T) fixture {
	t.Helper()
	address := storetest.Database(t)
	db := storetest.Store(t, "relay", address)
	s := &sink{status: http.StatusAccepted}
	sinkServer := httptest.NewServer(s)
	t.Cleanup(sinkServer.Close)
	dispatcher := outbox.New(outbox.Config{Sink: sinkServer.URL}, db)
	t.Cleanup(func() {
		if err := dispatcher.Stop(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	})
	srv := httptest.NewServer(relay.New(db, dispatcher))
	t.Cleanup(srv.Close)
	return fixture{T: t, db: db, api: storetest.Store(t, "sources", address).For("org1"), sql: storetest.Pool(t, address), url: srv.URL, sink: s}
}

// ping sends a tick, which has to be answered with a status, and returns what the sink was sent.
func (f fixture) ping(status int) []string {
	f.Helper()
	got, sent := f.tick()
	if got != status {
		f.Errorf("a ping is answered %d, want %d", got, status)
	}
	return sent
}

// tick is ping for any status.
func (f fixture) tick() (status int, sent []string) {
	f.Helper()
	e := cloudevents.NewEvent()
	e.SetID("1")
	e.SetSource("/apis/v1/namespaces/dev/pingsources/relay")
	e.SetType("dev.knative.sources.ping")
	request, err := cehttp.NewHTTPRequestFromEvent(f.Context(), f.url, e)
	if err != nil {
		f.Fatal(err)
	}
	response, err := f.client.Do(request)
	if err != nil {
		f.Fatal(err)
	}
	response.Body.Close()
	return response.StatusCode, f.sink.take()
}

// save changes a source and stores it with an event; a new one where ref is zero.
func (f fixture) save(ref sources.Ref, event store.EventFunc, edit func(*sources.Source)) sources.Source {
	f.Helper()
	var src sources.Source
	err := f.api.InTx(f.Context(), func(tx *store.Store) (err error) {
		if ref == (sources.Ref{}) {
			src, err = tx.CreateSource(f.Context(), sources.Source{OrgID: "org1", Name: "a"})
		} else {
			src, err = tx.LockSource(f.Context(), "org1", ref)
		}
		if err != nil {
			return err
		}
		edit(&src)
		return tx.SaveSource(f.Context(), &src, event)
	})
	if err != nil {
		f.Fatal(err)
	}
	return src
}

func (f fixture) exec(sql string, args ...any) {
	f.Helper()
	if _, err := f.sql.Exec(f.Context(), sql, args...); err != nil {
		f.Fatalf("%s: %v", sql, err)
	}
}

func (f fixture) count(what string) (n int) {
	f.Helper()
	if err := f.sql.QueryRow(f.Context(), `SELECT count(*) FROM `+what).Scan(&n); err != nil {
		f.Fatal(err)
	}
	return n
}

// later makes everything as if an hour had passed.
func (f fixture) later() {
	f.exec(`UPDATE sources.source SET next_attempt_at = next_attempt_at - interval '1 hour', updated_at = updated_at - interval '1 hour'`)
}

func (f fixture) want(what string, want, got []string) {
	f.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		f.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

func attach(src *sources.Source) {
	src.SetCluster("c" + src.UUID)
	src.Attach()
}

func TestSendsAndAsksAgain(t *testing.T) {
	t.Parallel()

	f := setup(t)
	living := f.save(sources.Ref{}, events.SourceCreated, attach)
	gone := f.save(sources.Ref{}, events.SourceCreated, attach)
	f.save(sources.Ref{ID: gone.ID}, events.SourceDeleted, func(s *sources.Source) { s.MarkDeleted(time.Now()) })
	detached := f.save(sources.Ref{}, events.SourceCreated, attach)
	f.save(sources.Ref{ID: detached.ID}, events.ApplicationDeleted, func(s *sources.Source) { s.Detach(time.Now()) })
	done := f.save(sources.Ref{}, events.SourceCreated, func(*sources.Source) {})
	f.exec(`UPDATE sources.source SET observed_generation = generation WHERE id = ANY ($1)`, []int64{done.ID, detached.ID})

	f.want("the first ping sends what waits", []string{
		"application.delete sources/3 2 ", "source.create sources/1 1 ", "source.create sources/2 1 ", "source.create sources/3 1 ",
		"source.create sources/4 1 ", "source.delete sources/2 2 "}, f.ping(204))
	f.want("nothing is asked again that has just been asked", nil, f.ping(204))
	f.later()
	f.want("an hour later what is undone is asked again", []string{
		"application.delete sources/3 3 1", "source.delete sources/2 3 1", "source.update sources/1 2 1"}, f.ping(204))
	f.want("but not twice", nil, f.ping(204))

	f.exec(`UPDATE sources.source SET observed_generation = generation, ros_cleaned_at = now()`)
	f.later()
	f.want("what is done is not asked again", nil, f.ping(204))
	if n := f.count(`sources.relay_run WHERE finished_at > now() - interval '1 minute'`); n != 1 {
		t.Error("the relay has not said that it ran")
	}
	if src, err := f.db.Registered(t.Context(), living.ID); err != nil || src.Generation != 1 {
		t.Errorf("asking again has changed the source: %+v, %v", src, err)
	}
}

// TestAsksLessAndLessOften: the wait grows with the age of what is undone, and no event is added while one
// waits in the outbox.
func TestAsksLessAndLessOften(t *testing.T) {
	t.Parallel()

	f := setup(t)
	f.save(sources.Ref{}, events.SourceCreated, attach)
	f.sink.answer(http.StatusServiceUnavailable)
	f.later()
	f.want("nothing arrives without a sink", nil, f.ping(503))
	if n := f.count(`sources.outbox`); n != 1 {
		t.Errorf("%d events wait, want the first one", n)
	}
	f.sink.answer(http.StatusAccepted)
	f.want("with the sink back the first one is sent, and what is overdue asked again",
		[]string{"source.create sources/1 1 ", "source.update sources/1 2 1"}, f.ping(204))
	f.want("then not for as long as it has waited", nil, f.ping(204))
	if n := f.count(`sources.source WHERE next_attempt_at BETWEEN now() + interval '55 minutes' AND now() + interval '1 hour'`); n != 1 {
		t.Error("after an hour the next time is not an hour away")
	}
}

// TestBounded: however much is due, one ping asks for so much and no more, and the next ones for the rest.
func TestBounded(t *testing.T) {
	t.Parallel()

	const due, perPing = 1050, 1000
	f := setup(t)
	f.exec(`
		INSERT INTO sources.source (org_id, name, source_type, state, generation)
		SELECT 'org1', 's', 'OCP', 'pending', 1 FROM generate_series(1, $1)`, due)
	for asked := 0; asked < due; {
		_, sent := f.tick() // 503 where its time did not suffice
		if asked += len(sent); len(sent) == 0 || len(sent) > perPing {
			t.Fatalf("a ping asks for %d, %d of %d by now", len(sent), asked, due)
		}
	}
}

func TestLooksAtROSOnceMore(t *testing.T) {
	t.Parallel()

	f := setup(t)
	src := f.save(sources.Ref{}, events.SourceCreated, attach)
	f.save(sources.Ref{ID: src.ID}, events.SourceDeleted, func(s *sources.Source) { s.MarkDeleted(time.Now()) })
	f.ping(204)
	done := `UPDATE sources.source SET observed_generation = generation, provider_removed_at = now(), ros_cleaned_at = now()`
	f.exec(done)
	f.want("on the day of the cleanup", nil, f.ping(204))
	f.exec(`UPDATE sources.source SET ros_cleaned_at = now() - interval '25 hours'`)
	f.want("a day later", []string{"source.delete sources/1 3 1"}, f.ping(204))
	f.exec(done)
	f.exec(`UPDATE sources.source SET ros_cleaned_at = now() - interval '25 hours', next_attempt_at = now()`)
	f.want("two days later", nil, f.ping(204))
}

func TestForgets(t *testing.T) {
	t.Parallel()

	f := setup(t)
	for range 3 {
		src := f.save(sources.Ref{}, events.SourceCreated, attach)
		f.save(sources.Ref{ID: src.ID}, events.SourceDeleted, func(s *sources.Source) { s.MarkDeleted(time.Now()) })
	}
	f.ping(204)
	const done = `UPDATE sources.source SET observed_generation = generation, deleted_at = now() - interval '91 days',
		provider_removed_at = now() - interval '91 days', ros_cleaned_at = now() - interval '91 days', ros_rechecked_at = now()`
	f.exec(done)
	f.exec(`UPDATE sources.source SET ros_cleaned_at = now() - interval '89 days' WHERE id = 2`)
	f.exec(`UPDATE sources.source SET observed_generation = 0, next_attempt_at = now() + interval '1 day' WHERE id = 3`)
	f.exec(`INSERT INTO sources.idempotency_key (org_id, path, key, body_sha256, created_at) VALUES
		('org1', '/sources', 'old', '', now() - interval '25 hours'), ('org1', '/sources', 'new', '', now())`)
	f.exec(`INSERT INTO sources.outbox_lease VALUES (1, gen_random_uuid(), clock_timestamp()), (2, gen_random_uuid(), now() + interval '10 seconds')`)
	f.exec(`INSERT INTO sources.redrive (event_source, event_id, attempt, who, why, redriven_at) VALUES
		('/s', 'old', 1, '', '', now() - interval '92 days'), ('/s', 'old', 2, '', '', now() - interval '91 days'),
		('/s', 'again', 1, '', '', now() - interval '91 days'), ('/s', 'again', 2, '', '', now() - interval '89 days')`)
	f.ping(204)
	for what, want := range map[string]int{
		"sources.source WHERE id = 1": 0, "sources.application WHERE source_id = 1": 0, "sources.source": 2, "sources.application": 2,
		"sources.idempotency_key": 1, "sources.idempotency_key WHERE key = 'new'": 1,
		"sources.outbox_lease": 1, "sources.outbox_lease WHERE source_id = 2": 1,
		"sources.redrive": 2, "sources.redrive WHERE event_id = 'again'": 2, // or a third and a fourth time would be the first again
	} {
		if got := f.count(what); got != want {
			t.Errorf("%d of %s, want %d", got, what, want)
		}
	}
}

// TestHealth: one row says what an operator alerts on.
func TestHealth(t *testing.T) {
	t.Parallel()

	f := setup(t)
	f.save(sources.Ref{}, events.SourceCreated, attach)
	gone := f.save(sources.Ref{}, events.SourceCreated, attach)
	f.save(sources.Ref{ID: gone.ID}, events.SourceDeleted, func(s *sources.Source) { s.MarkDeleted(time.Now()) })
	health := func() (row string) {
		f.Helper()
		err := f.sql.QueryRow(f.Context(), `
			SELECT format('%s waiting, %s parked, %s pending, %s failed, %s undone, ran %s, ages %s %s %s %s', outbox_depth, outbox_parked,
				sources_pending, sources_failed, deletions_undone, last_relay_run IS NOT NULL,
				outbox_age >= 0, pending_age >= 0, failed_age >= 0, deletion_age >= 0)
			FROM sources.health`).Scan(&row)
		if err != nil {
			f.Fatal(err)
		}
		return row
	}
	if got, want := health(), "3 waiting, 0 parked, 1 pending, 0 failed, 1 undone, ran f, ages t t  t"; got != want {
		t.Errorf("health: %s\n   want %s", got, want)
	}
	f.sink.answer(http.StatusBadRequest)
	f.ping(204)
	f.exec(`UPDATE sources.source SET state = 'failed' WHERE state = 'pending'`)
	if got, want := health(), "0 waiting, 3 parked, 0 pending, 1 failed, 1 undone, ran t, ages   t t"; got != want {
		t.Errorf("health: %s\n   want %s", got, want)
	}
}
