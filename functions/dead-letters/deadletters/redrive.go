package deadletters

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"time"

	"github.com/insights-onprem/cost-sources/shared/store"
)

// databaseWithin bounds what is asked of PostgreSQL for one letter.
const databaseWithin = 15 * time.Second

// A redriver is a redrive under way.
type redriver struct {
	opts   options
	db     *store.Store
	sender *sender
	out    io.Writer
	log    *slog.Logger

	seen          identities
	sent, refused int
}

// redrive sends the chosen events again, each once. What it has to refuse keeps nothing else from being
// sent, and is an error at the end.
func redrive(ctx context.Context, cfg Config, opts options, stdout, stderr io.Writer) (err error) {
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
	to, err := openSender(cfg)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, to.close()) }()
	r := &redriver{opts: opts, db: db, sender: to, out: stdout, seen: identities{},
		log: slog.New(slog.NewJSONHandler(stderr, nil))}
	return r.run(ctx, letters)
}

func (r *redriver) run(ctx context.Context, letters reader) error {
	err := letters.each(ctx, func(l letter) error { return r.take(ctx, l) })
	if err != nil {
		return fmt.Errorf("%d sent again, then: %w", r.sent, err)
	}
	missing := r.opts.missing()
	slices.Sort(missing)
	for _, id := range missing {
		r.refuse(id, "no dead letter holds it")
	}
	fmt.Fprintf(r.out, "%d sent again, %d refused\n", r.sent, r.refused)
	if r.refused > 0 {
		return fmt.Errorf("%d refused", r.refused)
	}
	return nil
}

// take sends the event of l again, if it is meant and there is nothing against it. Its errors are those that
// end the run.
func (r *redriver) take(ctx context.Context, l letter) error {
	switch {
	case !r.opts.takes(l):
		return nil
	case l.event == nil:
		r.refuse(l.place(), noEvent)
		return nil
	case !r.seen.add(l):
		return nil
	}
	attempt, err := r.claim(ctx, l)
	switch {
	case err != nil:
		return fmt.Errorf("event %s: not sent, perhaps counted: %w", shown(l.event.ID()), err)
	case attempt == 0:
		r.refuse(l.event.ID(), fmt.Sprintf("sent again %d times already", store.MaxRedrives))
		return nil
	}
	leftOut, err := r.sender.send(ctx, l)
	if err != nil {
		return fmt.Errorf("event %s: attempt %d is counted and not sent: %w", shown(l.event.ID()), attempt, err)
	}
	r.tell(ctx, l, attempt, leftOut)
	return nil
}

// claim counts the attempt, in a transaction of its own, before anything is sent.
func (r *redriver) claim(ctx context.Context, l letter) (attempt int, err error) {
	ctx, cancel := context.WithTimeout(ctx, databaseWithin)
	defer cancel()
	return r.db.ClaimRedrive(ctx, store.Redrive{
		EventSource: l.event.Source(), EventID: l.event.ID(), Who: r.opts.who, Why: r.opts.why})
}

func (r *redriver) refuse(what, why string) {
	r.refused++
	fmt.Fprintf(r.out, "refused  %s  %s\n", shown(what), why)
}

func (r *redriver) tell(ctx context.Context, l letter, attempt int, leftOut []string) {
	r.sent++
	e := l.event
	fmt.Fprintf(r.out, "sent     %s  %s  %s  attempt %d of %d\n",
		shown(e.ID()), shown(e.Type()), shown(e.Subject()), attempt, store.MaxRedrives)
	r.log.InfoContext(ctx, "redriven", "id", e.ID(), "type", e.Type(), "subject", e.Subject(), "attempt", attempt,
		"who", r.opts.who, "why", r.opts.why, "reason", l.reason, "left_out", leftOut)
}
