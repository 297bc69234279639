package deadletters

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os/user"
	"strings"
	"unicode/utf8"
)

// options are what the command line says.
type options struct {
	redrive bool // else list
	choice
	verbose  bool
	all      bool
	why, who string
}

// parse reads the command line. Its errors are one line.
func parse(args []string, stderr io.Writer) (options, error) {
	var opts options
	if len(args) == 0 {
		return opts, errors.New("list or redrive? dead-letters -h tells more")
	}
	switch args[0] {
	case "list", "redrive":
		opts.redrive = args[0] == "redrive"
	case "-h", "-help", "--help", "help":
		_, err := io.WriteString(stderr, usage)
		return opts, errors.Join(flag.ErrHelp, err)
	default:
		return opts, fmt.Errorf("%q is neither list nor redrive; dead-letters -h tells more", args[0])
	}
	if err := opts.parseFlags(args[0], args[1:], stderr); err != nil {
		return opts, err
	}
	if opts.redrive {
		return opts, opts.completeRedrive()
	}
	return opts, nil
}

func (o *options) parseFlags(command string, args []string, stderr io.Writer) error {
	flags := flag.NewFlagSet("dead-letters "+command, flag.ContinueOnError)
	flags.SetOutput(io.Discard) // an error is said once, by main
	flags.Func("id", "only the event with this `ID`; may be repeated", o.addID)
	flags.Func("reason", "only what died of a reason that, as it is printed, contains `TEXT`", o.setReason)
	if o.redrive {
		flags.BoolVar(&o.all, "all", false, "every event")
		flags.StringVar(&o.why, "why", "", "why it is sent again, `TEXT` for those who ask later; required")
		flags.StringVar(&o.who, "who", "", "`NAME` of who does it (default: the user of this process)")
	} else {
		flags.BoolVar(&o.verbose, "v", false, "each letter too")
	}
	err := flags.Parse(args)
	if errors.Is(err, flag.ErrHelp) {
		flags.SetOutput(stderr)
		flags.Usage()
	}
	if err == nil && flags.NArg() > 0 {
		return fmt.Errorf("unexpected argument %q", flags.Arg(0))
	}
	return err
}

// completeRedrive holds what redrive needs more than list.
func (o *options) completeRedrive() error {
	chosen := 0
	for _, given := range []bool{len(o.ids) > 0, o.reason != "", o.all} {
		if given {
			chosen++
		}
	}
	switch {
	case chosen != 1:
		return errors.New("one of -id, -reason and -all has to say what is to be sent again")
	case strings.TrimSpace(o.why) == "" || !utf8.ValidString(o.why):
		return errors.New("-why has to say why it is to be sent again")
	case !utf8.ValidString(o.who):
		return errors.New("-who is no text")
	case strings.TrimSpace(o.who) != "":
		return nil
	}
	me, err := user.Current()
	if err != nil || me.Username == "" {
		return errors.New("-who is needed: this process has a user without a name")
	}
	o.who = me.Username
	return nil
}
