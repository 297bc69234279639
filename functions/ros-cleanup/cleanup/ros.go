package cleanup

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// errMore reports that ROS has workloads that Kruize has not been asked to forget.
var errMore = errors.New("new workloads turned up")

// An experiment is what Kruize knows a workload by.
type experiment struct {
	Name       string
	UploadedAt time.Time // of the last upload with it, which makes an experiment that Kruize has forgotten anew
}

// forgotten are the experiments that Kruize has been asked to forget, by name, as they were uploaded last before that.
type forgotten map[string]time.Time

func (f forgotten) covers(e experiment) bool {
	at, ok := f[e.Name]
	return ok && !e.UploadedAt.After(at)
}

// A target is what is to be removed: everything that ROS has of a source.
type target struct {
	orgID    string
	sourceID int64
	// deleted is when a source of somebody else's was deleted, who may have used its id again since: a
	// cluster that has reported after that stays. Nil where ids are not used again.
	deleted *time.Time
}

// querier is the pool or a transaction.
type querier interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
}

// collect reads the rows of a query about ROS.
func collect[T any](ctx context.Context, q querier, scan pgx.RowToFunc[T], what, sql string, args ...any) ([]T, error) {
	rows, _ := q.Query(ctx, sql, args...) // its error comes out of Collect
	found, err := pgx.CollectRows(rows, scan)
	if err != nil {
		return nil, fmt.Errorf("read %s of ROS: %w", what, err)
	}
	return found, nil
}

// left lists the experiments of what is to be removed, each once, without locking anything.
func (t target) left(ctx context.Context, q querier) ([]experiment, error) {
	clusters, _, err := t.clusters(ctx, q, "")
	if err != nil {
		return nil, err
	}
	return t.experiments(ctx, q, clusters)
}

// clusters lists those to be removed, and counts the ones that stay. lock is empty or a locking clause.
func (t target) clusters(ctx context.Context, q querier, lock string) (gone []int64, staying int, err error) {
	type cluster struct {
		ID    int64
		Newer bool
	}
	// ROS keeps source ids as text.
	all, err := collect(ctx, q, pgx.RowToStructByPos[cluster], "clusters", `
		SELECT c.id, coalesce(c.last_reported_at > $3::timestamptz, false)
		FROM clusters c
		JOIN rh_accounts a ON a.id = c.tenant_id
		WHERE a.org_id = $1 AND c.source_id = $2
		ORDER BY c.id `+lock, t.orgID, strconv.FormatInt(t.sourceID, 10), t.deleted)
	gone = []int64{} // not null for PostgreSQL
	for _, c := range all {
		if !c.Newer {
			gone = append(gone, c.ID)
		}
	}
	return gone, len(all) - len(gone), err
}

// experiments lists those of the clusters' workloads, but for those that a workload of another cluster also
// has: a cluster's alias is no part of their names, so that a renamed source has two clusters with the same.
func (t target) experiments(ctx context.Context, q querier, clusters []int64) ([]experiment, error) {
	return collect(ctx, q, pgx.RowToStructByPos[experiment], "experiment names", `
		SELECT w.experiment_name, coalesce(max(w.metrics_upload_at), to_timestamp(0))
		FROM workloads w
		WHERE w.org_id = $1 AND w.cluster_id = ANY ($2) AND NOT EXISTS (
			SELECT FROM workloads other
			WHERE other.org_id = $1 AND other.experiment_name = w.experiment_name AND other.cluster_id <> ALL ($2))
		GROUP BY 1 ORDER BY 1`, t.orgID, clusters)
}

// What one transaction removes at most. Nearly all of its time goes into the foreign keys' cascade, which looks for each
// workload through the partitions of all organizations: where nobody has added indexes on workload_id, that takes 80 ms
// for each million of rows that all of them have, and a hundred workloads could take longer than an event has.
const (
	batchWorkloads = 100
	fewWorkloads   = 10               // are deleted at once
	batchFor       = 10 * time.Second // after which no more are begun
)

