package restored_test

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	cloudevents "github.com/cloudevents/sdk-go/v2"
	cehttp "github.com/cloudevents/sdk-go/v2/protocol/http"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/insights-onprem/cost-sources/functions/after-restore/restored"
	"github.com/insights-onprem/cost-sources/functions/dev/localknative"
	"github.com/insights-onprem/cost-sources/functions/provisioner/provision"
	"github.com/insights-onprem/cost-sources/functions/relay/relay"
	"github.com/insights-onprem/cost-sources/functions/ros-cleanup/cleanup"
	"github.com/insights-onprem/cost-sources/functions/ros-cleanup/cleanup/rostest"
	"github.com/insights-onprem/cost-sources/functions/sources/sourcesapi"
	"github.com/insights-onprem/cost-sources/shared/httpapi/apitest"
	"github.com/insights-onprem/cost-sources/shared/outbox"
	"github.com/insights-onprem/cost-sources/shared/store"
	"github.com/insights-onprem/cost-sources/shared/store/storetest"
	"github.com/insights-onprem/cost-sources/tests/kafka"
)

// patience is for what does come, on a machine that has other work to do.
const patience = 2 * time.Minute

// A world is Kafka and ROS, which outlive the database, and the address of that.
type world struct {
	*testing.T
	cfg restored.Config
	ros *pgxpool.Pool
}

func setup(t *testing.T) world {
	t.Helper()
	w := world{T: t}
	w.cfg.Brokers = kafka.Brokers(t)
	w.cfg.Topic = kafka.Topic(t, w.cfg.Brokers, "events", 3)
	w.cfg.DatabaseURL, w.cfg.MaxConns = storetest.Database(t), 4
	w.cfg.ROSDatabaseURL = storetest.Empty(t)
	if err := rostest.Load(t.Context(), w.cfg.ROSDatabaseURL); err != nil {
		t.Fatal(err)
	}
	var err error
	if w.ros, err = pgxpool.New(t.Context(), w.cfg.ROSDatabaseURL); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.ros.Close)
	return w
}

// backup copies the database, to which nobody may be connected, and returns the address of the copy.
func (w world) backup() string {
	w.Helper()
	conn := storetest.Connect(w, storetest.Empty(w))
	from, err := pgx.ParseConfig(w.cfg.DatabaseURL)
	if err != nil {
		w.Fatal(err)
	}
	name := from.Database + "_restored"
	if _, err := conn.Exec(w.Context(), "CREATE DATABASE "+name+" TEMPLATE "+from.Database); err != nil {
		w.Fatal(err)
	}
	w.Cleanup(func() {
		if _, err := conn.Exec(context.Background(), "DROP DATABASE "+name+" WITH (FORCE)"); err != nil {
			w.Error(err)
		}
	})
	return strings.Replace(w.cfg.DatabaseURL, "/"+from.Database, "/"+name, 1)
}

// run is the command with the arguments given.
func (w world) run(args ...string) (stdout string, err error) {
	w.Helper()
	var out, errs bytes.Buffer
	err = restored.Run(w.Context(), func() (restored.Config, error) { return w.cfg, w.cfg.Validate() }, args, &out, &errs)
	return out.String() + errs.String(), err
}

// A life is the functions at work on the world's database.
type life struct {
	world
	db    *store.Store
	sql   *pgxpool.Pool
	api   apitest.Client
	relay string
	stop  func() // returns when nobody is connected any more
}

