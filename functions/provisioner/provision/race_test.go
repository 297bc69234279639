package provision_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/insights-onprem/cost-sources/functions/provisioner/provision"
	"github.com/insights-onprem/cost-sources/shared/events"
	"github.com/insights-onprem/cost-sources/shared/sources"
)

// TestLateFailure: who has found that the provider cannot be made, and says so when another has made it, changes nothing:
// nobody would ever look at the source again.
func TestLateFailure(t *testing.T) {
	t.Parallel()

	f := setup(t)
	before := f.add("org1", "c")
	f.provided(before)
	if err := f.db.FailProvider(t.Context(), before, "the template is missing"); err != nil {
		t.Fatal(err)
	}
	if src := f.now(before); src.State != sources.Ready || src.Attempts != 1 {
		t.Errorf("the source is %+v, want it ready", src.Progress)
	}
}

// TestTenantComesBetweenBothWays: a source that has failed for want of a tenant gets its provider where another source's
// event makes the tenant after this one's event has been on the one way, and before it is on the other.
func TestTenantComesBetweenBothWays(t *testing.T) {
	t.Parallel()

	f := setup(t)
	f.exec(`CREATE SCHEMA orgorg1`) // in the way
	one, two := f.provided(f.add("org1", "c1")), f.provided(f.add("org1", "c2"))
	if one.State != sources.Failed || two.State != sources.Failed {
		t.Fatalf("the sources are %s and %s, want them failed", one.State, two.State)
	}
	f.exec(`DROP SCHEMA orgorg1`)
	e, err := events.SourceUpdated(t.Context(), two)
	if err != nil {
		t.Fatal(err)
	}
	f.postTo(provision.ProvidersPath, e)
	f.provided(one)
	f.postTo(provision.TenantsPath, e)
	if two = f.now(two); two.State != sources.Ready {
		t.Errorf("the source is %+v, want it ready", two.Progress)
	}
}

// TestPartitionMadeMeanwhile: rows in a partition that report processing makes while the provider is removed go too.
func TestPartitionMadeMeanwhile(t *testing.T) {
	t.Parallel()

	f := setup(t)
	src := f.provided(f.add("org1", "c"))
	f.fill(src)
	busy, err := f.sql.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := busy.Exec(t.Context(), `SELECT FROM orgorg1.cost_model_map FOR UPDATE`); err != nil {
		t.Fatal(err)
	}
	src = f.change(src, func(s *sources.Source) { s.MarkDeleted(time.Now()) })
	var removing sync.WaitGroup
	removing.Go(func() { f.provided(src) })
	f.await(`SELECT EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock')`)
	f.exec(`SET LOCAL ROLE cost_sources_provisioner;
		CREATE TABLE orgorg1.openshift_pod_usage_line_items_2026_12 PARTITION OF orgorg1.openshift_pod_usage_line_items
			FOR VALUES FROM ('2026-12-01') TO ('2027-01-01');
		INSERT INTO orgorg1.openshift_pod_usage_line_items VALUES ('` + src.UUID + `', '2026-12-02')`)
	if err := busy.Rollback(context.WithoutCancel(t.Context())); err != nil {
		t.Fatal(err)
	}
	removing.Wait()
	if left := f.rows(src); len(left) > 0 || f.now(src).ProviderRemovedAt == nil {
		t.Errorf("left of the deleted source: %v", left)
	}
}

// exec runs statements in one transaction.
func (f fixture) exec(sql string) {
	f.Helper()
	if _, err := f.sql.Exec(f.Context(), sql); err != nil {
		f.Fatal(err)
	}
}

// await returns when a query says true.
func (f fixture) await(sql string, args ...any) {
	f.Helper()
	for until := time.Now().Add(time.Minute); !value[bool](f, sql, args...); {
		if time.Now().After(until) {
			f.Fatalf("it never came: %s", sql)
		}
		time.Sleep(20 * time.Millisecond)
	}
}
