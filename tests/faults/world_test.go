package faults_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/insights-onprem/cost-sources/functions/dev/localknative"
	"github.com/insights-onprem/cost-sources/functions/provisioner/provision"
	"github.com/insights-onprem/cost-sources/functions/ros-cleanup/cleanup/rostest"
	"github.com/insights-onprem/cost-sources/shared/store/storetest"
	"github.com/insights-onprem/cost-sources/tests/kafka"
)

// copies is how many processes each function has.
const copies = 2

// A world is the whole system for one run: databases, topics and processes of its own.
type world struct {
	testing.TB
	*engines

	name, topic string
	plain       bool          // whether plain records are written and taken too
	sql, rosSQL *pgxpool.Pool // past the wires
	wire        *wire         // to the registry's server
	rosWire     *wire
	sink        *faultySink
	kruize      *kruize
	functions   map[string][]*instance
	lanes       map[string]*lane
	consumers   []*consumer

	closes  []func()
	pinging sync.WaitGroup
}

func newWorld(t testing.TB, plain bool) *world {
	t.Helper()
	w := &world{TB: t, engines: withEngines(t), name: "run_" + strings.ToLower(rand.Text()), plain: plain,
		kruize: &kruize{}, functions: map[string][]*instance{}, lanes: map[string]*lane{}}
	t.Cleanup(w.close)
	for _, build := range []func(context.Context) error{w.openDatabases, w.openTopics, w.startFunctions, w.startSources} {
		if err := build(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	return w
}

// onClose has f called when the world ends, the last first.
func (w *world) onClose(f func()) { w.closes = append(w.closes, f) }

func (w *world) close() {
	for len(w.closes) > 0 {
		last := len(w.closes) - 1
		w.closes[last]()
		w.closes = w.closes[:last]
	}
}

func (w *world) openDatabases(ctx context.Context) (err error) {
	if err := errors.Join(w.registry.start(ctx), w.ros.start(ctx)); err != nil {
		return err
	}
	for _, db := range []struct {
		server *postgres
		sql    **pgxpool.Pool
		wire   **wire
	}{{w.registry, &w.sql, &w.wire}, {w.ros, &w.rosSQL, &w.rosWire}} {
		if err := db.server.server.CreateDatabase(ctx, w.name); err != nil {
			return err
		}
		w.onClose(func() { w.dropDatabase(db.server) })
		if *db.sql, err = pgxpool.New(ctx, db.server.server.URL(w.name)+"&application_name=faults"); err != nil {
			return err
		}
		w.onClose((*db.sql).Close)
		if *db.wire, err = newWire(db.server.cfg.Port); err != nil {
			return err
		}
		w.onClose((*db.wire).close)
	}
	err = errors.Join(
		storetest.Migrate(ctx, w.registry.server.URL(w.name)),
		rostest.Load(ctx, w.ros.server.URL(w.name)))
	if err == nil && w.plain {
		err = w.leaveIDs(ctx)
	}
	return err
}

// dropDatabase makes room for the next run.
func (w *world) dropDatabase(server *postgres) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	err := server.start(ctx) // a run that failed may have left it down
	if err == nil {
		err = server.execute(ctx, "DROP DATABASE "+w.name+" WITH (FORCE)")
	}
	if err != nil {
		w.Error(err)
	}
}

func (w *world) openTopics(ctx context.Context) error {
	w.topic = w.name
	for _, topic := range []string{w.topic, w.deadTopic(), w.plainTopic()} {
		if err := kafka.MakeTopic(w.kafka.Addrs(), topic, 3); err != nil {
			return err
		}
	}
	sink, err := w.newSink(w.topic)
	w.sink = newFaultySink(sink)
	return err
}

func (w *world) deadTopic() string { return w.topic + ".dead" }

func (w *world) plainTopic() string { return w.topic + ".plain" }

func (w *world) newSink(topic string) (*localknative.Sink, error) {
	sink, err := localknative.NewSink(w.kafka.Addrs(), topic)
	if err != nil {
		return nil, err
	}
	w.onClose(func() {
		if err := sink.Close(); err != nil {
			w.Logf("the sink of %s did not close in order: %v", topic, err)
		}
	})
	return sink, nil
}

// serve serves h until the world ends.
func (w *world) serve(h http.Handler) (url string) {
	server := httptest.NewServer(h)
	w.onClose(func() {
		server.CloseClientConnections()
		server.Close()
	})
	return server.URL
}

func (w *world) startFunctions(ctx context.Context) error {
	sends := slices.Clip([]string{"K_SINK=" + w.serve(w.sink)})
	api := append(sends, "AUTH_MODE=identity", "ALLOW_DIRECT_IDENTITY=true", "RBAC_URL=off")
	taken := fmt.Sprintf("PLAIN_RECORDS=%v", w.plain)
	cleans := []string{"ROS_DATABASE_URL=" + w.rosWire.url(w.name), "KRUIZE_URL=" + w.serve(w.kruize), "KRUIZE_TIMEOUT=1s", taken}
	plain := append(sends, "KAFKA_BROKERS="+strings.Join(w.kafka.Addrs(), ","), "SOURCES_EVENT_TOPIC="+w.topic, "LEGACY_TOPIC="+w.plainTopic(), taken)
	w.onClose(w.killAll)
	for name, env := range map[string][]string{
		"sources": api, "applications": api, "provisioner": nil, "ros-cleanup": cleans, "relay": sends, "interop": plain,
	} {
		if name == "interop" && !w.plain {
			continue
		}
		for range copies {
			i, err := newInstance(name, append([]string{"LOG_LEVEL=warn", "DATABASE_URL=" + storetest.As(name, w.wire.url(w.name))}, env...))
			if err != nil {
				return err
			}
			w.functions[name] = append(w.functions[name], i)
			if err := i.start(ctx); err != nil {
				return err
			}
		}
	}
	return nil
}

func (w *world) killAll() {
	for _, instances := range w.functions {
		for _, i := range instances {
			i.kill()
		}
	}
}

// startSources starts what calls the event functions, set up as in a cluster but for the times: what takes a minute
// there takes a second here.
func (w *world) startSources(context.Context) error {
	dead, err := w.newSink(w.deadTopic())
	if err != nil {
		return err
	}
	deadURL := w.serve(dead)
	for name, path := range map[string]string{"provisioner": provision.ProvidersPath, "provisioner-tenants": provision.TenantsPath, "ros-cleanup": "/", "interop": "/"} {
		if name == "interop" && !w.plain {
			continue
		}
		w.lanes[name] = newLane(w.functions[strings.TrimSuffix(name, "-tenants")], path)
		url := w.serve(w.lanes[name])
		for range copies {
			w.consumers = append(w.consumers, &consumer{source: localknative.Source{
				Brokers: w.kafka.Addrs(), Topic: w.topic, Group: w.topic + "-" + name,
				Namespace: "faults", Name: name, SinkURL: url, DeadLetterURL: deadURL,
				Retry: retries(name), BackoffDelay: 100 * time.Millisecond, Exponential: true, Timeout: 20 * time.Second,
			}})
		}
	}
	w.onClose(w.stopConsumers)
	for _, c := range w.consumers {
		c.start()
	}
	w.lanes["relay"] = newLane(w.functions["relay"], "/")
	ping := localknative.Ping{Namespace: "faults", Name: "relay", SinkURL: w.serve(w.lanes["relay"]), Interval: time.Second}
	ctx, cancel := context.WithCancel(context.Background())
	w.onClose(func() {
		cancel()
		w.pinging.Wait()
	})
	w.pinging.Go(func() {
		if err := ping.Run(ctx); err != nil {
			w.Error(err)
		}
	})
	return nil
}

// eventLanes are the ways that our events take.
func (w *world) eventLanes() []string {
	lanes := []string{"provisioner", "provisioner-tenants", "ros-cleanup"}
	if w.plain {
		lanes = append(lanes, "interop")
	}
	return lanes
}

// retries are more where no relay asks again for what has died.
func retries(name string) int {
	if name == "interop" {
		return 8
	}
	return 4
}

func (w *world) stopConsumers() {
	var all sync.WaitGroup
	for _, c := range w.consumers {
		all.Go(func() {
			if err := c.leave(); err != nil {
				w.Logf("a consumer did not leave in order: %v", err)
			}
		})
	}
	all.Wait()
}
