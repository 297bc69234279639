package store

import (
	"context"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/insights-onprem/cost-sources/shared/sources"
)

// batchRows is how many rows one transaction of a removal deletes at most.
const batchRows = 5000

// DetachProvider takes the provider of src out of use at once: reports find it no more, and another
// source may have its cluster. It reports whether there is one. The row of src has to be locked.
func (s *Store) DetachProvider(ctx context.Context, src sources.Source) (exists bool, err error) {
	if err := s.boundWaiting(ctx); err != nil {
		return false, err
	}
	authentication, exists, err := s.lockProvider(ctx, src)
	if err != nil || !exists {
		return exists, err
	}
	batch := &pgx.Batch{}
	batch.Queue(`
		UPDATE public.api_sources SET provider_id = NULL, koku_uuid = NULL
		WHERE org_id = $1 AND source_id = $2 AND source_uuid = $3`, src.OrgID, src.ID, src.UUID)
	batch.Queue(`
		UPDATE public.api_provider p SET authentication_id = NULL, active = false
		FROM public.api_customer c WHERE c.id = p.customer_id AND c.org_id = $1 AND p.uuid = $2`, src.OrgID, src.UUID)
	batch.Queue(`
		UPDATE sources.source SET provider_detached_at = coalesce(provider_detached_at, now())
		WHERE org_id = $1 AND id = $2`, src.OrgID, src.ID)
	if err := domainError(s.db.SendBatch(ctx, batch).Close(), nil); err != nil || authentication == nil {
		return true, err
	}
	return true, s.dropAuthentication(ctx, *authentication)
}

