package koku

import (
	"regexp"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/insights-onprem/cost-sources/shared/store/storetest"
)

// Kept are the tables of a tenant whose rows outlive the provider that they name: records, and what belongs to a
// cost model.
var Kept = []string{"cost_model", "cost_model_audit", "cost_model_rate", "reporting_gcp_topology"}

// Mentions counts the rows of public and of a tenant's schema in which a UUID stands anywhere, by table; tables
// without any are left out.
func Mentions(t testing.TB, address, schema, uuid string) map[string]int {
	t.Helper()
	conn := storetest.Connect(t, address)
	rows, _ := conn.Query(t.Context(), `
		SELECT n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
		WHERE n.nspname IN ('public', $1) AND c.relkind = 'r'`, schema) // its error comes out of Collect
	type table struct{ Schema, Name string }
	tables, err := pgx.CollectRows(rows, pgx.RowToStructByPos[table])
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]int{}
	for _, table := range tables {
		var n int
		name := pgx.Identifier{table.Schema, table.Name}.Sanitize()
		if err := conn.QueryRow(t.Context(), `SELECT count(*) FROM `+name+` r WHERE r::text LIKE '%' || $1 || '%'`, uuid).Scan(&n); err != nil {
			t.Fatal(err)
		}
		if n > 0 {
			found[table.Name] = n
		}
	}
	return found
}

// Catalogue describes all that is in a schema, one line for each thing: relations and functions with their owners and
// grants, columns also where they were dropped, constraints, indexes, triggers, policies. Two descriptions differ where
// anything about Koku's tables was changed. Grants to our own roles, cost_sources_*, are left out.
func Catalogue(t testing.TB, address, schema string) []string {
	t.Helper()
	rows, _ := storetest.Connect(t, address).Query(t.Context(), expand(describe), schema) // its error comes out of Collect
	lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatalf("read the catalogue of %s: %v", schema, err)
	}
	if len(lines) < 100 {
		t.Fatalf("the catalogue of %s has %d lines only:\n%s", schema, len(lines), strings.Join(lines, "\n"))
	}
	return lines
}

// describe is a query with grants(list, default) in it, which expand makes SQL of.
const describe = `
	WITH relation AS (
		SELECT c.*, c.oid::regclass::text AS named FROM pg_class c
		WHERE c.relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = $1)
	)
	SELECT format('schema %s owner %s acl %s', nspname, nspowner::regrole, grants(nspacl, 'n', nspowner))
	FROM pg_namespace WHERE nspname = $1
	UNION ALL
	SELECT format('%s kind %s owner %s acl %s options %s bound %s persistence %s row security %s/%s rules %s', named, relkind,
		relowner::regrole, grants(relacl, CASE relkind WHEN 'S' THEN 's' ELSE 'r' END, relowner), reloptions,
		pg_get_expr(relpartbound, oid), relpersistence, relrowsecurity, relforcerowsecurity, relhasrules)
	FROM relation
	UNION ALL
	SELECT format('%s column %s %s %s null=%s default=%s identity=%s dropped=%s acl=%s', named, attnum, attname,
		format_type(atttypid, atttypmod), NOT attnotnull, pg_get_expr(adbin, adrelid), attidentity, attisdropped,
		grants(attacl, 'c', relowner))
	FROM relation JOIN pg_attribute ON attrelid = relation.oid AND attnum > 0 AND relkind NOT IN ('i', 'I')
	LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
	UNION ALL
	SELECT format('%s constraint %s %s', named, conname, pg_get_constraintdef(k.oid))
	FROM relation JOIN pg_constraint k ON conrelid = relation.oid
	UNION ALL
	SELECT format('%s index %s', named, pg_get_indexdef(indexrelid)) FROM relation JOIN pg_index ON indrelid = relation.oid
	UNION ALL
	SELECT format('%s trigger %s', named, pg_get_triggerdef(t.oid))
	FROM relation JOIN pg_trigger t ON tgrelid = relation.oid WHERE NOT tgisinternal
	UNION ALL
	SELECT format('%s policy %s', named, polname) FROM relation JOIN pg_policy ON polrelid = relation.oid
	UNION ALL
	SELECT format('function owner %s acl %s %s', proowner::regrole, grants(proacl, 'f', proowner), pg_get_functiondef(p.oid))
	FROM pg_proc p WHERE pronamespace = (SELECT oid FROM pg_namespace WHERE nspname = $1) AND prokind = 'f'
	ORDER BY 1`

var grants = regexp.MustCompile(`grants\((\w+), (.+), (\w+)\)`)

// expand lists grants as they are or, where none was ever made, as PostgreSQL has them by itself. The owner's own come
// to be listed with the first grant to anybody, so they are left out like those to roles of ours.
func expand(sql string) string {
	return grants.ReplaceAllString(sql, `(
		SELECT array_agg(format('%s=%s', coalesce(nullif(g.grantee, 0)::regrole::text, 'all'), g.privilege_type)
			ORDER BY g.grantee, g.privilege_type)
		FROM aclexplode(coalesce($1, acldefault(($2)::"char", $3))) g
		WHERE g.grantee <> $3 AND coalesce(nullif(g.grantee, 0)::regrole::text, '') NOT LIKE 'cost_sources_%')`)
}
