package cleanup_test

import (
	"encoding/json"
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
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/insights-onprem/cost-sources/functions/ros-cleanup/cleanup"
	"github.com/insights-onprem/cost-sources/functions/ros-cleanup/cleanup/rostest"
	"github.com/insights-onprem/cost-sources/shared/events"
	"github.com/insights-onprem/cost-sources/shared/sources"
	"github.com/insights-onprem/cost-sources/shared/store"
	"github.com/insights-onprem/cost-sources/shared/store/storetest"
)

// client gives up before an event's deadline is over: whatever it is that the function waits for has a shorter one.
var client = &http.Client{Timeout: events.HandleWithin - 15*time.Second}

// A world is all that surrounds the function: the registry, ROS and Kruize.
type world struct {
	cfg      cleanup.Config
	db       *store.Store
	api      *store.Store  // what makes changes
	registry *pgxpool.Pool // the same database, for what the store does not do
	ros      *pgxpool.Pool
	kruize   *kruizeServer
}

func newWorld(t *testing.T) *world {
	t.Helper()
	address := storetest.Database(t)
	cfg := cleanup.Config{KruizeTimeout: time.Minute, PlainRecords: true}
	cfg.Database.DatabaseURL, cfg.ROSDatabaseURL, cfg.Database.MaxConns = storetest.As("ros-cleanup", address), storetest.Empty(t), 4
	if err := rostest.Load(t.Context(), cfg.ROSDatabaseURL); err != nil {
		t.Fatal(err)
	}
	w := &world{kruize: newKruizeServer(t)}
	cfg.KruizeURL = w.kruize.url
	if err := cfg.Validate(); err != nil {
		t.Fatal(err)
	}
	db, closeDB, err := store.Open(cfg.Database)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(closeDB)
	w.cfg, w.db = cfg, db
	w.api = storetest.Store(t, "sources", address)
	w.registry, w.ros = pool(t, address), pool(t, cfg.ROSDatabaseURL)
	return w
}

func pool(t *testing.T, url string) *pgxpool.Pool {
	t.Helper()
	p, err := store.OpenPool(store.Config{DatabaseURL: url, MaxConns: 4})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p
}

// serve starts the function and returns where it listens.
func (w *world) serve(t *testing.T, edits ...func(*cleanup.Config)) string {
	t.Helper()
	cfg := w.cfg
	for _, edit := range edits {
		edit(&cfg)
	}
	ros, err := cfg.OpenROS()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(ros.Close)
	server := httptest.NewServer(cleanup.New(cfg, w.db, ros))
	t.Cleanup(server.Close)
	return server.URL
}

// inTx changes the registry for an organization.
func (w *world) inTx(t *testing.T, org string, change func(tx *store.Store) error) {
	t.Helper()
	if err := w.api.For(org).InTx(t.Context(), change); err != nil {
		t.Fatal(err)
	}
}

// source makes a living source with an application.
func (w *world) source(t *testing.T, org string) (src sources.Source) {
	t.Helper()
	w.inTx(t, org, func(tx *store.Store) (err error) {
		if src, err = tx.CreateSource(t.Context(), sources.Source{OrgID: org, Name: "prod"}); err != nil {
			return err
		}
		src.SetCluster(fmt.Sprintf("cluster-%d", src.ID))
		src.Attach()
		return tx.SaveSource(t.Context(), &src, events.SourceCreated, events.ApplicationCreated)
	})
	return src
}

func (w *world) deleteSource(t *testing.T, src sources.Source) {
	t.Helper()
	w.inTx(t, src.OrgID, func(tx *store.Store) error {
		src, err := tx.LockSource(t.Context(), src.OrgID, sources.Ref{ID: src.ID})
		if err != nil {
			return err
		}
		src.MarkDeleted(time.Now())
		return tx.SaveSource(t.Context(), &src, events.ApplicationDeleted, events.SourceDeleted)
	})
}

func (w *world) deleteApplication(t *testing.T, src sources.Source) {
	t.Helper()
	w.inTx(t, src.OrgID, func(tx *store.Store) error {
		src, err := tx.LockSource(t.Context(), src.OrgID, sources.Ref{ID: src.ID})
		if err != nil {
			return err
		}
		src.Detach(time.Now())
		return tx.SaveSource(t.Context(), &src, events.ApplicationDeleted)
	})
}

// attach gives a source an application again.
func (w *world) attach(t *testing.T, src sources.Source) error {
	return w.api.For(src.OrgID).InTx(t.Context(), func(tx *store.Store) error {
		src, err := tx.LockSource(t.Context(), src.OrgID, sources.Ref{ID: src.ID})
		if err != nil {
			return err
		}
		src.Attach()
		return tx.SaveSource(t.Context(), &src, events.ApplicationCreated)
	})
}

func (w *world) cleaned(t *testing.T, src sources.Source) bool {
	t.Helper()
	now, err := w.db.Registered(t.Context(), src.ID)
	if err != nil {
		t.Fatal(err)
	}
	return now.ROSCleanedAt != nil
}

func (w *world) seed(t *testing.T, org string, sourceID int64, clusterUUID, alias string, workloads int) {
	t.Helper()
	if err := rostest.Seed(t.Context(), w.ros, org, sourceID, clusterUUID, alias, workloads); err != nil {
		t.Fatal(err)
	}
}

