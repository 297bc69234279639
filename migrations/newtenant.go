package migrations

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"fmt"
	"io/fs"

	"github.com/jackc/pgx/v5"
	"github.com/pressly/goose/v3/database"
)

// NewTenant makes the schema of a tenant, at the newest version, in the caller's transaction: it is there whole when
// that commits and not at all otherwise. The schema must not exist yet; that and every other error of PostgreSQL's is
// wrapped, and leaves the transaction good for nothing but a rollback. The search path is afterwards what it was.
//
// Nothing of public is locked. Whoever may make the same tenant at the same time has to be kept away by the caller, who
// also sets the timeouts.
//
// Nothing here outlives the transaction or needs a session, so it works through PgBouncer in transaction mode.
func NewTenant(ctx context.Context, tx pgx.Tx, schema string) error {
	return newTenant(ctx, tx, schema, tenantFiles())
}

func newTenant(ctx context.Context, tx pgx.Tx, schema string, fsys fs.FS) error {
	files, err := load(fsys)
	if err != nil {
		return err
	}
	before, err := searchPath(ctx, tx)
	if err != nil {
		return fmt.Errorf("read search path: %w", err)
	}
	name := pgx.Identifier{schema}.Sanitize()
	if _, err := tx.Exec(ctx, "CREATE SCHEMA "+name); err != nil {
		return fmt.Errorf("create schema %q: %w", schema, err)
	}
	if err := setSearchPath(ctx, tx, name); err != nil {
		return fmt.Errorf("set search path to %q: %w", schema, err)
	}
	if err := fill(ctx, tx, files); err != nil {
		return fmt.Errorf("fill schema %q: %w", schema, err)
	}
	if err := setSearchPath(ctx, tx, before); err != nil {
		return fmt.Errorf("set search path back to %q: %w", before, err)
	}
	return nil
}

// fill runs the files and records them as goose would have.
func fill(ctx context.Context, tx pgx.Tx, files []file) error {
	if err := record(ctx, tx, files); err != nil {
		return err
	}
	for _, f := range files {
		if err := f.runsAsItStands(); err != nil {
			return err
		}
		// Without arguments this is the simple protocol, which takes all statements of the file at once.
		if _, err := tx.Exec(ctx, f.sql); err != nil {
			return fmt.Errorf("migration %s: %w", f.name, err)
		}
	}
	return nil
}

// record leaves the writing to goose, so that what a new tenant says of itself is what goose will look for.
func record(ctx context.Context, tx pgx.Tx, files []file) error {
	store, err := database.NewStore(database.DialectPostgres, tenantVersions)
	if err != nil {
		return err
	}
	db := execer{tx: tx}
	if err := store.CreateVersionTable(ctx, db); err != nil {
		return err
	}
	for _, f := range append([]file{{version: 0}}, files...) { // goose begins with a version 0 of its own
		if err := store.Insert(ctx, db, database.InsertRequest{Version: f.version}); err != nil {
			return err
		}
	}
	return nil
}

// An execer gives goose a transaction of pgx, for writing only: the embedded interface is nil, since rows of
// database/sql cannot be made from pgx's, and what record calls does not ask for any.
type execer struct {
	database.DBTxConn
	tx pgx.Tx
}

// ExecContext runs the statement without a prepared one, whatever the connection's default is.
func (e execer) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	_, err := e.tx.Exec(ctx, query, append([]any{pgx.QueryExecModeExec}, args...)...)
	return driver.ResultNoRows, err
}

func searchPath(ctx context.Context, tx pgx.Tx) (path string, err error) {
	err = tx.QueryRow(ctx, "SELECT current_setting('search_path')", pgx.QueryExecModeExec).Scan(&path)
	return path, err
}

// setSearchPath is SET LOCAL, which takes no parameters.
func setSearchPath(ctx context.Context, tx pgx.Tx, path string) error {
	_, err := tx.Exec(ctx, "SELECT set_config('search_path', $1, true)", pgx.QueryExecModeExec, path)
	return err
}
