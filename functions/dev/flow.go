package main

import (
	"context"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/insights-onprem/cost-sources/functions/applications/applicationsapi"
	"github.com/insights-onprem/cost-sources/functions/dev/localknative"
	"github.com/insights-onprem/cost-sources/functions/provisioner/provision"
	"github.com/insights-onprem/cost-sources/functions/relay/relay"
	"github.com/insights-onprem/cost-sources/functions/ros-cleanup/cleanup"
	"github.com/insights-onprem/cost-sources/functions/sources/sourcesapi"
	"github.com/insights-onprem/cost-sources/shared/events"
	"github.com/insights-onprem/cost-sources/shared/httpapi"
	"github.com/insights-onprem/cost-sources/shared/identity"
	"github.com/insights-onprem/cost-sources/shared/outbox"
	"github.com/insights-onprem/cost-sources/shared/store"
)

// Where in the one server everything stands that has a host of its own in a cluster.
const (
	provisionerPath = "/functions/provisioner"
	cleanupPath     = "/functions/ros-cleanup"
	relayPath       = "/functions/relay"
	sinkPath        = "/sinks/sources-events"
	deadPath        = "/sinks/sources-dead"
	kruizePath      = "/kruize"
)

// maxConns is how many connections each function has, as in a cluster each instance.
const maxConns = 4

// flow is the functions and what Knative does between them.
type flow struct {
	url         string
	engines     *engines
	routes      []route // the first whose path leads to the request's answers it
	dispatchers []*outbox.Dispatcher
	running     []interface{ Run(context.Context) error } // KafkaSources and the PingSource
	closes      []func()

	delivering sync.WaitGroup
}

type route struct {
	path    string
	handler http.Handler
}

func newFlow(cfg config, e *engines, url string) (*flow, error) {
	f := &flow{url: url, engines: e}
	if err := f.addSinks(cfg, e); err != nil {
		return nil, err
	}
	for _, add := range []func(config) error{f.addEventFunctions, f.addRelay, f.addAPIs} {
		if err := add(cfg); err != nil {
			return nil, err
		}
	}
	f.addSources(cfg, e)
	return f, nil
}

// open opens the store of a function.
func (f *flow) open(function string) (*store.Store, error) {
	db, closeDB, err := store.Open(f.engines.database(function))
	if err == nil {
		f.closes = append(f.closes, closeDB)
	}
	return db, err
}

// openSending is open for a function that sends events.
func (f *flow) openSending(function string) (*store.Store, *outbox.Dispatcher, error) {
	db, err := f.open(function)
	if err != nil {
		return nil, nil, err
	}
	d := outbox.New(outbox.Config{Sink: f.url + sinkPath}, db)
	f.dispatchers = append(f.dispatchers, d)
	return db, d, nil
}

func (f *flow) addEventFunctions(cfg config) error {
	provisioner, err := f.open("provisioner")
	if err != nil {
		return err
	}
	registry, err := f.open("ros-cleanup")
	if err != nil {
		return err
	}
	ros, err := store.OpenPool(store.Config{DatabaseURL: f.engines.rosURL, MaxConns: maxConns, Pool: "ros"})
	if err != nil {
		return err
	}
	f.closes = append(f.closes, ros.Close)
	provision := provision.New(provision.Config{Database: f.engines.database("provisioner"), TemplateSchema: cfg.TemplateSchema}, provisioner)
	cleanup := cleanup.New(cleanup.Config{KruizeURL: f.url + kruizePath, KruizeTimeout: 10 * time.Second, PlainRecords: cfg.PlainRecords}, registry, ros)
	f.routes = append(f.routes,
		route{provisionerPath, http.StripPrefix(provisionerPath, provision)},
		route{cleanupPath, cleanup},
		route{kruizePath, http.StripPrefix(kruizePath, &kruize{})})
	return nil
}

func (f *flow) addRelay(config) error {
	db, dispatcher, err := f.openSending("relay")
	if err != nil {
		return err
	}
	f.routes = append(f.routes, route{relayPath, relay.New(db, dispatcher)})
	return nil
}

