package store

import (
	"context"
	"errors"
	"io"
	"net"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/insights-onprem/cost-sources/shared/sources"
)

// The SQLSTATEs that mean something to us.
const (
	uniqueViolation     = "23505"
	lockNotAvailable    = "55P03"
	deadlock            = "40P01"
	foreignKeyViolation = "23503"
	undefinedTable      = "42P01"
	undefinedSchema     = "3F000"
)

// domainError translates what pgx reports: no row into missing, a second source with one cluster into the
// answer for it, and what trying again may heal into Unavailable. Everything else is a bug.
func domainError(err, missing error) error {
	if err == nil {
		return nil
	}
	if _, ok := errors.AsType[*sources.Error](err); ok {
		return err
	}
	if errors.Is(err, pgx.ErrNoRows) && missing != nil {
		return missing
	}
	pg, ok := errors.AsType[*pgconn.PgError](err)
	if ok && pg.Code == uniqueViolation && pg.ConstraintName == "source_cluster_key" {
		return sources.Invalidf("source.duplicate", "%s", sources.Duplicate)
	}
	if ok && (mayHeal(pg.Code) || isOutdated(pg)) || !ok && isAway(err) {
		return &sources.Error{Kind: sources.Unavailable, Msg: "PostgreSQL is not available", Err: err}
	}
	return err
}

// mayHeal: connections, resources, operators, locks and serialization; a foreign key shows at the commit
// that somebody was faster.
func mayHeal(code string) bool {
	switch code {
	case lockNotAvailable, "57014", "40001", deadlock, foreignKeyViolation:
		return true
	}
	return strings.HasPrefix(code, "08") || strings.HasPrefix(code, "53") || strings.HasPrefix(code, "57P")
}

// isOutdated: what was prepared does not fit any more, as a migration has changed a table, or is not there, as a pooler
// has come in between. The next time it is prepared anew.
func isOutdated(pg *pgconn.PgError) bool {
	const featureNotSupported, invalidStatementName = "0A000", "26000"
	return pg.Code == featureNotSupported && pg.Routine == "RevalidateCachedQuery" || pg.Code == invalidStatementName
}

func isAway(err error) bool {
	if _, ok := errors.AsType[*pgconn.ConnectError](err); ok {
		return true
	}
	if _, ok := errors.AsType[net.Error](err); ok {
		return true
	}
	return pgconn.SafeToRetry(err) || slices.ContainsFunc(
		[]error{context.DeadlineExceeded, context.Canceled, pgconn.ErrConnClosed, io.ErrUnexpectedEOF},
		func(away error) bool { return errors.Is(err, away) })
}

// isUndefined: the table, or the schema that should hold it, is not there.
func isUndefined(err error) bool {
	pg, ok := errors.AsType[*pgconn.PgError](err)
	return ok && (pg.Code == undefinedTable || pg.Code == undefinedSchema)
}
