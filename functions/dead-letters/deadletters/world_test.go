package deadletters_test

import (
	"bytes"
	"context"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/IBM/sarama"
	cloudevents "github.com/cloudevents/sdk-go/v2"
	cehttp "github.com/cloudevents/sdk-go/v2/protocol/http"
	"github.com/google/go-cmp/cmp"
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
	sql             *pgxpool.Pool
	sink, graveyard string        // KafkaSinks
	buried          chan struct{} // one for each dead letter that has been written
}

func setup(t *testing.T) world {
	t.Helper()
	w := world{T: t, buried: make(chan struct{}, 1000)}
	w.cfg.Brokers = kafka.Brokers(t)
	w.cfg.Topic = kafka.Topic(t, w.cfg.Brokers, "events", 3)
	kafka.Named(t, w.cfg.Brokers, w.cfg.Topic+".dead", 2)
	w.cfg.DatabaseURL, w.cfg.MaxConns = storetest.Database(t), 4
	db, closeDB, err := store.Open(w.cfg.Config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(closeDB)
	if w.sql, err = pgxpool.New(t.Context(), w.cfg.DatabaseURL); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.sql.Close)
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

// run runs the command.
func (w world) run(args ...string) (stdout, stderr string, err error) {
	var out, log bytes.Buffer
	err = deadletters.Run(w.Context(), func() (deadletters.Config, error) { return w.cfg, nil }, args, &out, &log)
	return out.String(), log.String(), err
}

// redrive redrives what args choose.
func (w world) redrive(args ...string) (stdout, stderr string, err error) {
	return w.run(append([]string{"redrive", "-why", "the function was mended", "-who", "tester"}, args...)...)
}

var (
	times  = regexp.MustCompile(`20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ`)
	places = regexp.MustCompile(`(?m)^\d/\d+ `)
)

// want compares what the command has printed, without times and places, and its error.
func (w world) want(what, want, wantErr, got string, err error) {
	w.Helper()
	got = places.ReplaceAllString(times.ReplaceAllString(got, "TIME"), "P ")
	if diff := cmp.Diff(want, got); diff != "" {
		w.Errorf("%s (-want +got):\n%s", what, diff)
	}
	if gotErr := errText(err); gotErr != wantErr {
		w.Errorf("%s: error %q, want %q", what, gotErr, wantErr)
	}
}

func errText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// sent reads all that is in the event topic, ordered by id.
func (w world) sent() []*sarama.ConsumerMessage {
	w.Helper()
	return w.records(w.cfg.Topic)
}

// records reads a whole topic, ordered by the ids of the events.
func (w world) records(topic string) (found []*sarama.ConsumerMessage) {
	w.Helper()
	client, err := sarama.NewClient(w.cfg.Brokers, nil)
	if err != nil {
		w.Fatal(err)
	}
	defer client.Close()
	consumer, err := sarama.NewConsumerFromClient(client)
	if err != nil {
		w.Fatal(err)
	}
	partitions, err := client.Partitions(topic)
	if err != nil {
		w.Fatal(err)
	}
	for _, p := range partitions {
		end, err := client.GetOffset(topic, p, sarama.OffsetNewest)
		if err != nil {
			w.Fatal(err)
		}
		part, err := consumer.ConsumePartition(topic, p, sarama.OffsetOldest)
		if err != nil {
			w.Fatal(err)
		}
		for range end {
			found = append(found, next(w.T, part.Messages()))
		}
		part.Close()
	}
	slices.SortStableFunc(found, func(a, b *sarama.ConsumerMessage) int {
		return strings.Compare(headers(a)["ce_id"], headers(b)["ce_id"])
	})
	return found
}

func headers(record *sarama.ConsumerMessage) map[string]string {
	all := map[string]string{}
	for _, h := range record.Headers {
		all[string(h.Key)] = string(h.Value)
	}
	return all
}

// count counts the rows of a table.
func (w world) count(what string) (n int) {
	w.Helper()
	if err := w.sql.QueryRow(w.Context(), `SELECT count(*) FROM `+what).Scan(&n); err != nil {
		w.Fatal(err)
	}
	return n
}
