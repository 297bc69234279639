// Package rostest is a stand-in for the database of ROS: its tables, and rows in them.
package rostest

import (
	"context"
	_ "embed"
	"fmt"
	"strconv"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

//go:embed schema.sql
var schema string

// Load makes the tables in a database that has none of them, and does nothing where they are.
func Load(ctx context.Context, databaseURL string) error {
	conn, err := pgx.Connect(ctx, databaseURL)
	if err != nil {
		return fmt.Errorf("load the tables of ROS: %w", err)
	}
	defer conn.Close(context.WithoutCancel(ctx))
	if err := pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error { return load(ctx, tx) }); err != nil {
		return fmt.Errorf("load the tables of ROS: %w", err)
	}
	return nil
}

func load(ctx context.Context, tx pgx.Tx) error {
	if err := alone(ctx, tx); err != nil {
		return err
	}
	var there bool
	if err := tx.QueryRow(ctx, `SELECT to_regclass('schema_migrations') IS NOT NULL`).Scan(&there); err != nil || there {
		return err
	}
	_, err := tx.Exec(ctx, schema)
	return err
}

// alone keeps others from making tables until tx ends: IF NOT EXISTS is no protection against somebody who
// makes the same one right now.
func alone(ctx context.Context, tx pgx.Tx) error {
	_, err := tx.Exec(ctx, `SELECT pg_advisory_xact_lock(hashtextextended('tables of ROS', 0))`)
	return err
}

// Seed does what an upload of a cluster does: the cluster has reported now and has the given number of
// workloads, each with one row of metrics and of every kind of recommendation. Rows that are there stay, so
// that a second call with a greater number adds workloads. The organization has to be lower-case
// alphanumeric.
func Seed(ctx context.Context, ros *pgxpool.Pool, orgID string, sourceID int64, clusterUUID, alias string, workloads int) error {
	err := pgx.BeginFunc(ctx, ros, func(tx pgx.Tx) error {
		if err := alone(ctx, tx); err != nil {
			return err
		}
		cluster, err := putCluster(ctx, tx, orgID, sourceID, clusterUUID, alias)
		if err != nil {
			return err
		}
		prefix := fmt.Sprintf("%s|%d|%s|shop|deployment|app-", orgID, sourceID, clusterUUID)
		_, err = tx.Exec(ctx, `
			INSERT INTO workloads (org_id, cluster_id, experiment_name, namespace, workload_type, workload_name, containers, metrics_upload_at)
			SELECT $1, $2, $3 || n, 'shop', 'deployment', 'app-' || n, '{main}', now() FROM generate_series(1, $4::int) n
			ON CONFLICT DO NOTHING`, orgID, cluster, prefix, workloads)
		if err != nil {
			return err
		}
		return putRows(ctx, tx, cluster)
	})
	if err != nil {
		return fmt.Errorf("seed cluster %s of source %d: %w", clusterUUID, sourceID, err)
	}
	return nil
}

func putCluster(ctx context.Context, tx pgx.Tx, orgID string, sourceID int64, uuid, alias string) (id int64, err error) {
	if _, err := tx.Exec(ctx, `INSERT INTO rh_accounts (org_id) VALUES ($1) ON CONFLICT DO NOTHING`, orgID); err != nil {
		return 0, err
	}
	err = tx.QueryRow(ctx, `
		INSERT INTO clusters (tenant_id, source_id, cluster_uuid, cluster_alias, last_reported_at)
		SELECT id, $2, $3, $4, now() FROM rh_accounts WHERE org_id = $1
		ON CONFLICT (tenant_id, source_id, cluster_uuid, cluster_alias) DO UPDATE SET last_reported_at = now()
		RETURNING id`, orgID, strconv.FormatInt(sourceID, 10), uuid, alias).Scan(&id)
	return id, err
}

// putRows gives each workload of a cluster a row in each table below it.
func putRows(ctx context.Context, tx pgx.Tx, cluster int64) error {
	for _, sql := range []string{`
		INSERT INTO workload_metrics (org_id, workload_id, container_name, interval_start, interval_end, usage_metrics)
		SELECT org_id, id, 'main', metrics_upload_at, metrics_upload_at, '{}' FROM workloads WHERE cluster_id = $1
		ON CONFLICT DO NOTHING`, `
		INSERT INTO recommendation_sets (workload_id, container_name, monitoring_start_time, monitoring_end_time, recommendations, updated_at)
		SELECT id, 'main', metrics_upload_at, metrics_upload_at, '{}', now() FROM workloads WHERE cluster_id = $1
		ON CONFLICT DO NOTHING`, `
		INSERT INTO historical_recommendation_sets
			(org_id, workload_id, container_name, monitoring_start_time, monitoring_end_time, recommendations, updated_at)
		SELECT org_id, id, 'main', metrics_upload_at, metrics_upload_at, '{}', now() FROM workloads WHERE cluster_id = $1
		ON CONFLICT DO NOTHING`, `
		INSERT INTO namespace_recommendation_sets
			(org_id, workload_id, namespace_name, monitoring_start_time, monitoring_end_time, recommendations, updated_at)
		SELECT org_id, id, namespace, metrics_upload_at, metrics_upload_at, '{}', now() FROM workloads WHERE cluster_id = $1
		ON CONFLICT DO NOTHING`, `
		INSERT INTO historical_namespace_recommendation_sets
			(org_id, workload_id, namespace_name, monitoring_start_time, monitoring_end_time, recommendations, created_at, updated_at)
		SELECT org_id, id, namespace, metrics_upload_at, metrics_upload_at, '{}', now(), now() FROM workloads WHERE cluster_id = $1
		ON CONFLICT DO NOTHING`,
	} {
		if _, err := tx.Exec(ctx, sql, cluster); err != nil {
			return err
		}
	}
	return nil
}

// The tables below workloads.
var tables = []string{"workload_metrics", "recommendation_sets", "historical_recommendation_sets",
	"namespace_recommendation_sets", "historical_namespace_recommendation_sets"}

// ofSource are the clusters of $1 and $2, an organization and a source.
const ofSource = `
	clusters c
	JOIN rh_accounts a ON a.id = c.tenant_id AND a.org_id = $1 AND c.source_id = $2`

// Count counts what ROS has of a source by table. Tables that have nothing are left out.
func Count(ctx context.Context, ros *pgxpool.Pool, orgID string, sourceID int64) (map[string]int, error) {
	from := map[string]string{"clusters": ofSource, "workloads": ofSource + ` JOIN workloads w ON w.cluster_id = c.id`}
	for _, table := range tables {
		from[table] = from["workloads"] + ` JOIN ` + table + ` t ON t.workload_id = w.id`
	}
	counts := map[string]int{}
	for table, rows := range from {
		var n int
		err := ros.QueryRow(ctx, `SELECT count(*) FROM `+rows, orgID, strconv.FormatInt(sourceID, 10)).Scan(&n)
		if err != nil {
			return nil, fmt.Errorf("count %s of source %d: %w", table, sourceID, err)
		}
		if n > 0 {
			counts[table] = n
		}
	}
	return counts, nil
}

// Experiments lists the names that Kruize knows the workloads of a source by, in order and each once.
func Experiments(ctx context.Context, ros *pgxpool.Pool, orgID string, sourceID int64) ([]string, error) {
	rows, _ := ros.Query(ctx, `
		SELECT DISTINCT w.experiment_name
		FROM `+ofSource+` JOIN workloads w ON w.cluster_id = c.id
		ORDER BY 1`, orgID, strconv.FormatInt(sourceID, 10)) // its error comes out of Collect
	return pgx.CollectRows(rows, pgx.RowTo[string])
}
