package store

import (
	"context"
	"maps"
	"slices"

	"github.com/jackc/pgx/v5"
)

// A column may refer to a provider or to a row that does.
type column struct {
	Schema, Table, Column string
}

func (c column) table() string { return pgx.Identifier{c.Schema, c.Table}.Sanitize() }
func (c column) name() string  { return pgx.Identifier{c.Column}.Sanitize() }

// A foreignKey leads from a column to another.
type foreignKey struct{ From, To column }

// A leaf holds rows of a table: the table itself, or one of its partitions.
type leaf struct {
	Table   string   // its name, in SQL
	File    uint32   // the number of its file, another one after a rewrite
	Indexed []string // the columns that an index of all its rows begins with
}

// unlinked are the columns that refer to a provider without a foreign key: patterns of the names of
// tables by the name of the column. The audit of cost models and the topology of clouds are not among
// them: those rows are records, which outlive what they tell of.
var unlinked = map[string]string{
	"provider_id":   `^reporting_tenant_api_provider$`, // Koku's has a foreign key, ours has none
	"provider_uuid": `^(delayed_celery_tasks|cost_model_map)$`,
	"source_uuid": `^reporting_(ocpusagelineitem_daily_summary(_staging)?|(aws|azure|gcp)costentrylineitem_daily_summary` +
		`|awscostentrylineitem_summary_by_ec2_compute_p|ocp(aws|azure|gcp)costlineitem_(project_)?daily_summary_p)$`,
	"source": `^(openshift_(pod_usage|storage_usage|node_labels|namespace_labels|vm_usage|gpu_usage)_line_items(_daily)?` +
		`|reporting_ocpusagelineitem_daily_summary_staging)$`,
}

// tablesOf names as t the tables, partitioned ones and partitions of public and of the schema $1. They are found by
// what depends on a schema, which has an index: the catalogue of ten thousand tenants has nearly a million relations.
const tablesOf = `
	t AS MATERIALIZED (
		SELECT c.oid, n.nspname, c.relname, c.relispartition
		FROM pg_namespace n
		JOIN pg_depend d ON d.refclassid = 'pg_namespace'::regclass AND d.refobjid = n.oid AND d.classid = 'pg_class'::regclass
		JOIN pg_class c ON c.oid = d.objid AND c.relkind IN ('r', 'p')
		WHERE n.nspname IN ('public', $1)
	)`

// foreignKeys reads the keys of one column that lead from public or schema; the copies on partitions are
// left out.
func (s *Store) foreignKeys(ctx context.Context, schema string) ([]foreignKey, error) {
	return all(ctx, s, func(row pgx.CollectableRow) (k foreignKey, err error) {
		return k, row.Scan(&k.From.Schema, &k.From.Table, &k.From.Column, &k.To.Schema, &k.To.Table, &k.To.Column)
	}, `
		WITH`+tablesOf+`
		SELECT t.nspname, t.relname, a.attname, fn.nspname, f.relname, fa.attname
		FROM t
		JOIN pg_constraint k ON k.conrelid = t.oid AND k.contype = 'f' AND k.conparentid = 0 AND cardinality(k.conkey) = 1
		JOIN pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = k.conkey[1]
		JOIN pg_class f ON f.oid = k.confrelid JOIN pg_namespace fn ON fn.oid = f.relnamespace
		JOIN pg_attribute fa ON fa.attrelid = k.confrelid AND fa.attnum = k.confkey[1]
		ORDER BY 1, 2, 3`, schema)
}

// unlinkedColumns finds what unlinked describes.
func (s *Store) unlinkedColumns(ctx context.Context, schema string) ([]column, error) {
	names := slices.Sorted(maps.Keys(unlinked))
	patterns := make([]string, len(names))
	for i, name := range names {
		patterns[i] = unlinked[name]
	}
	return all(ctx, s, pgx.RowToStructByPos[column], `
		WITH`+tablesOf+`
		SELECT t.nspname, t.relname, a.attname
		FROM t
		JOIN unnest($2::text[], $3::text[]) AS u (name, pattern) ON t.relname ~ u.pattern
		JOIN pg_attribute a ON a.attrelid = t.oid AND a.attname = u.name
		WHERE NOT t.relispartition
		ORDER BY 1, 2, 3`, schema, names, patterns)
}

// leaves maps each table to what holds its rows. No function of PostgreSQL's is asked for the partitions, as that would
// lock them all.
func (s *Store) leaves(ctx context.Context, schema string) (map[string][]leaf, error) {
	type row struct {
		RootSchema, Root, Schema, Table string
		File                            uint32
		Indexed                         []string
	}
	rows, err := all(ctx, s, pgx.RowToStructByPos[row], `
		WITH RECURSIVE`+tablesOf+`, tree AS (
			SELECT oid AS root, oid FROM t
			UNION ALL
			SELECT tree.root, i.inhrelid
			FROM tree
			JOIN pg_inherits i ON i.inhparent = tree.oid
			JOIN pg_class c ON c.oid = i.inhrelid AND c.relispartition
		)
		SELECT t.nspname, t.relname, n.nspname, l.relname, l.relfilenode, ARRAY (
			SELECT a.attname::text FROM pg_index i
			JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0]
			WHERE i.indrelid = l.oid AND i.indisvalid AND i.indpred IS NULL
		)
		FROM tree
		JOIN t ON t.oid = tree.root
		JOIN pg_class l ON l.oid = tree.oid AND l.relkind = 'r' JOIN pg_namespace n ON n.oid = l.relnamespace
		ORDER BY 1, 2, 3, 4`, schema)
	leaves := map[string][]leaf{}
	for _, r := range rows {
		root := column{Schema: r.RootSchema, Table: r.Root}.table()
		leaves[root] = append(leaves[root],
			leaf{Table: column{Schema: r.Schema, Table: r.Table}.table(), File: r.File, Indexed: r.Indexed})
	}
	return leaves, err
}