// RemoveReferences deletes what refers to the provider of src, in public and in the organization's own
// schema, children first and in bounded batches, each committed: what was interrupted is gone on with. It ends
// without an error where somebody else has finished the removal: from then on there may be a new provider,
// which has the same UUID.
func (s *Store) RemoveReferences(ctx context.Context, src sources.Source) error {
	schema, err := s.schemaFor(ctx, src.OrgID)
	if err != nil {
		return err
	}
	steps, err := s.removalSteps(ctx, src, schema)
	if err != nil {
		return err
	}
	for len(steps) > 0 {
		err := s.InTx(ctx, func(tx *Store) error {
			now, err := tx.LockRegistered(ctx, src.OrgID, sources.Ref{ID: src.ID})
			if err != nil || now.ProviderDetachedAt == nil {
				steps = nil
				return err
			}
			steps, err = tx.removeBatch(ctx, steps, schema)
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// A step is a statement that takes a number of rows at a time and is run until there are none.
type step string

// removeBatch takes steps until batchRows are reached, and returns those that are not done.
func (s *Store) removeBatch(ctx context.Context, steps []step, schema string) ([]step, error) {
	if err := s.boundWaiting(ctx); err != nil {
		return nil, err
	}
	// Koku's triggers use unqualified names.
	err := s.exec(ctx, `SET LOCAL search_path = `+pgx.Identifier{schema}.Sanitize()+`, public`)
	for left := int64(batchRows); err == nil && len(steps) > 0; {
		tag, execErr := s.db.Exec(ctx, string(steps[0]), left)
		if left, err = left-tag.RowsAffected(), domainError(execErr, nil); left <= 0 {
			break
		}
		steps = steps[1:]
	}
	return steps, err
}

// FinishRemoval removes the provider of src itself and records that it is gone. The row of src has to be
// locked. Where something refers to the provider again, the commit fails with an Unavailable error.
func (s *Store) FinishRemoval(ctx context.Context, src sources.Source) error {
	batch := &pgx.Batch{}
	batch.Queue(`
		DELETE FROM public.api_provider p USING public.api_customer c
		WHERE c.id = p.customer_id AND c.org_id = $1 AND p.uuid = $2`, src.OrgID, src.UUID)
	// A source that wants a provider again has not been seen to the end yet.
	batch.Queue(`
		UPDATE sources.source SET provider_detached_at = NULL, provider_removed_at = now(),
			observed_generation = CASE WHEN $3::boolean THEN observed_generation ELSE generation END
		WHERE org_id = $1 AND id = $2`, src.OrgID, src.ID, src.WantsProvider())
	batch.Queue(`UPDATE public.api_customer SET date_updated = now() WHERE org_id = $1`, src.OrgID)
	return domainError(s.db.SendBatch(ctx, batch).Close(), nil)
}

// A column may refer to a provider or to a row that does.
type column struct {
	Schema, Table, Column string
}

func (c column) table() string { return pgx.Identifier{c.Schema, c.Table}.Sanitize() }
func (c column) name() string  { return pgx.Identifier{c.Column}.Sanitize() }

// A foreignKey leads from a column to another.
type foreignKey struct{ From, To column }

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

// setNull reports the references that are cut and not followed: another provider's infrastructure, and
// an account's organizational unit. Their rows are somebody else's.
func setNull(c column) bool {
	return c.Schema == "public" && c.Table == "api_provider" || c.Column == "organizational_unit_id"
}

// removalSteps finds through the catalogue what refers to the provider of src.
func (s *Store) removalSteps(ctx context.Context, src sources.Source, schema string) ([]step, error) {
	keys, err := s.foreignKeys(ctx, schema)
	if err != nil {
		return nil, err
	}
	loose, err := s.unlinkedColumns(ctx, schema)
	if err != nil {
		return nil, err
	}
	leaves, err := s.leaves(ctx, schema)
	if err != nil {
		return nil, err
	}
	plan := removalPlan{keys: keys, leaves: leaves}
	uuid := "'" + src.UUID + "'" // of the form that ParseUUID returns
	for _, c := range loose {
		plan.remove(c, c.name()+"::text = "+uuid, nil)
	}
	provider := column{"public", "api_provider", "uuid"}
	plan.follow(provider, "uuid = "+uuid, []string{provider.table()})
	return plan.steps, nil
}

// foreignKeys reads the keys of one column that lead from public or schema; the copies on partitions are
// left out.
func (s *Store) foreignKeys(ctx context.Context, schema string) ([]foreignKey, error) {
	return all(ctx, s, func(row pgx.CollectableRow) (k foreignKey, err error) {
		return k, row.Scan(&k.From.Schema, &k.From.Table, &k.From.Column, &k.To.Schema, &k.To.Table, &k.To.Column)
	}, `
		SELECT n.nspname, c.relname, a.attname, fn.nspname, f.relname, fa.attname
		FROM pg_constraint k
		JOIN pg_class c ON c.oid = k.conrelid JOIN pg_namespace n ON n.oid = c.relnamespace
		JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = k.conkey[1]
		JOIN pg_class f ON f.oid = k.confrelid JOIN pg_namespace fn ON fn.oid = f.relnamespace
		JOIN pg_attribute fa ON fa.attrelid = f.oid AND fa.attnum = k.confkey[1]
		WHERE k.contype = 'f' AND k.conparentid = 0 AND cardinality(k.conkey) = 1
			AND k.connamespace IN (SELECT oid FROM pg_namespace WHERE nspname IN ('public', $1))
		ORDER BY 1, 2, 3`, schema)
}

func (s *Store) unlinkedColumns(ctx context.Context, schema string) ([]column, error) {
	var found []column
	for name, tables := range unlinked {
		columns, err := all(ctx, s, pgx.RowToStructByPos[column], `
			SELECT n.nspname, c.relname, a.attname
			FROM pg_class c
			JOIN pg_namespace n ON n.oid = c.relnamespace
			JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = $2
			WHERE n.nspname IN ('public', $1) AND c.relkind IN ('r', 'p') AND NOT c.relispartition
				AND c.relname ~ $3`, schema, name, tables)
		if err != nil {
			return nil, err
		}
		found = append(found, columns...)
	}
	return found, nil
}

// leaves maps each partitioned table to the partitions that hold its rows.
func (s *Store) leaves(ctx context.Context, schema string) (map[string][]string, error) {
	type partition struct{ Schema, Table, LeafSchema, Leaf string }
	rows, err := all(ctx, s, pgx.RowToStructByPos[partition], `
		SELECT n.nspname, c.relname, ln.nspname, l.relname
		FROM pg_class c
		JOIN pg_namespace n ON n.oid = c.relnamespace
		CROSS JOIN LATERAL pg_partition_tree(c.oid) t
		JOIN pg_class l ON l.oid = t.relid JOIN pg_namespace ln ON ln.oid = l.relnamespace
		WHERE n.nspname IN ('public', $1) AND c.relkind = 'p' AND NOT c.relispartition AND t.isleaf
		ORDER BY 1, 2, 3, 4`, schema)
	leaves := map[string][]string{}
	for _, p := range rows {
		table := column{Schema: p.Schema, Table: p.Table}.table()
		leaves[table] = append(leaves[table], column{Schema: p.LeafSchema, Table: p.Leaf}.table())
	}
	return leaves, err
}

// removalPlan collects steps, children before parents.
type removalPlan struct {
	keys   []foreignKey
	leaves map[string][]string
	steps  []step
}

// remove deletes the rows of c's table for which where holds, after all that refers to them. path are the
// tables on the way here: one that refers back to them ends there.
func (p *removalPlan) remove(c column, where string, path []string) {
	table := c.table()
	p.follow(c, where, append(slices.Clone(path), table))
	for _, leaf := range p.leavesOf(c) {
		p.steps = append(p.steps, step(fmt.Sprintf(
			`DELETE FROM %s WHERE ctid = ANY (ARRAY (SELECT ctid FROM %[1]s WHERE %s LIMIT $1))`, leaf, where)))
	}
}

// follow removes what refers to the rows of c's table for which where holds.
func (p *removalPlan) follow(c column, where string, path []string) {
	for _, key := range p.keys {
		if key.To.Schema != c.Schema || key.To.Table != c.Table {
			continue
		}
		refers := fmt.Sprintf("%s IN (SELECT %s FROM %s WHERE %s)", key.From.name(), key.To.name(), key.To.table(), where)
		switch {
		case setNull(key.From):
			p.steps = append(p.steps, step(fmt.Sprintf(
				`UPDATE %s SET %s = NULL WHERE ctid = ANY (ARRAY (SELECT ctid FROM %[1]s WHERE %[3]s LIMIT $1))`,
				key.From.table(), key.From.name(), refers)))
		case !slices.Contains(path, key.From.table()):
			p.remove(key.From, refers, path)
		}
	}
}

func (p *removalPlan) leavesOf(c column) []string {
	table := c.table()
	if leaves, ok := p.leaves[table]; ok {
		return leaves
	}
	return []string{table}
}
