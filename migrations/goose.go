package migrations

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"hash/fnv"
	"io/fs"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"
)

const (
	// A statement that waits for a busy table makes everybody else who wants that table wait behind it, so a
	// migration soon gives up and leaves the rest to the next run.
	lockTimeout = "5s"

	// How long one run waits for another that has the same schema in work: longer than any file takes.
	schemaWaitSeconds = 3600
)

// open returns a pool of one connection, which is all that goose needs and the only way to know that the session's
// lock and what it protects share a connection. The search path is a parameter of the connection, so that nothing
// that a file does can outlive it; so is the role to act as, the login's own where that is empty.
func open(databaseURL, schema, role string) (*sql.DB, error) {
	cfg, err := pgx.ParseConfig(databaseURL)
	if err != nil {
		return nil, fmt.Errorf("address of the database: %w", err)
	}
	cfg.RuntimeParams["search_path"] = pgx.Identifier{schema}.Sanitize()
	if role != "" {
		cfg.RuntimeParams["role"] = role
	}
	cfg.RuntimeParams["lock_timeout"] = lockTimeout
	cfg.RuntimeParams["statement_timeout"] = "0" // an index on a large table takes as long as it takes
	cfg.DefaultQueryExecMode = pgx.QueryExecModeExec
	db := stdlib.OpenDB(*cfg)
	db.SetMaxOpenConns(1)
	return db, nil
}

// up runs the files that the schema does not have yet, one transaction each.
func up(ctx context.Context, db *sql.DB, schema, versions string, files fs.FS) error {
	if err := checkSchema(ctx, db, schema); err != nil {
		return err
	}
	locker, err := lock.NewPostgresSessionLocker(
		lock.WithLockID(lockID(schema)), lock.WithLockTimeout(1, schemaWaitSeconds))
	if err != nil {
		return fmt.Errorf("make its lock: %w", err)
	}
	provider, err := goose.NewProvider(goose.DialectPostgres, db, files,
		goose.WithTableName(versions), goose.WithSessionLocker(locker), goose.WithDisableGlobalRegistry(true))
	if err != nil {
		return fmt.Errorf("read its migrations: %w", err)
	}
	_, err = provider.Up(ctx)
	return err
}

// checkSchema makes sure that unqualified names mean this schema. They would mean public if something between us and
// the server dropped the connection's parameters, as a pooler can be told to do.
func checkSchema(ctx context.Context, db *sql.DB, schema string) error {
	var current sql.NullString
	if err := db.QueryRowContext(ctx, "SELECT current_schema()").Scan(&current); err != nil {
		return err
	}
	if current.String != schema {
		return errors.New("its schema is not there, or the search path did not reach the server")
	}
	return nil
}

// lockID makes a number of the schema's name. Advisory locks belong to a database, so equal names in two databases do
// not meet; unequal names with equal numbers would only wait for each other.
func lockID(schema string) int64 {
	h := fnv.New64a()
	h.Write([]byte("cost-sources migrations of " + schema))
	return int64(h.Sum64())
}
