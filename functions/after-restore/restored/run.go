// Package restored brings the registry up to what others know by now, after the database was restored from a backup.
// What came after the backup is lost in the database alone: Kafka has its events, ROS the data of its sources, and
// clients its ids. So an id or a sequence that was given then must not be given again for something else.
package restored

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/insights-onprem/cost-sources/shared/store"
)

const (
	runWithin  = time.Hour // a whole run: an operator waits for it
	pageWithin = time.Minute
	pageRows   = 1000 // registry rows in one transaction
)

// Run carries out the command that args give: it finds out what the topic, ROS and the registry know, writes that to
// stdout, and then does what follows from it. The error says in one line why the exit status has to be 1; it is
// flag.ErrHelp where only help was asked for. What was not finished is so when it has run again.
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
	db, closeDB, err := store.Open(cfg.Config)
	if err != nil {
		return err
	}
	defer closeDB()
	found, err := look(ctx, cfg, db)
	if err != nil {
		return err
	}
	if err := found.print(stdout); err != nil {
		return err
	}
	if found.topic.events == 0 && !opts.withoutTopic {
		return fmt.Errorf("SOURCES_EVENT_TOPIC: there is no event of ours in %q: is it the right Kafka? "+
			"Where the topic is lost, -without-topic goes on without it", cfg.Topic)
	}
	if opts.dryRun {
		_, err := fmt.Fprintln(stdout, "nothing was changed (-dry-run)")
		return err
	}
	return found.mend(ctx, db, stdout)
}

// look asks everybody, and changes nothing.
func look(ctx context.Context, cfg Config, db *store.Store) (found findings, err error) {
	if found.registry, err = readRegistry(ctx, db); err != nil {
		return found, err
	}
	if found.ros, err = readROS(ctx, cfg); err != nil {
		return found, err
	}
	if found.topic, err = readTopic(ctx, cfg); err != nil {
		return found, err
	}
	found.compare()
	return found, nil
}

// A registry is what the backup knows.
type registry struct {
	living  map[int64]bool // by id; false for those that are gone
	newest  time.Time      // the last change that it has
	waiting int64          // events in its outbox
}

func readRegistry(ctx context.Context, db *store.Store) (registry, error) {
	found := registry{living: map[int64]bool{}}
	err := pages(ctx, func(ctx context.Context, after int64) ([]store.Standing, error) {
		rows, err := db.Standings(ctx, after, pageRows)
		for _, row := range rows {
			found.living[row.ID] = !row.Gone
			if row.UpdatedAt.After(found.newest) {
				found.newest = row.UpdatedAt
			}
		}
		return rows, err
	})
	if err != nil {
		return found, fmt.Errorf("reading the registry: %w", err)
	}
	found.waiting, err = bounded(ctx, db.OutboxDepth)
	return found, err
}

// pages calls do until it finds no more rows after those of the last time.
func pages(ctx context.Context, do func(ctx context.Context, after int64) ([]store.Standing, error)) error {
	for after := int64(0); ; {
		rows, err := bounded(ctx, func(ctx context.Context) ([]store.Standing, error) { return do(ctx, after) })
		if err != nil || len(rows) == 0 {
			return err
		}
		after = rows[len(rows)-1].ID
	}
}

// bounded does one thing in the database within its time.
func bounded[T any](ctx context.Context, do func(ctx context.Context) (T, error)) (T, error) {
	ctx, cancel := context.WithTimeout(ctx, pageWithin)
	defer cancel()
	return do(ctx)
}