// addAPIs comes last: the sources API answers what nobody else does.
func (f *flow) addAPIs(cfg config) error {
	caller := identity.Config{AuthMode: "identity", AllowDirectIdentity: true, RBACURL: "off"}
	db, dispatcher, err := f.openSending("applications")
	if err != nil {
		return err
	}
	applications := applicationsapi.New(applicationsapi.Config{Identity: caller}, db, dispatcher.Wake)
	if db, dispatcher, err = f.openSending("sources"); err != nil {
		return err
	}
	sources := sourcesapi.New(sourcesapi.Config{Identity: caller, RefRequired: cfg.RefRequired, CreateWait: cfg.CreateWait}, db, dispatcher.Wake)
	f.routes = append(f.routes,
		route{httpapi.Prefix + "/applications", applications},
		route{httpapi.Prefix + "/application_types", applications},
		route{"/docs", http.HandlerFunc(docs)},
		route{"", sources})
	return nil
}

func (f *flow) addSinks(cfg config, e *engines) error {
	for path, topic := range map[string]string{sinkPath: cfg.Topic, deadPath: cfg.deadTopic()} {
		sink, err := localknative.NewSink(e.brokers, topic)
		if err != nil {
			return err
		}
		f.routes = append(f.routes, route{path, sink})
		f.closes = append(f.closes, func() {
			if err := sink.Close(); err != nil {
				slog.Warn("sink did not close in order", "topic", topic, "err", err)
			}
		})
	}
	return nil
}

// addSources adds what calls the event functions, set up as in the cluster but for the ping, which comes
// more often, so that nobody who tries things out has to wait.
func (f *flow) addSources(cfg config, e *engines) {
	for _, s := range []struct{ name, group, path string }{
		{"provisioner", "cost-provisioner", provisionerPath + provision.ProvidersPath},
		{"provisioner-tenants", "cost-provisioner-tenants", provisionerPath + provision.TenantsPath},
		{"ros-cleanup", "cost-ros-cleanup", cleanupPath},
	} {
		f.running = append(f.running, localknative.Source{
			Brokers: e.brokers, Topic: cfg.Topic, Group: s.group,
			Namespace: "dev", Name: s.name, SinkURL: f.url + s.path, DeadLetterURL: f.url + deadPath,
			Retry: 6, BackoffDelay: 500 * time.Millisecond, Exponential: true, Timeout: events.HandleWithin + 25*time.Second,
		})
	}
	f.running = append(f.running, localknative.Ping{
		Namespace: "dev", Name: "relay", SinkURL: f.url + relayPath, Interval: 10 * time.Second,
	})
}

// ServeHTTP hands a request to the first route that leads to it. An http.ServeMux would redirect doubled
// slashes, which are the APIs' to answer.
func (f *flow) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	for _, route := range f.routes {
		if rest, ok := strings.CutPrefix(r.URL.Path, route.path); ok && (rest == "" || rest[0] == '/') {
			route.handler.ServeHTTP(w, r)
			return
		}
	}
}

// start has events and pings delivered until ctx ends.
func (f *flow) start(ctx context.Context) {
	for _, source := range f.running {
		f.delivering.Go(func() {
			if err := source.Run(ctx); err != nil {
				slog.ErrorContext(ctx, "source", "err", err)
			}
		})
	}
}

// stop waits, within bounds, for the deliveries that start's ctx has ended, and sends what has been
// promised meanwhile. What is not done by then is done by the next run.
func (f *flow) stop(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, flowStopsWithin)
	defer cancel()
	delivered := make(chan struct{})
	go func() {
		f.delivering.Wait()
		close(delivered)
	}()
	for _, d := range f.dispatchers {
		if err := d.Stop(ctx); err != nil {
			slog.WarnContext(ctx, "events are left to the next run", "err", err)
		}
	}
	select {
	case <-delivered:
	case <-ctx.Done():
	}
}

// close frees what newFlow opened.
func (f *flow) close() {
	for _, c := range f.closes {
		c()
	}
}