// exec changes rows of ROS that Seed has made.
func (w *world) exec(t *testing.T, sql string, args ...any) {
	t.Helper()
	if _, err := w.ros.Exec(t.Context(), sql, args...); err != nil {
		t.Fatal(err)
	}
}

func (w *world) execRegistry(t *testing.T, sql string, args ...any) {
	t.Helper()
	if _, err := w.registry.Exec(t.Context(), sql, args...); err != nil {
		t.Fatal(err)
	}
}

func (w *world) count(t *testing.T, org string, sourceID int64) map[string]int {
	t.Helper()
	counts, err := rostest.Count(t.Context(), w.ros, org, sourceID)
	if err != nil {
		t.Fatal(err)
	}
	return counts
}

func (w *world) experiments(t *testing.T, org string, sourceID int64) []string {
	t.Helper()
	names, err := rostest.Experiments(t.Context(), w.ros, org, sourceID)
	if err != nil {
		t.Fatal(err)
	}
	return names
}

// counts is what Count says of clusters that have that many workloads together.
func counts(clusters, workloads int) map[string]int {
	if clusters == 0 {
		return map[string]int{}
	}
	return map[string]int{
		"clusters": clusters, "workloads": workloads, "workload_metrics": workloads,
		"recommendation_sets": workloads, "historical_recommendation_sets": workloads,
		"namespace_recommendation_sets": workloads, "historical_namespace_recommendation_sets": workloads,
	}
}

func (w *world) wantCount(t *testing.T, org string, sourceID int64, want map[string]int) {
	t.Helper()
	if diff := cmp.Diff(want, w.count(t, org, sourceID)); diff != "" {
		t.Errorf("rows of source %d of %s (-want +got):\n%s", sourceID, org, diff)
	}
}

func (w *world) wantGone(t *testing.T, org string, sourceID int64) {
	t.Helper()
	w.wantCount(t, org, sourceID, counts(0, 0))
}

// hint is one of our events, as the KafkaSource posts it.
func hint(t *testing.T, kind string, sourceID int64) *http.Request {
	t.Helper()
	return request(t, map[string]string{
		"Ce-Type": kind, "Ce-Source": events.Source, "Ce-Subject": fmt.Sprintf("sources/%d", sourceID),
	}, fmt.Sprintf(`{"source_id": %d}`, sourceID))
}

// request is a CloudEvent in binary mode; an empty header is left out.
func request(t *testing.T, headers map[string]string, body string) *http.Request {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]string{"Ce-Specversion": "1.0", "Ce-Id": "1", "Content-Type": "application/json"}
	for name, value := range headers {
		all[name] = value
	}
	for name, value := range all {
		if value != "" {
			r.Header.Set(name, value)
		}
	}
	return r
}

// send posts a request to the function and returns the status.
func send(t *testing.T, to string, r *http.Request) int {
	t.Helper()
	target, err := http.NewRequestWithContext(t.Context(), r.Method, to, r.Body)
	if err != nil {
		t.Fatal(err)
	}
	target.Header = r.Header
	res, err := client.Do(target)
	if err != nil {
		t.Error(err)
		return 0
	}
	defer res.Body.Close()
	_, _ = io.Copy(io.Discard, res.Body)
	return res.StatusCode
}

func wantStatus(t *testing.T, to string, r *http.Request, want int) {
	t.Helper()
	if got := send(t, to, r); got != want {
		t.Errorf("event %s answered %d, want %d", r.Header.Get("Ce-Type"), got, want)
	}
}

// A kruizeServer answers 201 to what Kruize accepts, and remembers the names that it was asked to forget.
type kruizeServer struct {
	url string

	mu     sync.Mutex
	answer answerFunc // nil where all is well
	names  []string
}

// An answerFunc writes the answer for an experiment.
type answerFunc func(w http.ResponseWriter, r *http.Request, name string)

// answers sets what answers from now on. A request that its client has given up may still come after that.
func (k *kruizeServer) answers(f answerFunc) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.answer = f
}

func newKruizeServer(t *testing.T) *kruizeServer {
	k := &kruizeServer{}
	server := httptest.NewServer(k)
	t.Cleanup(server.Close)
	k.url = server.URL + "/" // as an operator might write it
	return k
}

func (k *kruizeServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var body []map[string]string
	err := json.NewDecoder(r.Body).Decode(&body)
	if err != nil || len(body) != 1 || len(body[0]) != 1 || r.Method != http.MethodDelete ||
		r.URL.Path != "/createExperiment" || r.URL.RawQuery != "rm=true" || r.Header.Get("Content-Type") != "application/json" {
		w.WriteHeader(http.StatusTeapot)
		return
	}
	name := body[0]["experiment_name"]
	k.mu.Lock()
	k.names = append(k.names, name)
	answer := k.answer
	k.mu.Unlock()
	if answer != nil {
		answer(w, r, name)
		return
	}
	w.WriteHeader(http.StatusCreated)
}

// asked returns the names since the last call, sorted.
func (k *kruizeServer) asked() []string {
	k.mu.Lock()
	defer k.mu.Unlock()
	names := slices.Sorted(slices.Values(k.names))
	k.names = nil
	return names
}

func (k *kruizeServer) wantAsked(t *testing.T, want []string) {
	t.Helper()
	if diff := cmp.Diff(slices.Sorted(slices.Values(want)), k.asked()); diff != "" {
		t.Errorf("experiments that Kruize was asked to forget (-want +got):\n%s", diff)
	}
}
