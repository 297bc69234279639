// Package deadletters shows the events that no function could take, and sends them again, with a bound on
// how often (contract sections 4 and 5). Sending again is harmless: an event is only a hint to look at the
// registry. It is also rarely needed, as the relay asks again for whatever is undone.
package deadletters

import (
	"context"
	"fmt"
	"io"
	"time"
)

// runWithin bounds a whole run: an operator waits for it.
const runWithin = 30 * time.Minute

const usage = `dead-letters shows the events that no function could take, and sends them again.

  dead-letters list [-id ID]... [-reason TEXT] [-v]
  dead-letters redrive -why TEXT [-who NAME] (-id ID... | -reason TEXT | -all)
`

// Run carries out the command that args give. It writes what was asked for to stdout, and the log of what
// was redriven to stderr. The error says in one line why the exit status has to be 1; it is flag.ErrHelp
// where only help was asked for.
func Run(ctx context.Context, load func() (Config, error), args []string, stdout, stderr io.Writer) error {
	opts, err := parse(args, stderr)
	if err != nil {
		return err
	}
	cfg, err := load()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, runWithin, fmt.Errorf("not done in %v", runWithin))
	defer cancel()
	if opts.redrive {
		return redrive(ctx, cfg, opts, stdout, stderr)
	}
	return list(ctx, cfg, opts, stdout)
}
