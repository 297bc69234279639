package deadletters_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	cloudevents "github.com/cloudevents/sdk-go/v2"
	cehttp "github.com/cloudevents/sdk-go/v2/protocol/http"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/insights-onprem/cost-sources/functions/dead-letters/deadletters"
	"github.com/insights-onprem/cost-sources/functions/dev/localknative"
	"github.com/insights-onprem/cost-sources/shared/store"
	"github.com/insights-onprem/cost-sources/shared/store/storetest"
	"github.com/insights-onprem/cost-sources/tests/kafka"
)

// patience is for what does come, on a machine that has other work to do.
const patience = 2 * time.Minute

// A world is a database, the two topics, and what Knative would put before them.
type world struct {
	*testing.T
	cfg             deadletters.Config
	db              *store.Store
	api             *store.Store // what makes changes
	address         string       // of the database
	sql             *pgxpool.Pool
	sink, graveyard string        // KafkaSinks
	buried          chan struct{} // one for each dead letter that has been written
}

func setup(t *testing.T) world {
	t.Helper()
	return setupAt(t, kafka.Brokers(t))
}

func setupAt(t *testing.T, brokers []string) world {
	t.Helper()
	w := world{T: t, buried: make(chan struct{}, 1000)}
	w.cfg.Brokers = brokers
	w.cfg.Topic = kafka.Topic(t, w.cfg.Brokers, "events", 3)
	kafka.Named(t, w.cfg.Brokers, w.cfg.Topic+".dead", 2)
	w.address = storetest.Database(t)
	w.cfg.DatabaseURL, w.cfg.MaxConns = storetest.As("dead-letters", w.address), 4
	w.api = storetest.Store(t, "sources", w.address).For("org1")
	w.sql = storetest.Pool(t, w.address)
	db, closeDB, err := store.Open(w.cfg.Config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(closeDB)
	w.db = db
	w.sink = w.serve(w.kafkaSink(w.cfg.Topic))
	grave := w.kafkaSink(w.cfg.Topic + ".dead")
	w.graveyard = w.serve(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		grave.ServeHTTP(rw, r)
		w.buried <- struct{}{}
	}))
	return w
}

func (w world) kafkaSink(topic string) http.Handler {
	w.Helper()
	sink, err := localknative.NewSink(w.cfg.Brokers, topic)
	if err != nil {
		w.Fatal(err)
	}
	w.Cleanup(func() {
		if err := sink.Close(); err != nil {
			w.Error(err)
		}
	})
	return sink
}

func (w world) serve(h http.Handler) (url string) {
	server := httptest.NewServer(h)
	w.Cleanup(server.Close)
	return server.URL
}

// post sends events through the KafkaSink.
func (w world) post(events ...cloudevents.Event) {
	w.Helper()
	for _, e := range events {
		request, err := cehttp.NewHTTPRequestFromEvent(w.Context(), w.sink, e)
		if err != nil {
			w.Fatal(err)
		}
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			w.Fatal(err)
		}
		response.Body.Close()
		if response.StatusCode != http.StatusAccepted {
			w.Fatalf("the KafkaSink answers %s", response.Status)
		}
	}
}

// subscribe has a function get the events, as a KafkaSource with its name does, until stop is called. What
// was done by then does not come to it again.
func (w world) subscribe(name string, function http.HandlerFunc) (stop func()) {
	src := localknative.Source{
		Brokers: w.cfg.Brokers, Topic: w.cfg.Topic, Group: w.cfg.Topic + name, Namespace: "cost", Name: name,
		SinkURL: w.serve(function) + "/functions/" + name, Timeout: patience, DeadLetterURL: w.graveyard,
	}
	ctx, cancel := context.WithCancel(w.Context())
	var working sync.WaitGroup
	working.Go(func() {
		if err := src.Run(ctx); err != nil {
			w.Errorf("KafkaSource %s: %v", name, err)
		}
	})
	stop = func() {
		cancel()
		working.Wait()
	}
	w.Cleanup(stop)
	return stop
}

// bury has a function refuse events until n of them are dead letters.
func (w world) bury(n int, name string, function http.HandlerFunc) {
	w.Helper()
	stop := w.subscribe(name, function)
	w.await(n)
	stop()
}

// await waits for n dead letters.
func (w world) await(n int) {
	w.Helper()
	for range n {
		next(w.T, w.buried)
	}
}

func next[T any](t *testing.T, from <-chan T) T {
	t.Helper()
	select {
	case value := <-from:
		return value
	case <-time.After(patience):
		t.Fatalf("nothing came in %v", patience)
		panic("unreachable")
	}
}

// answering is a function that refuses every event so.
func answering(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		_, _ = w.Write([]byte(body))
	}
}
