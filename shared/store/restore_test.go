package store_test

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/insights-onprem/cost-sources/shared/store/storetest"
)

// TestAskAgain: every row is behind, in the state that a change would leave it in, and goes on after what was seen;
// where the source lives, what ROS has of it is left alone.
func TestAskAgain(t *testing.T) {
	t.Parallel()

	db, sql := storetest.Open(t, "")
	_, err := sql.Exec(t.Context(), `
		INSERT INTO sources.source (org_id, name, source_type, cluster_id, state, reason, attempts, generation, observed_generation, sequence, deleted_at)
		VALUES ('org1', 'ready', 'OCP', 'a', 'ready', '', 1, 3, 3, 5, NULL), ('org1', 'failed', 'OCP', 'b', 'failed', 'why', 2, 3, 3, 50, NULL),
			('org1', 'no cluster', 'OCP', NULL, 'waiting', '', 0, 3, 3, 5, NULL), ('org2', 'no application', 'OCP', 'd', 'waiting', '', 0, 3, 3, 5, NULL),
			('org2', 'gone', 'OCP', 'e', 'waiting', '', 0, 3, 3, 5, now())`)
	if err != nil {
		t.Fatal(err)
	}
	_, err = sql.Exec(t.Context(), `
		INSERT INTO sources.application (org_id, source_id, application_type_id, deleted_at)
		SELECT org_id, id, 0, CASE WHEN name = 'no application' THEN now() END FROM sources.source`)
	if err != nil {
		t.Fatal(err)
	}
	for after, n := int64(0), 0; ; n++ {
		rows, err := db.AskAgain(t.Context(), after, 2, func(id int64) int64 { return 10 * id })
		if err != nil || n > 3 {
			t.Fatalf("page %d: %v", n, err)
		}
		if len(rows) == 0 {
			break
		}
		after = rows[len(rows)-1].ID
	}
	rows, _ := sql.Query(t.Context(), `
		SELECT concat_ws(' ', name, '|', state, reason, attempts, generation, observed_generation, sequence, next_attempt_at <= now(),
			ros_cleaned_at IS NULL, ros_rechecked_at IS NULL) FROM sources.source ORDER BY id`)
	got, err := pgx.CollectRows(rows, pgx.RowTo[string])
	want := []string{"ready | pending  0 4 3 10 t f f", "failed | pending  0 4 3 50 t f f", "no cluster | waiting  0 4 3 30 t f f",
		"no application | waiting  0 4 3 40 t f f", "gone | waiting  0 4 3 50 t t t"}
	if diff := cmp.Diff(fmt.Sprint(want), fmt.Sprint(got)); err != nil || diff != "" {
		t.Errorf("%v\n%s", err, diff)
	}
}

// TestAskAgainPlain: nobody waits for the plain records of what was seen, where there are such records at all.
func TestAskAgainPlain(t *testing.T) {
	t.Parallel()

	for _, tt := range []struct{ written, want string }{
		{"", "[]"},
		{"INSERT INTO sources.plain_source (source_id, written, until) VALUES (1, 2, now()), (2, 9, now()), (4, 1, now())", "[1 7 - 2 9 until 3 7 - 4 1 until]"},
	} {
		db, sql := storetest.Open(t, "")
		execute(t, sql, `INSERT INTO sources.source (org_id, name, source_type, state) SELECT 'org1', '', 'OCP', 'waiting' FROM generate_series(1, 4)`)
		if tt.written != "" {
			execute(t, sql, tt.written)
			execute(t, sql, `INSERT INTO sources.plain_event (source_id, sequence, event) VALUES (1, 5, '{}'), (1, 8, '{}'), (2, 10, '{}')`)
		}
		_, err := db.AskAgain(t.Context(), 0, 10, func(id int64) int64 {
			if id == 4 {
				return 0 // not in the topic
			}
			return 7
		})
		if err != nil {
			t.Fatal(err)
		}
		rows, _ := sql.Query(t.Context(), `
			SELECT concat_ws(' ', source_id, written, CASE WHEN until IS NULL THEN '-' ELSE 'until' END) FROM sources.plain_source ORDER BY source_id`)
		got, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if err != nil || fmt.Sprint(got) != tt.want {
			t.Errorf("plain records are %v, %v, want %s", got, err, tt.want)
		}
		rows, _ = sql.Query(t.Context(), `SELECT concat(source_id, '/', sequence) FROM sources.plain_event ORDER BY 1`)
		if left, err := pgx.CollectRows(rows, pgx.RowTo[string]); err != nil || tt.written != "" && fmt.Sprint(left) != "[1/8 2/10]" {
			t.Errorf("events that wait: %v, %v", left, err)
		}
	}
}
