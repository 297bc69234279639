package migrations

import (
	"context"
	"fmt"
	"io/fs"

	"github.com/jackc/pgx/v5"
)

// A State is which versions a database has, and which are the newest. 0 is the version before the first file.
type State struct {
	Public, PublicNewest int64
	TenantNewest         int64
	Tenants              map[int64]int // how many tenants of ours are at each version
}

// Behind counts the tenants that have a migration to run.
func (s State) Behind() int {
	behind := 0
	for version, tenants := range s.Tenants {
		if version < s.TenantNewest {
			behind += tenants
		}
	}
	return behind
}

// Status looks up how far the database is and changes nothing. A database that was never migrated is no error.
func Status(ctx context.Context, databaseURL string) (State, error) {
	return status(ctx, databaseURL, publicFiles(), tenantFiles())
}

func status(ctx context.Context, databaseURL string, public, tenant fs.FS) (State, error) {
	conn, err := pgx.Connect(ctx, databaseURL)
	if err != nil {
		return State{}, fmt.Errorf("look up versions: %w", err)
	}
	defer conn.Close(context.WithoutCancel(ctx))

	var s State
	if s.PublicNewest, err = newest(public); err != nil {
		return State{}, err
	}
	if s.TenantNewest, err = newest(tenant); err != nil {
		return State{}, err
	}
	if s.Public, err = publicVersion(ctx, conn); err != nil {
		return State{}, err
	}
	all, err := tenants(ctx, conn)
	if err == nil {
		err = withVersions(ctx, databaseURL, all)
	}
	s.Tenants = make(map[int64]int)
	for _, t := range all {
		s.Tenants[t.At]++
	}
	return s, err
}

func publicVersion(ctx context.Context, conn *pgx.Conn) (int64, error) {
	var migrated bool
	err := conn.QueryRow(ctx, "SELECT to_regclass($1) IS NOT NULL", publicVersions).Scan(&migrated)
	if err != nil || !migrated {
		return 0, wrap("look for "+publicVersions, err)
	}
	return version(ctx, conn, publicVersions)
}

func version(ctx context.Context, conn *pgx.Conn, table string) (v int64, err error) {
	// A statement for each tenant: preparing them would fill the connection's cache and win nothing.
	err = conn.QueryRow(ctx, "SELECT coalesce(max(version_id), 0) FROM "+table+" WHERE is_applied",
		pgx.QueryExecModeExec).Scan(&v)
	return v, wrap("read version of "+table, err)
}
