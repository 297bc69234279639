// Package serve is what every function's main does: read the configuration, log, listen, stop in order.
package serve

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/kelseyhightower/envconfig"

	"github.com/insights-onprem/cost-sources/shared/telemetry"
)

// After SIGTERM requests in flight, and what runs beside them, have finishWithin to come to an end; what has
// been given up then has the rest of stopWithin to be closed. Of what is left of that, traces and metrics have
// flushWithin to be sent.
const (
	finishWithin = 8 * time.Second
	stopWithin   = 10 * time.Second
	flushWithin  = 3 * time.Second
)

// Config is what every function reads, whatever else it needs.
type Config struct {
	Port     int        `envconfig:"PORT" default:"8080"`
	LogLevel slog.Level `envconfig:"LOG_LEVEL" default:"info"`
	OnPrem   string     `envconfig:"ONPREM" default:"true"`
}

// Validate refuses the one thing that is not built.
func (c Config) Validate() error {
	if !strings.EqualFold(c.OnPrem, "true") {
		return errors.New("ONPREM: only true is supported")
	}
	return nil
}

// A Function is what Start makes: what it serves, and what is to be stopped when the last request has
// been answered.
type Function struct {
	Handler http.Handler
	// Stop ends what runs beside the handler. It has until ctx ends to finish what is in flight.
	Stop func(ctx context.Context) error
	// Events says that Handler takes events. Each is traced as a part of what caused it, and not as a request.
	Events bool

	telemetry telemetry.Telemetry
}

// Main runs a function until SIGTERM or an interrupt, and exits. C is its configuration, filled from the
// environment; if it has a Validate method, that is asked. What is wrong with it is one line that names
// the variable. start must not wait for anything outside, so that the port is bound at once.
func Main[C any](start func(cfg C) (Function, error)) {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	if err := run(ctx, start); err != nil {
		exit(err)
	}
}

// Command is what the main of an operator's command does: it runs until it is done, or its context ends by SIGTERM or an
// interrupt, of which a second one ends the process at once. An error is told in one line, and the exit status is 1; that
// help was asked for is none.
func Command(run func(ctx context.Context) error) {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	context.AfterFunc(ctx, stop)
	if err := run(ctx); err != nil && !errors.Is(err, flag.ErrHelp) {
		exit(err)
	}
}

// exit ends the process with err, told in one line whatever its text.
func exit(err error) {
	fmt.Fprintln(os.Stderr, strings.Join(strings.Fields(err.Error()), " "))
	os.Exit(1)
}

func run[C any](ctx context.Context, start func(cfg C) (Function, error)) error {
	base, err := Load[Config]()
	if err != nil {
		return err
	}
	slog.SetDefault(slog.New(telemetry.Logs(slog.NewJSONHandler(os.Stderr, &slog.HandlerOptions{Level: base.LogLevel}))))
	cfg, err := Load[C]()
	if err != nil {
		return err
	}
	observed, err := telemetry.Start()
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", fmt.Sprintf(":%d", base.Port))
	if err != nil {
		return fmt.Errorf("PORT: %w", err)
	}
	function, err := start(cfg)
	if err != nil {
		return err
	}
	function.telemetry = observed
	return Serve(ctx, listener, function)
}

// Load fills a configuration from the environment and validates it. Its error names the variable.
func Load[C any]() (C, error) {
	var cfg C
	if err := envconfig.Process("", &cfg); err != nil {
		return cfg, err
	}
	if v, ok := any(cfg).(interface{ Validate() error }); ok {
		return cfg, v.Validate()
	}
	return cfg, nil
}

// NewServer serves h, and the probes, with the bounds that every server of ours has.
func NewServer(h http.Handler) *http.Server {
	return &http.Server{
		Handler:           withProbes(h),
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       15 * time.Second,
		WriteTimeout:      130 * time.Second, // longer than any handler of ours takes
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    32 << 10,
	}
}

// Serve answers on listener until ctx ends, then lets what is in flight finish and stops the function.
func Serve(ctx context.Context, listener net.Listener, function Function) error {
	server := NewServer(function.telemetry.Requests(function.Handler, !function.Events))
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(listener) }()
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
	}
	return stopAll(context.WithoutCancel(ctx), server, function)
}

func stopAll(ctx context.Context, server *http.Server, function Function) error {
	ctx, cancel := context.WithTimeout(ctx, stopWithin)
	defer cancel()
	finish, cancel := context.WithTimeout(ctx, finishWithin)
	defer cancel()
	defer flush(ctx, function.telemetry)
	err := server.Shutdown(finish)
	if function.Stop == nil {
		return err
	}
	stopped := make(chan error, 1)
	go func() { stopped <- function.Stop(finish) }()
	select {
	case stopErr := <-stopped:
		return errors.Join(err, stopErr)
	case <-ctx.Done(): // closing a pool can take longer, and has no bound of its own
		return errors.Join(err, fmt.Errorf("not stopped in %v: %w", stopWithin, ctx.Err()))
	}
}

// flush sends what traces and metrics the function has left, as it may be long until its next start. That they
// are lost is no reason to end with an error.
func flush(ctx context.Context, t telemetry.Telemetry) {
	ctx, cancel := context.WithTimeout(ctx, flushWithin)
	defer cancel()
	if err := t.Stop(ctx); err != nil {
		slog.WarnContext(ctx, "the last traces or metrics are lost", "err", err)
	}
}

// withProbes adds the paths that Kubernetes asks. They say that the process listens; a database that is
// away must not take every function out of service.
func withProbes(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/healthz", "/readyz":
			w.WriteHeader(http.StatusOK)
		default:
			h.ServeHTTP(w, r)
		}
	})
}
