package store

import (
	"context"
	"fmt"

	"github.com/insights-onprem/cost-sources/shared/sources"
)

// LiftIDs has every id that is given to a source or an application from now on be greater than above. It never lowers
// what the next id would be: running it again, or with less, changes nothing. Nobody is given an id meanwhile, as the
// tables are locked until the end of the transaction: an INSERT waits for that lock before it asks for an id.
func (s *Store) LiftIDs(ctx context.Context, above int64) error {
	if err := sources.CheckSeen(above); err != nil {
		return fmt.Errorf("there has been a source %w", err)
	}
	return s.InTx(ctx, func(tx *Store) error {
		if err := tx.exec(ctx, boundWaiting); err != nil {
			return err
		}
		if err := tx.exec(ctx, `LOCK TABLE sources.source, sources.application IN SHARE ROW EXCLUSIVE MODE`); err != nil {
			return err
		}
		for _, table := range []string{"sources.source", "sources.application"} {
			// A sequence of which nothing was ever taken has no last value, and cannot be set to 0.
			err := tx.exec(ctx, `
				SELECT setval(q.name, q.last)
				FROM (SELECT pg_get_serial_sequence($2, 'id')::regclass AS name, greatest($1::bigint,
					pg_sequence_last_value(pg_get_serial_sequence($2, 'id')::regclass),
					(SELECT max(id) FROM `+table+`)) AS last) q
				WHERE q.last > 0`, above, table)
			if err != nil {
				return err
			}
		}
		return nil
	})
}
