package migrations_test

import (
	"io/fs"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/jackc/pgx/v5"

	"github.com/insights-onprem/cost-sources/migrations"
	"github.com/insights-onprem/cost-sources/shared/store/storetest"
)

// lines returns the only column of a query.
func lines(t *testing.T, address, sql string, args ...any) []string {
	t.Helper()
	rows, _ := storetest.Connect(t, address).Query(t.Context(), sql, args...)
	values, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	return values
}

// catalogue describes the tables of a schema, so that two descriptions can be compared: their columns in order, their
// constraints and their indexes. Where the schema names itself there is a @.
func catalogue(t *testing.T, address, schema string) []string {
	t.Helper()
	described := lines(t, address, `
		WITH tables AS (
			SELECT c.oid, c.relname, c.relkind
			FROM pg_class c
			WHERE c.relnamespace = $1::text::regnamespace AND c.relkind IN ('r', 'p', 'v')
		)
		SELECT format('%s %s', relname, relkind) FROM tables
		UNION ALL
		SELECT format('%s column %s %s %s null=%s default=%s identity=%s', relname, lpad(attnum::text, 3, '0'), attname,
		              format_type(atttypid, atttypmod), NOT attnotnull, pg_get_expr(adbin, adrelid), attidentity)
		FROM tables
		JOIN pg_attribute ON attrelid = tables.oid AND attnum > 0 AND NOT attisdropped
		LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
		UNION ALL
		SELECT format('%s constraint %s %s', relname, conname, pg_get_constraintdef(pg_constraint.oid))
		FROM tables JOIN pg_constraint ON conrelid = tables.oid
		UNION ALL
		SELECT format('%s index %s', relname, pg_get_indexdef(indexrelid)) FROM tables JOIN pg_index ON indrelid = tables.oid
		ORDER BY 1`,
		pgx.Identifier{schema}.Sanitize())
	for i, line := range described {
		line = strings.ReplaceAll(line, pgx.Identifier{schema}.Sanitize()+".", "@.")
		described[i] = strings.ReplaceAll(line, schema+".", "@.")
	}
	return described
}

// newTenants makes tenants and registers them.
func newTenants(t *testing.T, address string, schemas ...string) {
	t.Helper()
	conn := storetest.Connect(t, address)
	for _, schema := range schemas {
		err := pgx.BeginFunc(t.Context(), conn, func(tx pgx.Tx) error {
			if _, err := tx.Exec(t.Context(), "INSERT INTO public.api_tenant (schema_name) VALUES ($1)", schema); err != nil {
				return err
			}
			return migrations.NewTenant(t.Context(), tx, schema)
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

// withNext is the tenants' files and one more.
func withNext(t *testing.T, sql string) fs.FS {
	t.Helper()
	files := fstest.MapFS{"999_next.sql": {Data: []byte("-- +goose Up\n" + sql)}}
	names, err := fs.Glob(migrations.TenantFiles(), "*.sql")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		body, err := fs.ReadFile(migrations.TenantFiles(), name)
		if err != nil {
			t.Fatal(err)
		}
		files[name] = &fstest.MapFile{Data: body}
	}
	return files
}
