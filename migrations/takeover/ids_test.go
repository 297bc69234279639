package takeover_test

import (
	"context"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/insights-onprem/cost-sources/functions/ros-cleanup/cleanup/rostest"
	"github.com/insights-onprem/cost-sources/migrations/takeover"
	"github.com/insights-onprem/cost-sources/shared/store/storetest"
	"github.com/insights-onprem/cost-sources/tests/koku"
)

// next are the ids that a new source and a new application would get.
func next(t *testing.T, address string) string {
	t.Helper()
	return lines(t, address, `
		SELECT nextval(pg_get_serial_sequence('sources.source', 'id')) || ' ' || nextval(pg_get_serial_sequence('sources.application', 'id'))`)[0]
}

func TestIDsAreLifted(t *testing.T) {
	t.Parallel()

	address := world(t, source(40, "c1"))
	koku.Execute(t, address, doubleOf(40, 50), `UPDATE public.api_sources SET source_type = 'AWS' WHERE source_id = 50`)
	run(t, address, takeover.Options{})
	if got := next(t, address); got != "51 51" {
		t.Errorf("above Koku's 50 the next ids are %s", got)
	}
	run(t, address, takeover.Options{Above: 30})
	if got := next(t, address); got != "52 52" {
		t.Errorf("below what was given the next ids are %s: they were lowered", got)
	}
	run(t, address, takeover.Options{Above: 70})
	if got := next(t, address); got != "71 71" {
		t.Errorf("above ROS's 70 the next ids are %s", got)
	}
	storetest.Execute(t, address, `
		INSERT INTO sources.source (id, org_id, name, source_type, state) VALUES (90, '1', 'n', 'OCP', 'waiting');
		INSERT INTO sources.application (id, org_id, source_id, application_type_id) VALUES (95, '1', 90, 0)`)
	run(t, address, takeover.Options{})
	if got := next(t, address); got != "91 96" {
		t.Errorf("above the registry's own 90 and 95 the next ids are %s", got)
	}
}

// TestTooHigh: an id of Koku's that leaves none for new sources is said, and not what their POST fails with.
func TestTooHigh(t *testing.T) {
	t.Parallel()

	address := world(t, source(7, "c1"))
	koku.Execute(t, address, `UPDATE public.api_sources SET source_id = 2147483647`)
	if _, err := takeover.Run(t.Context(), address, takeover.Options{}); err == nil || !strings.Contains(err.Error(), "a source 2147483647, which leaves too few") {
		t.Errorf("Run = %v, want the id that is too high", err)
	}
	if got := next(t, address); got != "1 1" {
		t.Errorf("the next ids are %s", got)
	}
}

// TestApplicationID: an application has its source's id where that is free.
func TestApplicationID(t *testing.T) {
	t.Parallel()

	address := world(t, source(40, "c1"), source(41, "c2"))
	storetest.Execute(t, address, `
		INSERT INTO sources.source (id, org_id, name, source_type, state) VALUES (5, '1', 'n', 'OCP', 'waiting');
		INSERT INTO sources.application (id, org_id, source_id, application_type_id) VALUES (40, '1', 5, 0)`)
	run(t, address, takeover.Options{})
	same(t, "applications and sources", []string{"40 of 5", "41 of 41", "42 of 40"}, lines(t, address,
		`SELECT id || ' of ' || source_id FROM sources.application ORDER BY id`))
}

// TestNobodyAddsMeanwhile: ids are lifted while no source can be made, and not for ever.
func TestNobodyAddsMeanwhile(t *testing.T) {
	t.Parallel()

	address := world(t, source(40, "c1"))
	writer, err := storetest.Connect(t, address).Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := writer.Exec(t.Context(), `INSERT INTO sources.source (org_id, name, source_type, state) VALUES ('1', 'n', 'OCP', 'waiting')`); err != nil {
		t.Fatal(err)
	}
	if _, err := takeover.Run(t.Context(), address, takeover.Options{}); err == nil || !strings.Contains(err.Error(), "lock timeout") {
		t.Errorf("while a source is being made Run = %v, want that it waited for a lock", err)
	}
	if err := writer.Rollback(context.WithoutCancel(t.Context())); err != nil {
		t.Fatal(err)
	}
	run(t, address, takeover.Options{})
}

func TestPrepare(t *testing.T) {
	t.Parallel()

	address, empty := world(t, source(40, "c1")), storetest.Empty(t)
	ros := storetest.Empty(t)
	if err := rostest.Load(t.Context(), ros); err != nil {
		t.Fatal(err)
	}
	pool, err := pgxpool.New(t.Context(), ros)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	for org, id := range map[string]int64{"1": 7, "2": 123} {
		if err := rostest.Seed(t.Context(), pool, org, id, "c", "c", 1); err != nil {
			t.Fatal(err)
		}
	}
	storetest.Execute(t, ros, `
		INSERT INTO clusters (tenant_id, source_id, cluster_uuid, cluster_alias)
		SELECT min(rh_accounts.id), odd, 'c', 'c' FROM rh_accounts, unnest(ARRAY['', 'x900', '900x', '-900', '9000000000', '99999999999999', '12.5', '٣٣٣']) odd GROUP BY odd`)
	high := storetest.Empty(t)
	storetest.Execute(t, high, `CREATE TABLE clusters (source_id text NOT NULL); INSERT INTO clusters VALUES ('7'), ('2147483646')`)
	tests := []struct {
		name, database, ros string
		want                int64
		err                 string
	}{
		{"the highest of all organizations", address, ros, 123, ""},
		{"no ROS", address, takeover.Off, 0, ""},
		{"nothing said, and nothing to take over", empty, "", 0, ""},
		{"nothing said, but a source of Koku's", address, "", 0, "ROS_DATABASE_URL is not set, and nothing was changed: Koku has made 1 sources"},
		{"an id that leaves none", address, high, 0, "nothing was changed, as ROS knows a source 2147483646, which leaves too few ids"},
		{"not ROS's", address, empty, 0, "ROS has not made its table clusters there"},
		{"nobody there", address, "postgres://ros:secret@127.0.0.1:1/ros", 0, "ROS_DATABASE_URL: nothing was changed"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := takeover.Prepare(t.Context(), tt.database, tt.ros)
			if got != tt.want || (err == nil) != (tt.err == "") || err != nil && !strings.Contains(err.Error(), tt.err) {
				t.Errorf("Prepare = %d, %v; want %d, %q", got, err, tt.want, tt.err)
			}
			if err != nil && strings.Contains(err.Error(), "secret") {
				t.Errorf("the error has the password: %v", err)
			}
		})
	}
}

// TestPrepareBeforeTheRegistry: what is to be taken over is seen before there is a registry, and what has been taken
// over is no reason to ask for ROS.
func TestPrepareBeforeTheRegistry(t *testing.T) {
	t.Parallel()

	fresh := koku.Database(t)
	koku.Tenant(t, fresh, "1")
	if _, err := takeover.Prepare(t.Context(), fresh, ""); err != nil {
		t.Errorf("without sources Prepare = %v", err)
	}
	koku.Add(t, fresh, source(3, "c"))
	if _, err := takeover.Prepare(t.Context(), fresh, ""); err == nil {
		t.Error("with one of Koku's Prepare does not ask for ROS")
	}
	taken := world(t, source(3, "c"))
	run(t, taken, takeover.Options{})
	if _, err := takeover.Prepare(t.Context(), taken, ""); err != nil {
		t.Errorf("with all taken over Prepare = %v", err)
	}
}
