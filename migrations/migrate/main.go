// Migrate brings a database to the newest version: the tables that are there once, then the sources that Koku has made,
// then the roles of the functions with their rights, then every tenant of ours, several at a time. It may be stopped at any point and run again, and does then what is
// left. A tenant that cannot be migrated does not stop the others; which those were, and why, is said at the end, and
// the exit status is 1.
//
// The database is named by DATABASE_URL, or by DATABASE_URL_FILE, a file that contains it. It has to be PostgreSQL
// itself and not a pooler. ROS_DATABASE_URL is the address of ROS's database, or off where there is no ROS; it is
// needed where there is something to be taken over from Koku. TENANT_TEMPLATE_SCHEMA is what the provisioner has.
//
//	migrate             migrate
//	migrate --adopt     and take Koku's word for sources that are ours already, and that Koku has changed since
//	migrate --foreign   and leave the ids below 1,000,000,000 to other producers, whose plain records interop takes
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

	"github.com/jackc/pgx/v5"

	"github.com/insights-onprem/cost-sources/migrations"
	"github.com/insights-onprem/cost-sources/migrations/takeover"
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
	cfg, err := serve.Load[config]()
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
	return migrate(ctx, address, cfg, opts, stdout, stderr)
}

type config struct {
	store.Config

	ROSDatabaseURL string `envconfig:"ROS_DATABASE_URL"`
	TemplateSchema string `envconfig:"TENANT_TEMPLATE_SCHEMA"`
}

// Validate reports the first variable that cannot be, and never its value, which may have a password in it.
func (c config) Validate() error {
	if c.ROSDatabaseURL == "" || c.ROSDatabaseURL == takeover.Off {
		return c.Config.Validate()
	}
	if _, err := pgx.ParseConfig(c.ROSDatabaseURL); err != nil {
		return fmt.Errorf("ROS_DATABASE_URL: neither the address of a PostgreSQL database nor %s", takeover.Off)
	}
	return c.Config.Validate()
}

type options struct {
	workers       int
	status, adopt bool
	foreign       bool
}

func parse(args []string, stderr io.Writer) (options, error) {
	var opts options
	flags := flag.NewFlagSet("migrate", flag.ContinueOnError)
	flags.SetOutput(io.Discard) // an error is said once, by main
	flags.IntVar(&opts.workers, "workers", 4, "how many tenants to migrate at a time")
	flags.BoolVar(&opts.status, "status", false, "only say how far the database is")
	flags.BoolVar(&opts.adopt, "adopt", false, "take Koku's word for sources that are ours already: its changes, and its deletions")
	flags.BoolVar(&opts.foreign, "foreign", false, "leave the ids below 1,000,000,000 to other producers, whose plain records interop takes")
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

func migrate(ctx context.Context, address string, cfg config, opts options, stdout, stderr io.Writer) error {
	log := slog.New(slog.NewTextHandler(stderr, nil))
	if err := migrations.CheckShared(ctx, address, cfg.TemplateSchema); err != nil {
		return err
	}
	if err := migrations.CheckRoles(ctx, address); err != nil {
		return err
	}
	highest, err := takeover.Prepare(ctx, address, cfg.ROSDatabaseURL)
	if err != nil {
		return err
	}
	if err := migrations.Public(ctx, address); err != nil {
		return err
	}
	log.InfoContext(ctx, "public is at the newest version")
	taken, err := takeover.Run(ctx, address, takeover.Options{Above: highest, Adopt: opts.adopt})
	if err := errors.Join(taken.Print(stdout), err); err != nil {
		return err
	}
	if err := giveRoles(ctx, log, address); err != nil {
		return err
	}
	if opts.foreign {
		if err := leaveIDs(ctx, log, cfg.Config); err != nil {
			return err
		}
	}
	return migrateTenants(ctx, log, address, opts.workers, stderr)
}

// leaveIDs has our ids begin where those of other producers end. Again it changes nothing.
func leaveIDs(ctx context.Context, log *slog.Logger, cfg store.Config) error {
	db, closeDB, err := store.Open(cfg)
	if err != nil {
		return err
	}
	defer closeDB()
	if err := db.LiftIDs(ctx, store.ForeignIDs-1); err != nil {
		return err
	}
	log.InfoContext(ctx, "the ids of other producers are left to them", "below", store.ForeignIDs)
	return nil
}

// giveRoles goes on without roles where they cannot be made: the functions then work as before there were any.
func giveRoles(ctx context.Context, log *slog.Logger, address string) error {
	err := migrations.Roles(ctx, address)
	switch {
	case errors.Is(err, migrations.ErrNoRoles):
		log.WarnContext(ctx, "the functions are not told apart", "err", err)
		return nil
	case err != nil:
		return err
	}
	log.InfoContext(ctx, "every function has a role with its rights")
	loopholes, err := migrations.Loopholes(ctx, address)
	for _, loophole := range loopholes {
		log.WarnContext(ctx, "the roles may do more", "as", loophole)
	}
	return err
}

func migrateTenants(ctx context.Context, log *slog.Logger, address string, workers int, stderr io.Writer) error {
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
