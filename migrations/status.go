package migrations

import (
	"context"
	"fmt"
	"io/fs"
	"slices"
	"strings"

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
	s.Tenants, err = countTenants(ctx, conn)
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

func countTenants(ctx context.Context, conn *pgx.Conn) (map[int64]int, error) {
	schemas, err := tenants(ctx, conn)
	if err != nil {
		return nil, err
	}
	versions, err := tenantVersionsOf(ctx, conn, schemas)
	counts := make(map[int64]int)
	for _, v := range versions {
		counts[v]++
	}
	return counts, err
}

// versionsAtOnce is how many tenants one statement reads the versions of. Each takes two locks until it ends, of which a
// server may have only some thousands.
const versionsAtOnce = 100

// tenantVersionsOf reads the version of each schema, which all have to be tenants of ours.
func tenantVersionsOf(ctx context.Context, conn *pgx.Conn, schemas []string) (map[string]int64, error) {
	versions := make(map[string]int64, len(schemas))
	for some := range slices.Chunk(schemas, versionsAtOnce) {
		reads := make([]string, len(some))
		for i, schema := range some {
			reads[i] = fmt.Sprintf("SELECT %d, coalesce(max(version_id), 0) FROM %s WHERE is_applied",
				i, pgx.Identifier{schema, tenantVersions}.Sanitize())
		}
		// Preparing these would fill the connection's cache and win nothing.
		rows, _ := conn.Query(ctx, strings.Join(reads, " UNION ALL "), pgx.QueryExecModeExec) // its error comes out of ForEachRow
		var i int
		var v int64
		_, err := pgx.ForEachRow(rows, []any{&i, &v}, func() error {
			versions[some[i]] = v
			return nil
		})
		if err != nil {
			return nil, fmt.Errorf("read versions of tenants %s to %s: %w", some[0], some[len(some)-1], err)
		}
	}
	return versions, nil
}

func version(ctx context.Context, conn *pgx.Conn, table string) (v int64, err error) {
	err = conn.QueryRow(ctx, "SELECT coalesce(max(version_id), 0) FROM "+table+" WHERE is_applied").Scan(&v)
	return v, wrap("read version of "+table, err)
}
