//go:build e2e

package e2e_test

import (
	"fmt"
	"maps"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/insights-onprem/cost-sources/tests/kafka"
)

// awaitConsumed waits until every function has been handed every event.
func (w *world) awaitConsumed(t *testing.T) {
	t.Helper()
	for _, group := range []string{"cost-provisioner", "cost-provisioner-tenants", "cost-ros-cleanup"} {
		until(t, func() (string, error) {
			lag, err := kafka.Lag(t.Context(), w.brokers, topic, group)
			if err != nil || lag == 0 {
				return "", err
			}
			return fmt.Sprintf("%s lags by %d", group, lag), nil
		})
	}
}

// everything is a sum of the rows of each table, but for when the relay ran last.
func (w *world) everything(t *testing.T) map[string]string {
	t.Helper()
	sums := map[string]string{}
	for name, db := range map[string]*pgxpool.Pool{"registry ": w.sql, "ROS ": w.rosSQL} {
		maps.Copy(sums, sumsOf(t, db, name))
	}
	if len(sums) < 20 {
		t.Errorf("only the tables %v", sums)
	}
	return sums
}

func sumsOf(t *testing.T, db *pgxpool.Pool, prefix string) map[string]string {
	t.Helper()
	sums := map[string]string{}
	tables := query[[]string](t, db, `
		SELECT array_agg(format('%I.%I', schemaname, tablename)) FROM pg_tables
		WHERE schemaname NOT IN ('pg_catalog', 'information_schema') AND tablename <> 'relay_run'`)
	for _, table := range tables {
		sums[prefix+table] = query[string](t, db, `
			SELECT count(*) || ' rows, ' || coalesce(md5(string_agg(t::text, E'\n' ORDER BY t::text)), '') FROM `+table+` t`)
	}
	return sums
}
