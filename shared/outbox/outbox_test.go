package outbox_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/insights-onprem/cost-sources/shared/events"
	"github.com/insights-onprem/cost-sources/shared/outbox"
	"github.com/insights-onprem/cost-sources/shared/sources"
	"github.com/insights-onprem/cost-sources/shared/store"
	"github.com/insights-onprem/cost-sources/shared/store/storetest"
)

// A sink keeps what it has been sent and answers what answer says.
type sink struct {
	*httptest.Server
	arrived chan string // a line for each request: "source/sequence type status"
	answer  func(subject, sequence string) int

	mu   sync.Mutex
	kept []*http.Request
}

func newSink(t *testing.T, answer func(subject, sequence string) int) *sink {
	t.Helper()
	s := &sink{arrived: make(chan string, 10_000), answer: answer}
	s.Server = httptest.NewServer(s)
	t.Cleanup(s.Close)
	return s
}

func (s *sink) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil || len(body) == 0 {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	s.mu.Lock()
	s.kept = append(s.kept, r)
	s.mu.Unlock()
	subject, sequence := r.Header.Get("Ce-Subject"), r.Header.Get("Ce-Sequence")
	status := s.answer(subject, sequence)
	w.Header().Set("Location", s.URL+"/elsewhere") // for the redirects among them
	w.WriteHeader(status)
	s.arrived <- fmt.Sprintf("%s/%s %s %d", subject, sequence, r.Header.Get("Ce-Type"), status)
}

// requests are those that have come so far.
func (s *sink) requests() []*http.Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.kept)
}

// next waits for a number of requests.
func (s *sink) next(t *testing.T, n int) []string {
	t.Helper()
	var lines []string
	for range n {
		select {
		case line := <-s.arrived:
			lines = append(lines, line)
		case <-time.After(time.Minute):
			t.Fatalf("only %d of %d requests have come: %v", len(lines), n, lines)
		}
	}
	return lines
}

func accept(_, _ string) int { return http.StatusAccepted }

func start(t *testing.T, db *store.Store, s *sink, extensions map[string]string) *outbox.Dispatcher {
	t.Helper()
	d := outbox.New(outbox.Config{Sink: s.URL, Overrides: outbox.Overrides{Extensions: extensions}}, db)
	t.Cleanup(func() { stop(t, d) })
	return d
}

func stop(t testing.TB, d *outbox.Dispatcher) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), time.Minute)
	defer cancel()
	if err := d.Stop(ctx); err != nil {
		t.Errorf("Stop() = %v", err)
	}
}

// stores are an API's store, which makes changes and sends their events, and the relay's, of one database.
func stores(t *testing.T) (api, relay *store.Store) {
	t.Helper()
	address := storetest.Database(t)
	return storetest.Store(t, "sources", address), storetest.Store(t, "relay", address)
}

// addSource stores a source and puts n events of it into the outbox.
func addSource(t *testing.T, api *store.Store, n int) sources.Source {
	t.Helper()
	var src sources.Source
	err := api.For("org1").InTx(t.Context(), func(tx *store.Store) (err error) {
		if src, err = tx.CreateSource(t.Context(), sources.Source{OrgID: "org1", Name: "a"}); err != nil {
			return err
		}
		return tx.SaveSource(t.Context(), &src, slices.Repeat([]store.EventFunc{events.SourceUpdated}, n)...)
	})
	if err != nil {
		t.Fatal(err)
	}
	return src
}

func isEmpty(t *testing.T, relay *store.Store) bool {
	t.Helper()
	waiting, err := relay.Waiting(t.Context(), store.Place{}, 1)
	if err != nil {
		t.Fatal(err)
	}
	return len(waiting) == 0
}

func TestSend(t *testing.T) {
	t.Parallel()

	api, relay := stores(t)
	s := newSink(t, accept)
	src := addSource(t, api, 1)
	d := start(t, api, s, map[string]string{"environment": "onprem"})
	d.Wake(src)
	s.next(t, 1)
	stop(t, d)
	if !isEmpty(t, relay) {
		t.Error("an event that was accepted is still in the outbox")
	}
	got := map[string]string{}
	for name, values := range s.requests()[0].Header {
		if name != "Ce-Id" && name != "Ce-Time" {
			got[name] = values[0]
		}
	}
	for _, name := range []string{"User-Agent", "Content-Length", "Accept-Encoding"} {
		delete(got, name)
	}
	want := map[string]string{
		"Content-Type": "application/json", "Ce-Specversion": "1.0", "Ce-Type": "source.update",
		"Ce-Source": "/api/cost-management/v1/sources", "Ce-Subject": "sources/1", "Ce-Partitionkey": "1",
		"Ce-Sequence": "1", "Ce-Orgid": "org1", "Ce-Environment": "onprem",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the sink was sent (-want +got):\n%s", diff)
	}
}

