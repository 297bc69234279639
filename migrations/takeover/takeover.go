// Package takeover brings the sources that Koku has made into the registry, so that ours can go on with them, and says
// where the two have come apart since.
//
// Koku's word is the row in public.api_sources with its provider. A source that the registry does not have is taken
// over under its own ids. One that it has belongs to the registry: where Koku's row has become another, because
// Koku's own routes were on for a while, that is reported, and Koku's word taken only when Adopt says so. Nothing is
// ever removed because a row is missing, or a source refused, without that.
//
// Every run may be broken off and repeated: it is transactions of a bounded number of rows, each of which begins with
// what there is.
package takeover

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

const (
	// batchRows is how many sources one transaction takes over or compares.
	batchRows = 500
	// batchWithin bounds one.
	batchWithin = 2 * time.Minute
	// lockTimeout is how long one waits for a row or a table that somebody else holds.
	lockTimeout = "10s"
)

// Options say how Run goes about it.
type Options struct {
	// Above is an id that no new source may get, nor a lower one: the highest that ROS knows.
	Above int64
	// Adopt takes Koku's word for sources that the registry has already.
	Adopt bool
}

// Run takes over what the registry does not have, compares the rest, and has the registry give no id that anybody
// has seen. migrations.Public has to have run. The report is of what was done, also where there is an error; that
// says what is not done, and another run is then needed. databaseURL has to lead to PostgreSQL itself.
func Run(ctx context.Context, databaseURL string, opts Options) (Report, error) {
	conn, err := connect(ctx, databaseURL)
	if err != nil {
		return Report{}, fmt.Errorf("take over Koku's sources: %w", err)
	}
	defer conn.Close(context.WithoutCancel(ctx))
	t := takeover{conn: conn}
	err = t.run(ctx, opts)
	return t.report, err
}

type takeover struct {
	conn   *pgx.Conn
	report Report
	// undone are sources whose id Koku has given to another, and of which there is something left to remove.
	undone []int64
}

func (t *takeover) run(ctx context.Context, opts Options) error {
	if err := t.batch(ctx, func(tx pgx.Tx) error { return lift(ctx, tx, opts.Above) }); err != nil {
		return fmt.Errorf("lift the ids of new sources: %w", err)
	}
	passes := []pass{{"compare the registry with Koku's sources", t.compare}}
	if opts.Adopt {
		// What is gone frees its cluster for what has changed, and what has changed frees one for what was refused.
		passes = []pass{
			{"delete what Koku has deleted", t.adoptDeletions},
			{"take Koku's changes", t.adoptChanges},
			{"give refused sources their cluster", t.regain},
		}
	}
	passes = append(passes, pass{"take over Koku's sources", t.takeNew})
	for _, p := range passes {
		if err := t.all(ctx, p.page); err != nil {
			return fmt.Errorf("%s: %w", p.name, err)
		}
	}
	if err := t.countOthers(ctx); err != nil {
		return fmt.Errorf("count the sources that are left to Koku: %w", err)
	}
	return t.undoneError()
}

// A pass goes through sources in the order of their ids, a page in each transaction. page is told the id that the
// page before ended with, and returns that of its own last source, or none where there are no more.
type pass struct {
	name string
	page pageFunc
}

type pageFunc func(ctx context.Context, tx pgx.Tx, after int64) (last int64, err error)

// none is below every id.
const none = -1

func (t *takeover) all(ctx context.Context, page pageFunc) error {
	for after := int64(none); ; {
		var last int64
		before := t.report.clone()
		err := t.batch(ctx, func(tx pgx.Tx) (err error) {
			last, err = page(ctx, tx, after)
			return err
		})
		if err != nil {
			t.report = before // what was rolled back was not done
			return err
		}
		if last == none {
			return nil
		}
		after = last
	}
}

// batch runs do in a transaction that nobody else takes over in.
func (t *takeover) batch(ctx context.Context, do func(tx pgx.Tx) error) error {
	ctx, cancel := context.WithTimeout(ctx, batchWithin)
	defer cancel()
	return pgx.BeginFunc(ctx, t.conn, func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, `SET LOCAL lock_timeout = '`+lockTimeout+`'; SELECT pg_advisory_xact_lock(hashtextextended('takeover', 0))`)
		if err != nil {
			return err
		}
		return do(tx)
	})
}

// connectWithin bounds the making of a connection.
const connectWithin = 10 * time.Second

func connect(ctx context.Context, databaseURL string) (*pgx.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, connectWithin)
	defer cancel()
	return pgx.Connect(ctx, databaseURL)
}