// live starts the functions. Without Kafka their events stay in the outbox.
func (w world) live(withKafka bool) life {
	w.Helper()
	l := life{world: w}
	var closes []func()
	as := func(function string) *store.Store {
		db, closeDB, err := store.Open(store.Config{DatabaseURL: storetest.As(function, w.cfg.DatabaseURL), MaxConns: 4})
		if err != nil {
			w.Fatal(err)
		}
		closes = append(closes, closeDB)
		return db
	}
	var err error
	if l.sql, err = pgxpool.New(w.Context(), w.cfg.DatabaseURL); err != nil {
		w.Fatal(err)
	}
	closes = append(closes, l.sql.Close)
	sinkURL := "http://127.0.0.1:1/"
	if withKafka {
		sink, err := localknative.NewSink(w.cfg.Brokers, w.cfg.Topic)
		if err != nil {
			w.Fatal(err)
		}
		closes = append(closes, func() { _ = sink.Close() })
		sinkURL = w.serve(sink)
	}
	api, drains := as("sources"), as("relay")
	sender, relayed := outbox.New(outbox.Config{Sink: sinkURL}, api), outbox.New(outbox.Config{Sink: sinkURL}, drains)
	l.db, l.relay = drains, w.serve(relay.New(drains, relayed))
	l.api = apitest.Serve(w, sourcesapi.New(sourcesapi.Config{Identity: apitest.Identity}, api, sender.Wake), "org1")
	ctx, cancel := context.WithCancel(w.Context())
	var working sync.WaitGroup
	if withKafka {
		provisioner := w.serve(provision.New(provision.Config{}, as("provisioner")))
		cleaner := w.serve(cleanup.New(cleanup.Config{KruizeTimeout: time.Second}, as("ros-cleanup"), w.ros))
		for name, address := range map[string]string{"provisioner": provisioner + provision.ProvidersPath,
			"tenants": provisioner + provision.TenantsPath, "ros-cleanup": cleaner} {
			src := localknative.Source{Brokers: w.cfg.Brokers, Topic: w.cfg.Topic, Group: w.cfg.Topic + name, Namespace: "cost",
				Name: name, SinkURL: address, Timeout: patience, Retry: 3, BackoffDelay: 100 * time.Millisecond}
			working.Go(func() { _ = src.Run(ctx) })
		}
	}
	l.stop = sync.OnceFunc(func() {
		ended, end := context.WithTimeout(context.Background(), time.Second)
		defer end()
		_, _ = sender.Stop(ended), relayed.Stop(ended) // what they have not sent is in the outbox
		cancel()
		working.Wait()
		for _, c := range closes {
			c()
		}
	})
	w.Cleanup(l.stop)
	return l
}

func (w world) serve(h http.Handler) (url string) {
	server := httptest.NewServer(h)
	w.Cleanup(server.Close)
	return server.URL
}

// add registers a source with a cluster, and returns its id.
func (l life) add(cluster string) string {
	l.Helper()
	return l.api.Want(l.T, http.StatusCreated, "POST", "/sources",
		fmt.Sprintf(`{"name": %q, "source_type_id": "1", "source_ref": %[1]q}`, cluster)).ID()
}

// settle pings the relay until all that was to be done is done: every living source is ready, every deletion over.
func (l life) settle() {
	l.Helper()
	ctx, cancel := context.WithTimeout(l.Context(), patience)
	defer cancel()
	ticker := time.NewTicker(50 * time.Millisecond)
	defer ticker.Stop()
	for {
		l.ping()
		var left int
		err := l.sql.QueryRow(l.Context(), `
			SELECT (SELECT count(*) FROM sources.outbox) + (SELECT count(*) FROM sources.source
				WHERE observed_generation < generation OR deleted_at IS NULL AND state <> 'ready'
					OR deleted_at IS NOT NULL AND ros_cleaned_at IS NULL)`).Scan(&left)
		if err != nil {
			l.Fatal(err)
		}
		if left == 0 {
			return
		}
		select {
		case <-ctx.Done():
			l.Fatalf("%d things are not done after %v", left, patience)
		case <-ticker.C:
		}
	}
}

func (l life) ping() {
	l.Helper()
	e := cloudevents.NewEvent()
	e.SetType("dev.knative.sources.ping")
	e.SetSource("/ping")
	e.SetID("1")
	request, err := cehttp.NewHTTPRequestFromEvent(l.Context(), l.relay, e)
	if err != nil {
		l.Fatal(err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		l.Fatal(err)
	}
	response.Body.Close()
}

func (w world) seed(id int64) {
	w.Helper()
	if err := rostest.Seed(w.Context(), w.ros, "org1", id, fmt.Sprintf("uuid-%d", id), "alias", 2); err != nil {
		w.Fatal(err)
	}
}

// inROS reports whether ROS has data of a source.
func (w world) inROS(id int64) bool {
	w.Helper()
	counts, err := rostest.Count(w.Context(), w.ros, "org1", id)
	if err != nil {
		w.Fatal(err)
	}
	return len(counts) > 0
}