// TestOrder: many dispatchers at once send every event of every source, and the first sending of each
// comes in order, also where the sink fails every third time.
func TestOrder(t *testing.T) {
	t.Parallel()

	const perSource, dispatchers = 12, 4
	var mu sync.Mutex
	count, first := 0, map[string][]string{}
	s := newSink(t, func(subject, sequence string) int {
		mu.Lock()
		defer mu.Unlock()
		if count++; count%3 == 0 {
			return http.StatusServiceUnavailable
		}
		if !slices.Contains(first[subject], sequence) {
			first[subject] = append(first[subject], sequence)
		}
		return http.StatusAccepted
	})
	api, relay := stores(t)
	for range 5 {
		addSource(t, api, perSource)
	}
	for !isEmpty(t, relay) {
		var all sync.WaitGroup
		for range dispatchers {
			d := start(t, relay, s, nil)
			all.Go(func() { _ = d.Drain(t.Context()) }) // it fails where the sink does
		}
		all.Wait()
	}
	var want []string
	for i := range perSource {
		want = append(want, fmt.Sprint(i+1))
	}
	for i := range 5 {
		subject := fmt.Sprintf("sources/%d", i+1)
		if diff := cmp.Diff(want, first[subject]); diff != "" {
			t.Errorf("%s was sent in the order (-want +got):\n%s", subject, diff)
		}
	}
}

// TestOnce: while all goes well, a lease keeps dispatchers from sending what another is sending.
func TestOnce(t *testing.T) {
	t.Parallel()

	api, relay := stores(t)
	s := newSink(t, accept)
	for range 10 {
		addSource(t, api, 5)
	}
	var all sync.WaitGroup
	for range 4 {
		d := start(t, relay, s, nil)
		all.Go(func() {
			if err := d.Drain(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if n := len(s.requests()); n != 50 || !isEmpty(t, relay) {
		t.Errorf("50 events were sent %d times", n)
	}
}

func TestRefused(t *testing.T) {
	t.Parallel()

	s := newSink(t, func(_, sequence string) int {
		if sequence == "2" {
			return http.StatusBadRequest
		}
		return http.StatusAccepted
	})
	api, relay := stores(t)
	src := addSource(t, api, 3)
	d := start(t, relay, s, nil)
	if err := d.Drain(t.Context()); err != nil {
		t.Errorf("Drain() = %v, want the refused event set aside", err)
	}
	if got, want := s.next(t, 3), []string{"sources/1/1 source.update 202", "sources/1/2 source.update 400", "sources/1/3 source.update 202"}; !slices.Equal(got, want) {
		t.Errorf("sent %v, want %v", got, want)
	}
	if more, err := relay.Release(t.Context(), src.ID, "00000000-0000-0000-0000-000000000000", 0); more || err != nil {
		t.Errorf("events wait (%v, %v), want none but the parked one", more, err)
	}
}

// TestRefusedWithOddText: what the sink says to it does not keep an event from being set aside.
func TestRefusedWithOddText(t *testing.T) {
	t.Parallel()

	for name, text := range map[string]string{
		"another encoding": "ung\xfcltig", "a NUL": "a\x00b", "longer than is read": "x" + strings.Repeat("ü", 600),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			db, sql := storetest.Open(t, "relay")
			fill(t, sql, []int64{1}, 2)
			sink := newRecorder(func(int, int64, *http.Request) int { return http.StatusAccepted })
			d := startAt(t, db, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.Header.Get("Ce-Sequence") == "1" {
					http.Error(w, text, http.StatusBadRequest)
					return
				}
				sink.ServeHTTP(w, r)
			}), nil)
			if err := d.Drain(t.Context()); err != nil {
				t.Errorf("Drain() = %v, want the refused event set aside", err)
			}
			if parked, all := count(t, sql, "sources.outbox WHERE parked_at IS NOT NULL"), count(t, sql, "sources.outbox"); parked != 1 || all != 1 {
				t.Errorf("%d of %d events are parked, want the first one, and the second sent", parked, all)
			}
		})
	}
}

