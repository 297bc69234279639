// Command dev runs all functions in one process on one port, for people who try the system or work on it:
// with a PostgreSQL and a Kafka broker of its own, and local stand-ins for what Knative does between the
// functions. What passes between them is encoded, sent, acknowledged and retried as in a cluster.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/insights-onprem/cost-sources/shared/serve"
)

// config is what dev reads from the environment; all of it may be left out.
type config struct {
	Port     int        `envconfig:"PORT" default:"8000"`
	DataDir  string     `envconfig:"DATA_DIR" default:".data"`
	LogLevel slog.Level `envconfig:"LOG_LEVEL" default:"info"`

	DatabaseURL    string   `envconfig:"DATABASE_URL"`     // instead of the embedded PostgreSQL
	ROSDatabaseURL string   `envconfig:"ROS_DATABASE_URL"` // instead of a database beside the other
	Brokers        []string `envconfig:"KAFKA_BROKERS"`    // instead of the embedded broker
	Topic          string   `envconfig:"SOURCES_EVENT_TOPIC" default:"platform.sources.event-stream"`

	RefRequired    bool          `envconfig:"SOURCE_REF_REQUIRED"`
	CreateWait     time.Duration `envconfig:"CREATE_WAIT"`
	TemplateSchema string        `envconfig:"TENANT_TEMPLATE_SCHEMA"`
	PlainRecords   bool          `envconfig:"PLAIN_RECORDS"`
}

func main() {
	serve.Command(func(ctx context.Context) error {
		cfg, err := serve.Load[config]()
		if err != nil {
			return err
		}
		slog.SetDefault(slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: cfg.LogLevel})))
		return run(ctx, cfg, os.Stdout)
	})
}

// run runs everything until ctx ends, and tells on out how to use it.
func run(ctx context.Context, cfg config, out io.Writer) error {
	listener, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", cfg.Port))
	if err != nil {
		return fmt.Errorf("PORT: %w", err)
	}
	defer listener.Close()
	engines, err := startEngines(ctx, cfg)
	if err != nil {
		return err
	}
	defer engines.stop()
	flow, err := newFlow(cfg, engines, "http://"+listener.Addr().String())
	if err != nil {
		return err
	}
	defer flow.close()
	return serveFlow(ctx, listener, flow, func() { tell(out, flow.url, engines) })
}

// The time that what is in flight has to come to an end, all in all less than 5 s.
const (
	flowStopsWithin   = 3500 * time.Millisecond
	serverStopsWithin = 500 * time.Millisecond
)

// serveFlow serves the functions and what stands between them until ctx ends. The server is the last to
// stop: until then events still go through it.
func serveFlow(ctx context.Context, listener net.Listener, f *flow, ready func()) error {
	server := serve.NewServer(f)
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(listener) }()
	f.start(ctx)
	ready()
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
	}
	ctx = context.WithoutCancel(ctx)
	f.stop(ctx)
	ctx, cancel := context.WithTimeout(ctx, serverStopsWithin)
	defer cancel()
	if err := server.Shutdown(ctx); err != nil && !errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return ignoreClosed(server.Close())
}

func ignoreClosed(err error) error {
	if errors.Is(err, net.ErrClosed) || errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}
