package takeover

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/insights-onprem/cost-sources/shared/sources"
)

// Off is what is said instead of an address where there is no ROS.
const Off = "off"

// Prepare looks before anything is changed whether Run can be called, and returns the highest source id that ROS
// knows, 0 without a ROS. rosURL is the address of its database, or Off. It may be left empty only as long as
// there is nothing of Koku's to be taken over: ids that ROS knows must not be given again, since what it keeps of a
// source is found by its id.
func Prepare(ctx context.Context, databaseURL, rosURL string) (highest int64, err error) {
	switch rosURL {
	case Off:
		return 0, nil
	case "":
		return 0, needsNoROS(ctx, databaseURL)
	}
	highest, err = highestOfROS(ctx, rosURL)
	if err != nil {
		return 0, fmt.Errorf("ROS_DATABASE_URL: nothing was changed, as the source ids that ROS knows could not be read; "+
			"mend that, or say %s where there is no ROS: %w", Off, err)
	}
	if err := sources.CheckSeen(highest); err != nil {
		return 0, fmt.Errorf("ROS_DATABASE_URL: nothing was changed, as ROS knows a source %w; remove what it has of that", err)
	}
	return highest, nil
}

func needsNoROS(ctx context.Context, databaseURL string) error {
	conn, err := connect(ctx, databaseURL)
	if err != nil {
		return fmt.Errorf("look for sources of Koku's: %w", err)
	}
	defer conn.Close(context.WithoutCancel(ctx))
	ctx, cancel := context.WithTimeout(ctx, queryWithin)
	defer cancel()
	waiting, err := countNew(ctx, conn)
	if err != nil {
		return fmt.Errorf("look for sources of Koku's: %w", err)
	}
	if waiting > 0 {
		return fmt.Errorf("ROS_DATABASE_URL is not set, and nothing was changed: Koku has made %d sources that are to be taken over, "+
			"and the ids that ROS knows must not be given again. Set it to the address of ROS's database, or to %s where there is no ROS", waiting, Off)
	}
	return nil
}

// countNew counts what there is to be taken over, also in a database that has no registry yet.
func countNew(ctx context.Context, conn *pgx.Conn) (n int, err error) {
	var koku, registry bool
	err = conn.QueryRow(ctx, `SELECT to_regclass('public.api_sources') IS NOT NULL, to_regclass('sources.source') IS NOT NULL`).
		Scan(&koku, &registry)
	if err != nil || !koku {
		return 0, err
	}
	sql := `SELECT count(*) FROM public.api_sources s WHERE s.source_type = 'OCP'`
	if registry {
		sql += ` AND NOT EXISTS (SELECT FROM sources.source r WHERE r.id = s.source_id)`
	}
	err = conn.QueryRow(ctx, sql).Scan(&n)
	return n, err
}

// queryWithin bounds one look at a whole table.
const queryWithin = time.Minute

// highestOfROS reads over all organizations, as ids are not given again in any. ROS keeps them as text; what is no
// number of a source's size is not one of ours or Koku's.
func highestOfROS(ctx context.Context, rosURL string) (highest int64, err error) {
	conn, err := connect(ctx, rosURL)
	if err != nil {
		return 0, err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	ctx, cancel := context.WithTimeout(ctx, queryWithin)
	defer cancel()
	err = conn.QueryRow(ctx, `
		SELECT coalesce(max(id), 0) FROM (
			SELECT CASE WHEN source_id ~ '^[0-9]{1,10}$' THEN source_id::bigint END AS id FROM clusters) numbers
		WHERE id < 2147483647`, pgx.QueryExecModeExec).Scan(&highest) // a pooler may be in between
	if pg, ok := errors.AsType[*pgconn.PgError](err); ok && pg.Code == "42P01" {
		return 0, fmt.Errorf("ROS has not made its table clusters there: %w", err)
	}
	return highest, err
}

// lift has the next source get an id above all that anybody has seen, and the next application one above those of
// sources too, as Koku repeats a source's id for its application. Nobody adds a source meanwhile; a number that is
// higher already stays.
func lift(ctx context.Context, tx pgx.Tx, above int64) error {
	_, err := tx.Exec(ctx, `LOCK TABLE sources.source IN SHARE ROW EXCLUSIVE MODE`)
	if err != nil {
		return err
	}
	var seen int64
	err = tx.QueryRow(ctx, `
		SELECT greatest($1::bigint, (SELECT max(source_id) FROM public.api_sources), (SELECT max(id) FROM sources.source))`, above).Scan(&seen)
	if err != nil {
		return err
	}
	if err := sources.CheckSeen(seen); err != nil {
		return fmt.Errorf("there is a source %w", err)
	}
	_, err = tx.Exec(ctx, `
		WITH needed (sequence, id) AS (
			SELECT pg_get_serial_sequence('sources.source', 'id')::regclass, $1::bigint
			UNION ALL
			SELECT pg_get_serial_sequence('sources.application', 'id')::regclass, greatest($1, (SELECT max(id) FROM sources.application))
		)
		SELECT setval(sequence, id) FROM needed WHERE id > coalesce(pg_sequence_last_value(sequence), 0)`, seen)
	return err
}
