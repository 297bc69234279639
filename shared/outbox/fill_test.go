package outbox_test

import (
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/insights-onprem/cost-sources/shared/events"
	"github.com/insights-onprem/cost-sources/shared/sources"
)

// fill puts n events of each of some sources into the outbox, as a change would have: all sources' first
// ones before all second ones. Of the registry it makes nothing.
func fill(t testing.TB, sql *pgxpool.Pool, ids []int64, n int) {
	t.Helper()
	var rows [][]any
	for sequence := range int64(n) {
		for _, id := range ids {
			rows = append(rows, row(t, id, sequence+1))
		}
	}
	_, err := sql.CopyFrom(t.Context(), pgx.Identifier{"sources", "outbox"},
		[]string{"source_id", "sequence", "id", "event", "created_at"}, pgx.CopyFromRows(rows))
	if err != nil {
		t.Fatal(err)
	}
}

func row(t testing.TB, id, sequence int64) []any {
	t.Helper()
	e, err := events.SourceUpdated(t.Context(), sources.Source{ID: id, OrgID: "org1", Name: "a", Type: "OCP",
		UUID: "7595b4ac-7ae0-4b8d-9b1c-6f0f6f3d2a3e", ClusterID: "cluster-1", Progress: sources.Progress{Sequence: sequence}})
	if err != nil {
		t.Fatal(err)
	}
	body, err := json.Marshal(e)
	if err != nil {
		t.Fatal(err)
	}
	return []any{id, sequence, e.ID(), json.RawMessage(body), time.Now()}
}

// upTo lists the numbers from one to the other.
func upTo(from, to int64) (ids []int64) {
	for id := from; id <= to; id++ {
		ids = append(ids, id)
	}
	return ids
}

func count(t testing.TB, sql *pgxpool.Pool, what string) (n int) {
	t.Helper()
	if err := sql.QueryRow(t.Context(), `SELECT count(*) FROM `+what).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

// A recorder is a sink that knows in which order it accepted the events of each source for the first time.
type recorder struct {
	// answer is asked with the number of the request, before which nothing is written down.
	answer func(n int, source int64, r *http.Request) int

	mu    sync.Mutex
	n     int
	seen  map[int64]map[int64]bool
	first map[int64][]int64
}

func (s *recorder) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	source, _ := strconv.ParseInt(strings.TrimPrefix(r.Header.Get("Ce-Subject"), "sources/"), 10, 64)
	sequence, _ := strconv.ParseInt(r.Header.Get("Ce-Sequence"), 10, 64)
	s.mu.Lock()
	s.n++
	n := s.n
	s.mu.Unlock()
	status := s.answer(n, source, r)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.seen[source] == nil {
		s.seen[source] = map[int64]bool{}
	}
	if status == http.StatusAccepted && !s.seen[source][sequence] {
		s.seen[source][sequence] = true
		s.first[source] = append(s.first[source], sequence)
	}
	w.WriteHeader(status)
}

func newRecorder(answer func(n int, source int64, r *http.Request) int) *recorder {
	return &recorder{answer: answer, seen: map[int64]map[int64]bool{}, first: map[int64][]int64{}}
}

// wantInOrder: of each of these sources, and no other, all n events were accepted, the first time in order.
func (s *recorder) wantInOrder(t *testing.T, ids []int64, n int64) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	wrong := 0
	for _, id := range ids {
		if !slices.Equal(s.first[id], upTo(1, n)) {
			if wrong++; wrong <= 5 {
				t.Errorf("source %d was sent in the order %v", id, s.first[id])
			}
		}
	}
	if wrong > 0 || len(s.first) != len(ids) {
		t.Errorf("%d sources of %d in another order; events of %d were accepted", wrong, len(ids), len(s.first))
	}
}
