package outbox_test

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"
	"time"

	cloudevents "github.com/cloudevents/sdk-go/v2"
	cehttp "github.com/cloudevents/sdk-go/v2/protocol/http"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"golang.org/x/sync/errgroup"

	"github.com/insights-onprem/cost-sources/shared/events"
	"github.com/insights-onprem/cost-sources/shared/outbox"
	"github.com/insights-onprem/cost-sources/shared/sources"
	"github.com/insights-onprem/cost-sources/shared/store"
	"github.com/insights-onprem/cost-sources/shared/store/storetest"
)

const (
	benchSources = 2000
	benchEvents  = 5 // of each
	benchWorkers = 8
)

// BenchmarkDrain drains 10,000 events. It reports how fast that is, also as a ratio to the least that
// has to be done for it (each event posted and deleted, as many at a time), and how long a registration
// takes meanwhile, as a ratio to one by itself.
func BenchmarkDrain(b *testing.B) {
	address := storetest.Database(b)
	db, drains, sql := open(b, storetest.As("sources", address), 20), open(b, storetest.As("relay", address), 4), pool(b, address)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusAccepted) }))
	b.Cleanup(server.Close)
	d := outbox.New(outbox.Config{Sink: server.URL}, drains)
	b.Cleanup(func() { stop(b, d) })
	fillAll := func() { fill(b, sql, upTo(1_000_001, 1_000_000+benchSources), benchEvents) }

	var drain, bare time.Duration
	var alone, meanwhile []time.Duration
	for b.Loop() {
		fillAll()
		drain += took(func() { must(b, d.Drain(b.Context())) })
		fillAll()
		bare += took(func() { bareDrain(b, sql, server.URL) })
		alone = append(alone, register(b, db, 200, nil)...)
		fillAll()
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			must(b, d.Drain(b.Context()))
		}()
		meanwhile = append(meanwhile, register(b, db, 200, ended)...)
		<-ended
		must(b, d.Drain(b.Context())) // what was registered
	}
	total := float64(b.N * benchSources * benchEvents)
	b.ReportMetric(total/drain.Seconds(), "events/s")
	b.ReportMetric(bare.Seconds()/drain.Seconds(), "of-bare-speed")
	b.ReportMetric(float64(quantile(alone, 0.5).Microseconds()), "µs/registration")
	b.ReportMetric(quantile(meanwhile, 0.5).Seconds()/quantile(alone, 0.5).Seconds(), "x-registration-p50")
	b.ReportMetric(quantile(meanwhile, 0.99).Seconds()/quantile(alone, 0.99).Seconds(), "x-registration-p99")
}

// open is a store as a function has it; the relay's is another than that of the API.
func open(b *testing.B, address string, conns int32) *store.Store {
	b.Helper()
	db, closeDB, err := store.Open(store.Config{DatabaseURL: address, MaxConns: conns})
	must(b, err)
	b.Cleanup(closeDB)
	return db
}

func pool(b *testing.B, address string) *pgxpool.Pool {
	b.Helper()
	cfg, err := pgxpool.ParseConfig(address)
	must(b, err)
	cfg.ConnConfig.DefaultQueryExecMode = pgx.QueryExecModeExec // as the store has it
	cfg.MaxConns = 4
	p, err := pgxpool.NewWithConfig(b.Context(), cfg)
	must(b, err)
	b.Cleanup(p.Close)
	return p
}

func took(fn func()) time.Duration {
	begin := time.Now()
	fn()
	return time.Since(begin)
}

func must(b *testing.B, err error) {
	b.Helper()
	if err != nil {
		b.Error(err)
	}
}

// bareDrain does no more than has to be done for each event.
func bareDrain(b *testing.B, sql *pgxpool.Pool, sink string) {
	b.Helper()
	rows, err := sql.Query(b.Context(), `SELECT id, event FROM sources.outbox`)
	must(b, err)
	defer rows.Close()
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: benchWorkers}}
	defer client.CloseIdleConnections()
	var group errgroup.Group
	group.SetLimit(benchWorkers)
	for rows.Next() {
		var id string
		var body []byte
		must(b, rows.Scan(&id, &body))
		group.Go(func() error { return bareSend(b.Context(), sql, client, sink, id, bytes.Clone(body)) })
	}
	must(b, group.Wait())
}

func bareSend(ctx context.Context, sql *pgxpool.Pool, client *http.Client, sink, id string, body []byte) error {
	var event cloudevents.Event
	if err := json.Unmarshal(body, &event); err != nil {
		return err
	}
	request, err := cehttp.NewHTTPRequestFromEvent(ctx, sink, event)
	if err != nil {
		return err
	}
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	response.Body.Close()
	_, err = sql.Exec(ctx, `DELETE FROM sources.outbox WHERE id = $1`, id)
	return err
}

// register stores n new sources, fewer if it is ended before, and returns how long each took.
func register(b *testing.B, db *store.Store, n int, ended <-chan struct{}) (each []time.Duration) {
	b.Helper()
	for range n {
		select {
		case <-ended:
			return each
		default:
		}
		each = append(each, took(func() {
			must(b, db.For("org1").InTx(b.Context(), func(tx *store.Store) error {
				src, err := tx.CreateSource(b.Context(), sources.Source{OrgID: "org1", Name: "a"})
				if err != nil {
					return err
				}
				return tx.SaveSource(b.Context(), &src, events.SourceCreated)
			}))
		}))
	}
	return each
}

func quantile(all []time.Duration, q float64) time.Duration {
	slices.Sort(all)
	return all[int(q*float64(len(all)-1))]
}
