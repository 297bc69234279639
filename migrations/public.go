package migrations

import (
	"context"
	"database/sql"
	"fmt"
)

// Public brings the schemas public and sources of the database to the newest version. A table of Koku's that is
// already there is left exactly as it is; one that is not as the functions need it is a *MisfitError, before anything is
// changed. Run it as often as you like, also several at once. databaseURL has to lead to PostgreSQL itself and not to
// a pooler, for a lock of the session is taken.
func Public(ctx context.Context, databaseURL string) error {
	if err := CheckShared(ctx, databaseURL, ""); err != nil {
		return err
	}
	db, err := open(databaseURL, "public", "")
	if err != nil {
		return err
	}
	defer db.Close()
	if err := createRegistrySchema(ctx, db); err != nil {
		return fmt.Errorf("create schema sources: %w", err)
	}
	if err := up(ctx, db, "public", publicVersions, publicFiles()); err != nil {
		return fmt.Errorf("migrate public: %w", err)
	}
	return nil
}

// createRegistrySchema is no migration because the record of the migrations is kept in that schema. The lock is there
// because of two runs at once: IF NOT EXISTS looks first and creates then, and one of them would fail.
func createRegistrySchema(ctx context.Context, db *sql.DB) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }() // has no effect after the commit
	if _, err := tx.ExecContext(ctx, "SELECT pg_advisory_xact_lock($1)", lockID("sources")); err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, "CREATE SCHEMA IF NOT EXISTS sources"); err != nil {
		return err
	}
	return tx.Commit()
}
