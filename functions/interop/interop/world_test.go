package interop_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/IBM/sarama"
	cloudevents "github.com/cloudevents/sdk-go/v2"
	cehttp "github.com/cloudevents/sdk-go/v2/protocol/http"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/insights-onprem/cost-sources/functions/interop/interop"
	"github.com/insights-onprem/cost-sources/shared/events"
	"github.com/insights-onprem/cost-sources/shared/sources"
	"github.com/insights-onprem/cost-sources/shared/store"
	"github.com/insights-onprem/cost-sources/shared/store/storetest"
	"github.com/insights-onprem/cost-sources/tests/kafka"
)

// A world is a registry, a topic of plain records, and two processes of interop.
type world struct {
	*testing.T
	cfg interop.Config
	api *store.Store // what makes changes
	db  *store.Store // interop's
	sql *pgxpool.Pool
	url [2]string

	wake func(sources.Source) // nil where nobody sends
}

func setup(t *testing.T) world {
	t.Helper()
	address := storetest.Database(t)
	w := world{T: t, api: storetest.Store(t, "sources", address).For("org1"), db: storetest.Store(t, "interop", address), sql: storetest.Pool(t, address)}
	w.cfg = config(address)
	w.cfg.Brokers = kafka.Brokers(t)
	w.cfg.LegacyTopic = kafka.Topic(t, w.cfg.Brokers, "plain", 3)
	for i := range w.url {
		w.url[i] = w.start(w.cfg, w.db)
	}
	return w
}

func (w world) start(cfg interop.Config, db *store.Store) (url string) {
	w.Helper()
	topic := interop.NewTopic(cfg)
	wake := w.wake
	if wake == nil {
		wake = func(sources.Source) {}
	}
	server := httptest.NewServer(interop.New(cfg, db, topic, wake))
	w.Cleanup(func() {
		server.Close()
		if err := topic.Close(); err != nil {
			w.Error(err)
		}
	})
	return server.URL
}

// change makes a change of a source, as the APIs do, and returns its events.
func (w world) change(src *sources.Source, edit func(*sources.Source), make ...store.EventFunc) []cloudevents.Event {
	w.Helper()
	before := src.Sequence
	err := w.api.InTx(w.Context(), func(tx *store.Store) (err error) {
		if src.ID == 0 {
			*src, err = tx.CreateSource(w.Context(), *src)
		} else {
			*src, err = tx.LockSource(w.Context(), src.OrgID, sources.Ref{ID: src.ID})
		}
		if err != nil {
			return err
		}
		edit(src)
		return tx.SaveSource(w.Context(), src, make...)
	})
	if err != nil {
		w.Fatal(err)
	}
	rows, _ := w.sql.Query(w.Context(), `SELECT event FROM sources.outbox WHERE source_id = $1 AND sequence > $2 ORDER BY sequence`, src.ID, before)
	bodies, err := pgx.CollectRows(rows, pgx.RowTo[json.RawMessage])
	if err != nil {
		w.Fatal(err)
	}
	var all []cloudevents.Event
	for _, body := range bodies {
		e := cloudevents.NewEvent()
		if err := json.Unmarshal(body, &e); err != nil {
			w.Fatal(err)
		}
		all = append(all, e)
	}
	return all
}

// life is a source from its beginning to its end, in nine events.
func (w world) life(name string) (src sources.Source, all []cloudevents.Event) {
	w.Helper()
	src = sources.Source{OrgID: "org1", AccountNumber: "7890123", Name: name}
	add := func(edit func(*sources.Source), make ...store.EventFunc) {
		all = append(all, w.change(&src, edit, make...)...)
	}
	add(func(s *sources.Source) { s.SetCluster("c-" + name); s.Attach() }, events.SourceCreated, events.ApplicationCreated)
	add(func(s *sources.Source) { s.Name += "-new" }, events.SourceUpdated)
	add(func(s *sources.Source) { s.Paused = true }, events.SourceUpdated)
	add(func(s *sources.Source) { s.Paused = false }, events.SourceUpdated)
	add(func(*sources.Source) {}, events.ApplicationUpdated)
	add(func(*sources.Source) {}, events.Repair)
	add(func(s *sources.Source) { s.MarkDeleted(s.UpdatedAt) }, events.ApplicationDeleted, events.SourceDeleted)
	return src, all
}

// deliver posts an event as a KafkaSource does, and returns the answer.
func (w world) deliver(url string, e cloudevents.Event) int {
	w.Helper()
	status, err := deliver(w.Context(), url, e)
	if err != nil {
		w.Fatal(err)
	}
	return status
}

func deliver(ctx context.Context, url string, e cloudevents.Event) (int, error) {
	request, err := cehttp.NewHTTPRequestFromEvent(ctx, url, e)
	if err != nil {
		return 0, err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, err
	}
	return response.StatusCode, response.Body.Close()
}

func (w world) want(status int, url string, all ...cloudevents.Event) {
	w.Helper()
	for _, e := range all {
		if got := w.deliver(url, e); got != status {
			w.Fatalf("%s %s is answered %d, want %d", e.Type(), e.ID(), got, status)
		}
	}
}

// records are what the topic holds.
func (w world) records() []*sarama.ConsumerMessage {
	w.Helper()
	records, err := kafka.Records(w.Context(), w.cfg.Brokers, w.cfg.LegacyTopic)
	if err != nil {
		w.Fatal(err)
	}
	return records
}

// wantRecords: of a source there is one record for each of the events, in that order.
func (w world) wantRecords(src sources.Source, all ...cloudevents.Event) {
	w.Helper()
	var want, got []string
	for _, e := range all {
		want = append(want, e.ID())
	}
	for _, record := range w.records() {
		if headers := headersOf(record); headers["ce_subject"][0] == all[0].Subject() {
			got = append(got, headers["ce_id"][0])
		}
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		w.Errorf("source %d: records of the events\n%s\nwant\n%s", src.ID, strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func headersOf(record *sarama.ConsumerMessage) map[string][]string {
	headers := map[string][]string{}
	for _, h := range record.Headers {
		headers[string(h.Key)] = append(headers[string(h.Key)], string(h.Value))
	}
	return headers
}

func (w world) exec(sql string, args ...any) {
	w.Helper()
	if _, err := w.sql.Exec(w.Context(), sql, args...); err != nil {
		w.Fatalf("%s: %v", sql, err)
	}
}

func config(address string) interop.Config {
	var cfg interop.Config
	cfg.DatabaseURL, cfg.MaxConns = address, 4
	cfg.Brokers, cfg.Topic = []string{"b:9092"}, "events"
	cfg.Outbox.Sink = "http://sink"
	cfg.LegacyTopic, cfg.LegacyIdentity, cfg.LegacyWait = "plain", "cost-sources", 168*time.Hour
	return cfg
}