// remove deletes one batch of t's workloads, and with the last one its clusters, if Kruize has been asked
// for all experiments that are left; else it returns errMore.
func (t target) remove(ctx context.Context, ros *pgxpool.Pool, asked forgotten) (done bool, err error) {
	err = pgx.BeginFunc(ctx, ros, func(tx pgx.Tx) error {
		// Whoever waits longer shall rather be sent the event again than hold the source's row.
		if _, err := tx.Exec(ctx, `SET LOCAL lock_timeout = '5s'`); err != nil {
			return err
		}
		// Not FOR NO KEY UPDATE: it is the foreign key of a new workload that has to wait.
		clusters, staying, err := t.clusters(ctx, tx, "FOR UPDATE OF c")
		if err != nil {
			return err
		}
		// Before it is looked at which there are: an upload that has one of them makes its experiment anew.
		workloads, err := t.lockWorkloads(ctx, tx, clusters)
		if err != nil {
			return err
		}
		left, err := t.experiments(ctx, tx, clusters)
		if err != nil {
			return err
		}
		if slices.ContainsFunc(left, func(e experiment) bool { return !asked.covers(e) }) {
			return errMore
		}
		removed, err := t.deleteWorkloads(ctx, tx, workloads)
		if err != nil {
			return err
		}
		done = removed == len(workloads) && removed < batchWorkloads
		t.report(ctx, len(clusters), removed, staying, done)
		if !done {
			return nil
		}
		_, err = tx.Exec(ctx, deleteClusters, t.orgID, clusters)
		return err
	})
	if err != nil {
		return false, fmt.Errorf("remove source %d of organization %s from ROS: %w", t.sourceID, t.orgID, err)
	}
	return done, nil
}

func (t target) lockWorkloads(ctx context.Context, tx pgx.Tx, clusters []int64) ([]int64, error) {
	return collect(ctx, tx, pgx.RowTo[int64], "workloads", `
		SELECT id FROM workloads WHERE org_id = $1 AND cluster_id = ANY ($2) ORDER BY id LIMIT $3 FOR UPDATE`,
		t.orgID, clusters, batchWorkloads)
}

// The statements that remove workloads, given the organization and their ids, and before them what stands
// below. The cascade would do that too, but in every organization's partitions.
var deletesOfWorkloads = []string{
	`DELETE FROM workload_metrics WHERE org_id = $1 AND workload_id = ANY ($2)`,
	`DELETE FROM historical_recommendation_sets WHERE org_id = $1 AND workload_id = ANY ($2)`,
	`DELETE FROM historical_namespace_recommendation_sets WHERE org_id = $1 AND workload_id = ANY ($2)`,
	`DELETE FROM namespace_recommendation_sets WHERE org_id = $1 AND workload_id = ANY ($2)`,
	`DELETE FROM recommendation_sets r USING workloads w
		WHERE w.org_id = $1 AND w.id = ANY ($2) AND r.workload_id = w.id`,
	`DELETE FROM workloads WHERE org_id = $1 AND id = ANY ($2)`,
}

const deleteClusters = `
	DELETE FROM clusters c USING rh_accounts a
	WHERE a.org_id = $1 AND c.id = ANY ($2) AND a.id = c.tenant_id`

// deleteWorkloads deletes at least some of them, and says how many.
func (t target) deleteWorkloads(ctx context.Context, tx pgx.Tx, workloads []int64) (removed int, err error) {
	begun := time.Now()
	for few := range slices.Chunk(workloads, fewWorkloads) {
		if removed > 0 && time.Since(begun) > batchFor {
			break
		}
		batch := &pgx.Batch{}
		for _, sql := range deletesOfWorkloads {
			batch.Queue(sql, t.orgID, few)
		}
		if err := tx.SendBatch(ctx, batch).Close(); err != nil {
			return removed, err
		}
		removed += len(few)
	}
	return removed, nil
}

func (t target) report(ctx context.Context, clusters, workloads, staying int, last bool) {
	log := slog.With("org", t.orgID, "source", t.sourceID, "clusters", clusters, "workloads", workloads, "last", last)
	if staying > 0 {
		log.WarnContext(ctx, "removing ROS data, but not of clusters that have reported since the deletion", "staying", staying)
		return
	}
	log.InfoContext(ctx, "removing ROS data")
}
