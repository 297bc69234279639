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

// maxConns is how many connections the functions share, which are one process here.
const maxConns = 20

// flow is the functions and what Knative does between them.
type flow struct {
	url        string
	routes     []route // the first whose path leads to the request's answers it
	dispatcher *outbox.Dispatcher
	running    []interface{ Run(context.Context) error } // KafkaSources and the PingSource
	closes     []func()

	delivering sync.WaitGroup
}

type route struct {
	path    string
	handler http.Handler
}

func newFlow(cfg config, e *engines, url string) (*flow, error) {
	f := &flow{url: url}
	database := store.Config{DatabaseURL: e.databaseURL, MaxConns: maxConns}
	db, closeDB, err := store.Open(database)
	if err != nil {
		return nil, err
	}
	f.closes = append(f.closes, closeDB)
	ros, err := store.OpenPool(store.Config{DatabaseURL: e.rosURL, MaxConns: maxConns})
	if err != nil {
		return nil, err
	}
	f.closes = append(f.closes, ros.Close)
	if err := f.addSinks(cfg, e); err != nil {
		return nil, err
	}
	f.dispatcher = outbox.New(outbox.Config{Sink: url + sinkPath}, db)
	caller := identity.Config{AuthMode: "identity", AllowDirectIdentity: true, RBACURL: "off"}
	sourcesAPI := sourcesapi.New(sourcesapi.Config{Identity: caller, RefRequired: cfg.RefRequired, CreateWait: cfg.CreateWait}, db, f.dispatcher.Wake)
	applicationsAPI := applicationsapi.New(applicationsapi.Config{Identity: caller}, db, f.dispatcher.Wake)
	f.routes = append(f.routes,
		route{provisionerPath, http.StripPrefix(provisionerPath,
			provision.New(provision.Config{Database: database, TemplateSchema: cfg.TemplateSchema}, db))},
		route{cleanupPath, cleanup.New(cleanup.Config{KruizeURL: url + kruizePath, KruizeTimeout: 10 * time.Second, PlainRecords: cfg.PlainRecords}, db, ros)},
		route{relayPath, relay.New(db, f.dispatcher)},
		route{kruizePath, http.StripPrefix(kruizePath, &kruize{})},
		route{httpapi.Prefix + "/applications", applicationsAPI},
		route{httpapi.Prefix + "/application_types", applicationsAPI},
		route{"/docs", http.HandlerFunc(docs)},
		route{"", sourcesAPI},
	)
	f.addSources(cfg, e)
	return f, nil
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
	if err := f.dispatcher.Stop(ctx); err != nil {
		slog.WarnContext(ctx, "events are left to the next run", "err", err)
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
