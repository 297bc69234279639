// Package store holds the SQL: the registry, the outbox, and Koku's tables as far as they are ours to
// write. Every statement on tenant data names the organization. Only transaction-level locks and settings
// are used, so that all of it works through PgBouncer in transaction mode.
package store

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/insights-onprem/cost-sources/shared/sources"
)

// connectWithin bounds the making of a connection.
const connectWithin = 5 * time.Second

// Config says where PostgreSQL is.
type Config struct {
	DatabaseURL string `envconfig:"DATABASE_URL"`
	// DatabaseURLFile names a file that holds the URL. It is read for each new connection, so that
	// passwords can be rotated.
	DatabaseURLFile string `envconfig:"DATABASE_URL_FILE"`
	MaxConns        int32  `envconfig:"DATABASE_MAX_CONNS" default:"4"`
}

// Validate reports the first variable that cannot be.
func (c Config) Validate() error {
	if (c.DatabaseURL == "") == (c.DatabaseURLFile == "") {
		return errors.New("DATABASE_URL: required, or DATABASE_URL_FILE instead of it")
	}
	if c.MaxConns < 1 {
		return errors.New("DATABASE_MAX_CONNS: at least 1")
	}
	return nil
}

// A Store is a pool of connections or, inside InTx, a transaction.
type Store struct {
	db interface {
		Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error)
		Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
		QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
		Begin(ctx context.Context) (pgx.Tx, error)
		SendBatch(ctx context.Context, b *pgx.Batch) pgx.BatchResults
	}
}

// Open makes a pool, and the function that closes it. It connects when it is first used.
func Open(cfg Config) (*Store, func(), error) {
	pool, err := OpenPool(cfg)
	if err != nil {
		return nil, nil, err
	}
	return &Store{db: pool}, pool.Close, nil
}

// OpenPool is Open for a database of somebody else's, whose SQL is not in this package.
func OpenPool(cfg Config) (*pgxpool.Pool, error) {
	url, err := cfg.url()
	if err != nil {
		return nil, err
	}
	pcfg, err := pgxpool.ParseConfig(url)
	if err != nil {
		return nil, fmt.Errorf("DATABASE_URL: %w", err) // pgx hides the password
	}
	// Every instance that the autoscaler adds opens a pool of its own, so a small pool keeps a burst
	// below the server's max_connections.
	pcfg.MaxConns = cfg.MaxConns
	pcfg.MaxConnIdleTime = time.Minute
	pcfg.ConnConfig.ConnectTimeout = connectWithin
	// One round trip, and no named statement that a pooler would have to know of.
	pcfg.ConnConfig.DefaultQueryExecMode = pgx.QueryExecModeExec
	pcfg.AfterConnect = func(_ context.Context, conn *pgx.Conn) error {
		conn.TypeMap().RegisterDefaultPgType(sources.Object{}, "json")
		return nil
	}
	if cfg.DatabaseURLFile != "" {
		pcfg.BeforeConnect = cfg.readAgain
	}
	return pgxpool.NewWithConfig(context.Background(), pcfg)
}

func (c Config) url() (string, error) {
	if c.DatabaseURLFile == "" {
		return c.DatabaseURL, nil
	}
	text, err := os.ReadFile(c.DatabaseURLFile)
	if err != nil {
		return "", fmt.Errorf("DATABASE_URL_FILE: %w", err)
	}
	return strings.TrimSpace(string(text)), nil
}

func (c Config) readAgain(_ context.Context, to *pgx.ConnConfig) error {
	url, err := c.url()
	if err != nil {
		return err
	}
	fresh, err := pgx.ParseConfig(url)
	if err != nil {
		return fmt.Errorf("DATABASE_URL_FILE: %w", err)
	}
	to.Host, to.Port, to.Database = fresh.Host, fresh.Port, fresh.Database
	to.User, to.Password, to.TLSConfig, to.Fallbacks = fresh.User, fresh.Password, fresh.TLSConfig, fresh.Fallbacks
	return nil
}

// InTx runs fn in a transaction, which is committed unless fn returns an error.
func (s *Store) InTx(ctx context.Context, fn func(tx *Store) error) error {
	err := pgx.BeginFunc(ctx, s.db, func(tx pgx.Tx) error { return fn(&Store{db: tx}) })
	return domainError(err, nil)
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
