// Package store holds the SQL: the registry, the outbox, and Koku's tables as far as they are ours to
// write. Every statement on tenant data names the organization. Only transaction-level locks and settings
// are used, so that all of it works through PgBouncer in transaction mode.
package store

import (
	"cmp"
	"context"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// connectWithin bounds the making of a connection.
const connectWithin = 5 * time.Second

// A Store is a pool of connections or, inside InTx, a transaction.
type Store struct {
	db interface {
		Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error)
		Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
		QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
		Begin(ctx context.Context) (pgx.Tx, error)
		SendBatch(ctx context.Context, b *pgx.Batch) pgx.BatchResults
	}
	pool  *pgxpool.Pool // nil in a transaction and in OnOne
	orgID *string       // the one organization that it is for, if it is
}

// Open makes a pool, and the function that closes it. It connects when it is first used.
func Open(cfg Config) (*Store, func(), error) {
	pool, err := OpenPool(cfg)
	if err != nil {
		return nil, nil, err
	}
	return &Store{db: pool, pool: pool}, pool.Close, nil
}

// OpenPool is Open for a database of somebody else's, whose SQL is not in this package.
func OpenPool(cfg Config) (*pgxpool.Pool, error) {
	url, err := cfg.URL()
	if err != nil {
		return nil, err
	}
	pcfg, err := pgxpool.ParseConfig(url)
	if err != nil {
		return nil, err
	}
	// Every instance that the autoscaler adds opens a pool of its own, so a small pool keeps a burst
	// below the server's max_connections.
	pcfg.MaxConns = cfg.MaxConns
	pcfg.MaxConnIdleTime = time.Minute
	// A server's process remembers every table that it has seen, some 5 kB for each tenant written to. Where there are
	// thousands, it is not to do so for an hour, which is pgx's default.
	pcfg.MaxConnLifetime = 10 * time.Minute
	pcfg.MaxConnLifetimeJitter = time.Minute
	pcfg.ConnConfig.ConnectTimeout = connectWithin
	if cfg.Role != "" {
		pcfg.ConnConfig.RuntimeParams["role"] = cfg.Role
	}
	m := &mode{cfg: cfg}
	pcfg.ConnConfig.DefaultQueryExecMode = unprepared
	pcfg.BeforeConnect, pcfg.AfterConnect, pcfg.PrepareConn = m.choose, m.check, m.fits
	pool, err := pgxpool.NewWithConfig(context.Background(), pcfg)
	if err != nil {
		return nil, err
	}
	observe(pool, cmp.Or(cfg.Pool, "database"))
	return pool, nil
}

// InTx runs fn in a transaction, which is committed unless fn returns an error.
func (s *Store) InTx(ctx context.Context, fn func(tx *Store) error) error {
	err := pgx.BeginFunc(ctx, s.db, func(tx pgx.Tx) error { return fn(&Store{db: tx}) })
	return domainError(err, nil)
}

// OnOne runs fn on one connection, without a transaction: where all are in use, what takes several statements
// waits once for its turn, and not before each of them.
func (s *Store) OnOne(ctx context.Context, fn func(db *Store) error) error {
	if s.pool == nil {
		return fn(s) // a transaction has its connection
	}
	conn, err := s.pool.Acquire(ctx)
	if err != nil {
		return domainError(err, nil)
	}
	defer conn.Release()
	if s.orgID != nil {
		return fn(&Store{db: restricted{conn, *s.orgID}})
	}
	return fn(&Store{db: conn})
}

// exec runs a statement of which nothing but its success matters.
func (s *Store) exec(ctx context.Context, sql string, args ...any) error {
	_, err := s.db.Exec(ctx, sql, args...)
	return domainError(err, nil)
}

// one collects the one row that a query has; none is the error missing.
func one[T any](ctx context.Context, s *Store, scan pgx.RowToFunc[T], missing error, sql string, args ...any) (T, error) {
	rows, _ := s.db.Query(ctx, sql, args...) // its error comes out of Collect
	row, err := pgx.CollectExactlyOneRow(rows, scan)
	return row, domainError(err, missing)
}

// all collects the rows of a query.
func all[T any](ctx context.Context, s *Store, scan pgx.RowToFunc[T], sql string, args ...any) ([]T, error) {
	rows, _ := s.db.Query(ctx, sql, args...) // its error comes out of Collect
	found, err := pgx.CollectRows(rows, scan)
	return found, domainError(err, nil)
}

// value collects the one value of a query that always has one.
func value[T any](ctx context.Context, s *Store, sql string, args ...any) (T, error) {
	return one(ctx, s, pgx.RowTo[T], nil, sql, args...)
}

// lock takes a lock on a name until the transaction ends. It is what keeps makers of the same thing
// apart where no row is there yet to be locked.
func (s *Store) lock(ctx context.Context, name string) error {
	return s.exec(ctx, `SELECT pg_advisory_xact_lock(hashtextextended($1, 0))`, name)
}
