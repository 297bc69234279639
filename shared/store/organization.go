package store

import (
	"cmp"
	"context"
	"encoding/hex"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// organizationSetting is what the policies of the registry's tables compare their rows with
// (migrations/public/007_organizations.sql). Where it is not set they show none.
const organizationSetting = "cost_sources.org_id"

// For is the store as one organization sees it: whatever a statement asks for, PostgreSQL shows it no row of the
// registry that is another organization's, and takes none. That holds for roles that the policies bind, which those
// of the two APIs are; every statement names the organization all the same.
//
// The setting lasts as long as the transaction, and what runs outside of one gets one for itself, sent with it in
// one go. So it costs no round trip, and works through a pooler.
func (s *Store) For(orgID string) *Store {
	if s.pool == nil {
		return s // a transaction sees what its store saw when it began
	}
	return &Store{pool: s.pool, orgID: &orgID, db: restricted{s.pool, orgID}}
}

// restricted runs everything in transactions with the setting of one organization.
type restricted struct {
	db interface {
		SendBatch(ctx context.Context, b *pgx.Batch) pgx.BatchResults
		BeginTx(ctx context.Context, opts pgx.TxOptions) (pgx.Tx, error)
	}
	orgID string
}

// Begin begins a transaction with the setting. Two statements in one message take no arguments, and hexadecimal
// digits need no quoting that could go wrong.
func (r restricted) Begin(ctx context.Context) (pgx.Tx, error) {
	return r.db.BeginTx(ctx, pgx.TxOptions{BeginQuery: `BEGIN; SELECT set_config('` + organizationSetting +
		`', convert_from(decode('` + hex.EncodeToString([]byte(r.orgID)) + `', 'hex'), 'UTF8'), true)`})
}

// SendBatch sends the batch behind the setting. Its results are those of the queries' own callbacks.
func (r restricted) SendBatch(ctx context.Context, b *pgx.Batch) pgx.BatchResults {
	behind := &pgx.Batch{}
	behind.Queue(`SELECT set_config($1, $2, true)`, organizationSetting, r.orgID)
	behind.QueuedQueries = append(behind.QueuedQueries, b.QueuedQueries...)
	return r.db.SendBatch(ctx, behind)
}

// alone sends one statement behind the setting; its result is the next to be read, also where that is an error.
func (r restricted) alone(ctx context.Context, sql string, args []any) pgx.BatchResults {
	batch := &pgx.Batch{}
	batch.Queue(sql, args...)
	results := r.SendBatch(ctx, batch)
	_, _ = results.Exec() // of the setting; where that failed, so does the statement
	return results
}

// Exec is that of a pool.
func (r restricted) Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error) {
	results := r.alone(ctx, sql, args)
	tag, err := results.Exec()
	return tag, cmp.Or(err, results.Close()) // which is where the transaction ends
}

// Query is that of a pool.
func (r restricted) Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error) {
	results := r.alone(ctx, sql, args)
	rows, err := results.Query()
	if err != nil {
		_ = results.Close() // says the same, and gives the connection back: of a failed query nobody closes the rows
	}
	return &restrictedRows{Rows: rows, results: results}, err
}

// QueryRow is that of a pool.
func (r restricted) QueryRow(ctx context.Context, sql string, args ...any) pgx.Row {
	rows, _ := r.Query(ctx, sql, args...) // its error is that of the rows
	return firstRow{rows}
}

// restrictedRows are rows that end their transaction when they are closed.
type restrictedRows struct {
	pgx.Rows
	results pgx.BatchResults
	ended   error // what became of the transaction
}

// Close ends the transaction too.
func (r *restrictedRows) Close() {
	r.Rows.Close()
	r.ended = r.results.Close()
}

// Err is the rows' error, or that of the transaction.
func (r *restrictedRows) Err() error { return cmp.Or(r.Rows.Err(), r.ended) }

// firstRow is the first of some rows.
type firstRow struct{ rows pgx.Rows }

// Scan reads the row, and closes the rows.
func (r firstRow) Scan(dest ...any) error {
	defer r.rows.Close()
	if !r.rows.Next() {
		return cmp.Or(r.rows.Err(), pgx.ErrNoRows)
	}
	if err := r.rows.Scan(dest...); err != nil {
		return err
	}
	r.rows.Close()
	return r.rows.Err()
}
