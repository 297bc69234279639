package restored

import (
	"errors"
	"flag"
	"fmt"
	"io"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/insights-onprem/cost-sources/shared/kafkaclient"
	"github.com/insights-onprem/cost-sources/shared/store"
)

// Config is what the command reads from the environment (contract section 7).
type Config struct {
	store.Config
	kafkaclient.Cluster

	ROSDatabaseURL string `envconfig:"ROS_DATABASE_URL" required:"true"` // or withoutROS
}

// withoutROS stands for the address of ROS's database where there is none.
const withoutROS = "off"

// Validate reports the first variable that cannot be.
func (c Config) Validate() error {
	if err := c.Cluster.Validate(); err != nil {
		return err
	}
	if c.ROSDatabaseURL == "" {
		return errors.New("ROS_DATABASE_URL: an address, or the word off where there is no ROS")
	}
	if c.ROSDatabaseURL != withoutROS {
		if _, err := pgxpool.ParseConfig(c.ROSDatabaseURL); err != nil {
			return fmt.Errorf("ROS_DATABASE_URL: %w", err) // pgx hides the password
		}
	}
	return c.Config.Validate()
}

const usage = `after-restore brings the registry up to what the topic and ROS know by now, after the database was restored from a
backup and before the functions are on again. Running it again does no harm.

  after-restore [-dry-run] [-without-topic]

`

// options are what the command line says.
type options struct {
	dryRun       bool
	withoutTopic bool
}

// parse reads the command line. Its errors are one line.
func parse(args []string, stderr io.Writer) (options, error) {
	var opts options
	flags := flag.NewFlagSet("after-restore", flag.ContinueOnError)
	flags.SetOutput(io.Discard) // an error is said once, by main
	flags.BoolVar(&opts.dryRun, "dry-run", false, "only say what was found and would be done")
	flags.BoolVar(&opts.withoutTopic, "without-topic", false, "go on where the topic is gone, or holds no event of ours")
	err := flags.Parse(args)
	if errors.Is(err, flag.ErrHelp) {
		_, _ = io.WriteString(stderr, usage)
		flags.SetOutput(stderr)
		flags.PrintDefaults()
	}
	if err == nil && flags.NArg() > 0 {
		return opts, fmt.Errorf("unexpected argument %q", flags.Arg(0))
	}
	return opts, err
}
