// Package preflight tries what the functions are going to need, from where they are going to run, and says in words
// what is wrong and what to do about it. Nothing that it prints holds a secret.
package preflight

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"strings"
	"time"
)

const (
	checkWithin = 25 * time.Second
	topicsIn    = time.Minute
)

const usage = `preflight says before a deployment what would go wrong after it.

  preflight check    tries every address that the functions use, from where it runs
  preflight topics   makes the topics that are missing, and changes none that is there
`

// Run carries out the command that args give, and writes what it finds to stdout. The error says in one line why
// the exit status has to be 1; it is flag.ErrHelp where only help was asked for.
func Run(ctx context.Context, load func() Config, args []string, stdout, stderr io.Writer) error {
	if len(args) != 1 {
		return errors.New("check or topics? preflight -h tells more")
	}
	switch args[0] {
	case "check":
		ctx, cancel := context.WithTimeoutCause(ctx, checkWithin, fmt.Errorf("no answer in %v", checkWithin))
		defer cancel()
		return check(ctx, load(), stdout)
	case "topics":
		ctx, cancel := context.WithTimeoutCause(ctx, topicsIn, fmt.Errorf("not done in %v", topicsIn))
		defer cancel()
		return makeTopics(ctx, load().Kafka, stdout)
	case "-h", "-help", "--help", "help":
		_, err := io.WriteString(stderr, usage)
		return errors.Join(flag.ErrHelp, err)
	default:
		return fmt.Errorf("%q is neither check nor topics; preflight -h tells more", args[0])
	}
}

// An inspection looks at one thing and reports what it finds.
type inspection struct {
	name string // of the variable that says where the thing is
	run  func(context.Context, *report)
}

func inspections(cfg Config) []inspection {
	return []inspection{
		inspect("DATABASE_URL", cfg.Database, checkDatabase),
		inspect("ROS_DATABASE_URL", cfg.ROS, checkROS),
		inspect("KAFKA_BROKERS", cfg.Kafka, checkKafka),
		inspect("AUTH_MODE", cfg.Callers, checkCallers),
		inspect("KRUIZE_URL", cfg.Kruize, checkKruize),
		inspect("OTEL_EXPORTER_OTLP_ENDPOINT", cfg.OTLP, checkOTLP),
	}
}

func inspect[C any](name string, part Part[C], run func(context.Context, C, *report)) inspection {
	return inspection{name, func(ctx context.Context, r *report) {
		if part.Err != nil {
			r.fail(name, "%s", strings.TrimPrefix(part.Err.Error(), name+": "))
			return
		}
		run(ctx, part.Value, r)
	}}
}

// check does all inspections at once and prints what they find, in the order in which they are listed.
func check(ctx context.Context, cfg Config, stdout io.Writer) error {
	all := inspections(cfg)
	found := make([]chan report, len(all))
	for i, inspection := range all {
		found[i] = make(chan report, 1) // nobody may be waiting any more
		go func() {
			var r report
			inspection.run(ctx, &r)
			found[i] <- r
		}()
	}
	failed := 0
	for i, inspection := range all {
		r := awaitReport(ctx, inspection.name, found[i])
		if err := r.print(stdout); err != nil {
			return err
		}
		failed += r.failed()
	}
	if failed > 0 {
		return fmt.Errorf("%d wrong, see the lines that begin with %s", failed, levelFail)
	}
	return nil
}

// awaitReport gives up at the end of ctx: not everything that is asked for heeds it. What has been found by then counts.
func awaitReport(ctx context.Context, name string, found <-chan report) report {
	select {
	case r := <-found:
		return r
	case <-ctx.Done():
	}
	var r report
	select {
	case r = <-found:
	default:
		r.fail(name, "%v", context.Cause(ctx))
	}
	return r
}