// TestBrokenOff: the status says what became of an event, also where what follows it breaks off.
func TestBrokenOff(t *testing.T) {
	t.Parallel()

	db, sql := storetest.Open(t, "relay")
	fill(t, sql, []int64{1}, 2)
	d := startAt(t, db, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		status := http.StatusAccepted
		if r.Header.Get("Ce-Sequence") == "1" {
			status = http.StatusBadRequest
		}
		w.Header().Set("Content-Length", "100")
		w.WriteHeader(status)
		_, _ = io.WriteString(w, "half")
	}), nil)
	if err := d.Drain(t.Context()); err != nil {
		t.Errorf("Drain() = %v, want one event parked and one accepted", err)
	}
	if parked, all := count(t, sql, "sources.outbox WHERE parked_at IS NOT NULL"), count(t, sql, "sources.outbox"); parked != 1 || all != 1 {
		t.Errorf("%d of %d events are parked, want the first one, and the second sent", parked, all)
	}
}

// TestTriedAgain: whatever else the sink answers, the event is sent again until it is taken.
func TestTriedAgain(t *testing.T) {
	t.Parallel()

	answers := []int{404, 503, 500, 307, 202}
	var mu sync.Mutex
	s := newSink(t, func(_, _ string) int {
		mu.Lock()
		defer mu.Unlock()
		status := answers[0]
		answers = answers[1:]
		return status
	})
	api, relay := stores(t)
	src := addSource(t, api, 1)
	d := start(t, api, s, nil)
	d.Wake(src)
	s.next(t, 5)
	stop(t, d)
	if !isEmpty(t, relay) {
		t.Error("the event is still in the outbox")
	}
	if id := s.requests()[0].Header.Get("Ce-Id"); s.requests()[4].Header.Get("Ce-Id") != id {
		t.Error("the event was sent again under another id")
	}
}

// TestSinkAway: one drain gives up soon, loses nothing, and leaves no lease behind.
func TestSinkAway(t *testing.T) {
	t.Parallel()

	api, relay := stores(t)
	s := newSink(t, accept)
	s.Close()
	addSource(t, api, 2)
	if err := start(t, relay, s, nil).Drain(t.Context()); err == nil {
		t.Error("Drain() = nil without a sink")
	}
	back := newSink(t, accept)
	if err := start(t, relay, back, nil).Drain(t.Context()); err != nil || !isEmpty(t, relay) {
		t.Errorf("Drain() with the sink back = %v", err)
	}
}

// TestStop: what has been woken is sent before a dispatcher stops.
func TestStop(t *testing.T) {
	t.Parallel()

	api, relay := stores(t)
	s := newSink(t, accept)
	d := start(t, api, s, nil)
	for range 30 {
		d.Wake(addSource(t, api, 2))
	}
	stop(t, d)
	if !isEmpty(t, relay) || len(s.requests()) != 60 {
		t.Errorf("%d of 60 events were sent before the stop", len(s.requests()))
	}
	d.Wake(sources.Source{ID: 1, OrgID: "org1"}) // after the stop it is for the relay
}

func TestConfig(t *testing.T) {
	t.Parallel()

	for url, valid := range map[string]bool{"http://sink.example/a": true, "https://sink.example": true, "sink.example": false, "ftp://a": false, "http://": false} {
		if err := (outbox.Config{Sink: url}).Validate(); (err == nil) != valid {
			t.Errorf("K_SINK=%s: %v", url, err)
		}
	}
	for text, valid := range map[string]bool{
		"": true, `{"extensions":{"a":"b"}}`: true, `{"extensions":{"Environment":"größer"}}`: true, "x": false,
		`{"extensions":{"my-env":"b"}}`: false, `{"extensions":{"":"b"}}`: false, `{"extensions":{"type":"b"}}`: false,
		`{"extensions":{"a":"b\nc"}}`: false, `{"extensions":{"Sequence":"1"}}`: false, `{"extensions":{"partitionkey":"1"}}`: false,
	} {
		var o outbox.Overrides
		if err := o.Decode(text); (err == nil) != valid {
			t.Errorf("K_CE_OVERRIDES=%s: %v", text, err)
		}
	}
}
