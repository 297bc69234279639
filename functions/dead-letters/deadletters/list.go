package deadletters

import (
	"context"
	"fmt"
	"io"
	"slices"

	cloudevents "github.com/cloudevents/sdk-go/v2"

	"github.com/insights-onprem/cost-sources/shared/events"
	"github.com/insights-onprem/cost-sources/shared/sources"
	"github.com/insights-onprem/cost-sources/shared/store"
)

// list prints the reasons, and with -v or -id first the letters, as they are read.
func list(ctx context.Context, cfg Config, opts options, stdout io.Writer) error {
	db, closeDB, err := store.Open(cfg.Config)
	if err != nil {
		return err
	}
	defer closeDB()
	letters, err := openReader(cfg)
	if err != nil {
		return err
	}
	defer letters.close()
	groups := map[string]*group{}
	err = letters.each(ctx, func(l letter) error {
		if !opts.takes(l) {
			return nil
		}
		count(groups, l)
		if !opts.verbose && len(opts.ids) == 0 {
			return nil
		}
		return printLetter(ctx, stdout, db, l)
	})
	if err != nil {
		return err
	}
	if err := printGroups(stdout, groups); err != nil {
		return err
	}
	if missing := opts.missing(); len(missing) > 0 {
		slices.Sort(missing)
		return fmt.Errorf("no dead letter holds %q", missing)
	}
	return nil
}

func printLetter(ctx context.Context, w io.Writer, db *store.Store, l letter) error {
	e := l.event
	if e == nil {
		_, err := fmt.Fprintf(w, "%s  %s\n", l.place(), l.reason)
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, databaseWithin)
	defer cancel()
	redriven, err := db.Redriven(ctx, e.Source(), e.ID())
	if err != nil {
		return err
	}
	standing, err := standingOf(ctx, db, *e)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(w, "%s  %s  %s  %s  %s  redriven %d  %s  %s\n", l.place(), shown(e.ID()), shown(e.Type()),
		shown(e.Subject()), stamp(e.Time()), redriven, standing, l.reason)
	return err
}

// standingOf says what the registry says by now of the source that e names: whether the letter still matters.
func standingOf(ctx context.Context, db *store.Store, e cloudevents.Event) (string, error) {
	id, err := events.SourceID(e)
	if err != nil {
		return "unknown", nil
	}
	src, err := db.Registered(ctx, id)
	switch {
	case sources.KindOf(err) == sources.NotFound:
		return "unknown", nil
	case err != nil:
		return "", err
	case src.State == sources.Failed:
		return "failed", nil
	case !src.UpToDate() || src.ROSDue():
		return "behind", nil
	default:
		return "healed", nil
	}
}
