package retire

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"time"
	"unicode/utf8"
)

// options are what the command line says.
type options struct {
	idle   time.Duration
	orgs   []string // none for all
	apply  bool
	dir    string // of the dumps
	pgDump string
}

// parse reads the command line. Its errors are one line.
func parse(args []string, stderr io.Writer) (options, error) {
	opts := options{idle: 90 * 24 * time.Hour}
	flags := flag.NewFlagSet("retire-tenants", flag.ContinueOnError)
	flags.SetOutput(io.Discard) // an error is said once, by main
	flags.DurationVar(&opts.idle, "for", opts.idle, "how long an organization has to be without a source: `DURATION`")
	flags.Func("org", "only the organization with this `ID`; may be repeated", opts.addOrg)
	flags.BoolVar(&opts.apply, "apply", false, "retire what would be listed; needs -dump")
	flags.StringVar(&opts.dir, "dump", "", "the folder `DIR` that the dumps are written to")
	flags.StringVar(&opts.pgDump, "pg-dump", "pg_dump", "`PATH` of PostgreSQL's pg_dump, with pg_restore beside it")
	err := flags.Parse(args)
	if errors.Is(err, flag.ErrHelp) {
		flags.SetOutput(stderr)
		flags.Usage()
	}
	if err != nil {
		return opts, err
	}
	switch {
	case flags.NArg() > 0:
		return opts, fmt.Errorf("unexpected argument %q", flags.Arg(0))
	case opts.idle <= 0:
		return opts, errors.New("-for has to be longer than 0")
	case opts.apply && opts.dir == "":
		return opts, errors.New("-apply needs -dump: nothing is dropped without a dump")
	case !opts.apply && opts.dir != "":
		return opts, errors.New("-dump without -apply writes nothing")
	}
	return opts, nil
}

func (o *options) addOrg(id string) error {
	if id == "" || !utf8.ValidString(id) {
		return errors.New("no organization has such an id")
	}
	o.orgs = append(o.orgs, id)
	return nil
}
