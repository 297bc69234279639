// Migrate brings a database to the newest version: the tables that are there once, then every tenant of ours, several
// at a time. It may be stopped at any point and run again, and does then what is left: told to end by SIGTERM or Ctrl-C it
// finishes the tenants in work, a second time it ends at once. A tenant that cannot be migrated does not stop the
// others; which those were, and why, is said at once and again at the end, and the exit status is 1.
//
// The database is named by DATABASE_URL, or by DATABASE_URL_FILE, a file that contains it. It has to be PostgreSQL
// itself and not a pooler.
//
//	migrate             migrate
//	migrate --workers 8 with eight tenants at a time instead of four
//	migrate --status    only say how far the database is
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/insights-onprem/cost-sources/migrations"
	"github.com/insights-onprem/cost-sources/shared/serve"
	"github.com/insights-onprem/cost-sources/shared/store"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // so that a second signal ends us at once
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "migrate:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	opts, err := parse(args, stderr)
	if err != nil {
		return err
	}
	cfg, err := serve.Load[store.Config]()
	if err != nil {
		return err
	}
	address, err := cfg.URL()
	if err != nil {
		return err
	}
	if opts.status {
		return printStatus(ctx, address, stdout)
	}
	return migrate(ctx, address, opts.workers, stderr)
}

type options struct {
	workers int
	status  bool
}

func parse(args []string, stderr io.Writer) (options, error) {
	var opts options
	flags := flag.NewFlagSet("migrate", flag.ContinueOnError)
	flags.SetOutput(io.Discard) // an error is said once, by main
	flags.IntVar(&opts.workers, "workers", 4, "how many tenants to migrate at a time")
	flags.BoolVar(&opts.status, "status", false, "only say how far the database is")
	err := flags.Parse(args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		flags.SetOutput(stderr)
		flags.Usage()
		return opts, err
	case err != nil:
		return opts, err
	case opts.workers < 1:
		return opts, fmt.Errorf("--workers is %d, but has to be at least 1", opts.workers)
	case flags.NArg() > 0:
		return opts, fmt.Errorf("unexpected argument %q", flags.Arg(0))
	}
	return opts, nil
}

func migrate(ctx context.Context, address string, workers int, stderr io.Writer) error {
	log := slog.New(slog.NewTextHandler(stderr, nil))
	if err := migrations.Public(ctx, address); err != nil {
		return err
	}
	log.InfoContext(ctx, "public is at the newest version")
	stop := context.AfterFunc(ctx, func() {
		log.InfoContext(ctx, "told to end: the tenants in work are finished, and no others begun")
	})
	defer stop()
	report, end := progress(ctx, log, stderr)
	err := migrations.AllTenants(ctx, address, migrations.Options{Workers: workers, Progress: report})
	end()
	if err != nil {
		return fmt.Errorf("another run is needed:\n%w", err)
	}
	log.InfoContext(ctx, "all tenants are at the newest version")
	return nil
}

func printStatus(ctx context.Context, address string, stdout io.Writer) error {
	state, err := migrations.Status(ctx, address)
	if err != nil {
		return err
	}
	total := 0
	for _, tenants := range state.Tenants {
		total += tenants
	}
	_, err = fmt.Fprintf(stdout, "public: version %d of %d\ntenants: %d at version %d, %d behind\n",
		state.Public, state.PublicNewest, total-state.Behind(), state.TenantNewest, state.Behind())
	return err
}
