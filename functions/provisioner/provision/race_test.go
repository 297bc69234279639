package provision_test

import (
	"context"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/insights-onprem/cost-sources/functions/provisioner/provision"
	"github.com/insights-onprem/cost-sources/shared/events"
	"github.com/insights-onprem/cost-sources/shared/sources"
	"github.com/insights-onprem/cost-sources/shared/store"
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

// TestOvertakenRemoval: who is late with a removal that others have finished does not finish the next one of the same
// source, of which it has not done its part.
func TestOvertakenRemoval(t *testing.T) {
	t.Parallel()

	f := setup(t)
	src := f.provided(f.add("org1", "c"))
	f.exec(`CREATE TABLE public.delayed_celery_tasks (id serial PRIMARY KEY, provider_uuid uuid NOT NULL);
		GRANT SELECT, DELETE ON public.delayed_celery_tasks TO cost_sources_provisioner`)
	src = f.change(src, func(s *sources.Source) { s.Detach(time.Now()) })

	var removing sync.WaitGroup
	release := f.beforeTheLastTable(func() { removing.Go(func() { f.send(events.ApplicationDeleted, src) }) })

	f.locked(src, func(tx *store.Store, now sources.Source) error { return tx.FinishRemoval(t.Context(), now) })
	src = f.provided(f.change(src, func(s *sources.Source) { s.Attach() }))
	if src.State != sources.Ready {
		t.Fatalf("the source is %+v, want it ready", src.Progress)
	}
	src = f.change(src, func(s *sources.Source) { s.Detach(time.Now()) })
	f.locked(src, func(tx *store.Store, now sources.Source) error {
		_, err := tx.DetachProvider(t.Context(), &now)
		return err
	})
	release()
	removing.Wait()
	if status := f.send(events.ApplicationDeleted, src); status != http.StatusNoContent {
		t.Errorf("the second removal is answered %d", status)
	}
	if got := value[int](f, `SELECT count(*) FROM orgorg1.reporting_tenant_api_provider`); got > 0 {
		t.Error("the tenant's copy of the provider is left")
	}
}

// TestProgressOfAnotherRemoval: how far one came with a removal that another has finished says nothing of the next one.
func TestProgressOfAnotherRemoval(t *testing.T) {
	t.Parallel()

	f := setup(t)
	src := f.provided(f.add("org1", "c"))
	f.fill(src)
	src = f.change(src, func(s *sources.Source) { s.Detach(time.Now()) })
	f.locked(src, func(tx *store.Store, now sources.Source) error {
		_, err := tx.DetachProvider(t.Context(), &now)
		src = now
		return err
	})
	if err := f.db.RemoveReferences(t.Context(), src); err != nil { // the one that finishes it
		t.Fatal(err)
	}
	// The other is killed in its second round.
	f.exec(`TRUNCATE public.delayed_celery_tasks`)
	ctx, kill := context.WithCancel(t.Context())
	defer kill()
	var removing sync.WaitGroup
	release := f.beforeTheLastTable(func() { removing.Go(func() { _ = f.db.RemoveReferences(ctx, src) }) })
	kill()
	removing.Wait()
	release()
	if len(f.progress(src)) == 0 {
		t.Error("the other has come nowhere")
	}
	f.locked(src, func(tx *store.Store, now sources.Source) error { return tx.FinishRemoval(t.Context(), now) })

	src = f.provided(f.change(src, func(s *sources.Source) { s.Attach() }))
	f.exec(`INSERT INTO orgorg1.openshift_pod_usage_line_items VALUES ('` + src.UUID + `', '2026-01-01')`)
	f.provided(f.change(src, func(s *sources.Source) { s.Detach(time.Now()) }))
	if left := f.rows(src); len(left) > 0 {
		t.Errorf("left of the second provider: %v", left)
	}
}

// TestClustersSwapped: two that want each other's credentials.
func TestClustersSwapped(t *testing.T) {
	t.Parallel()

	f := setup(t)
	one, two := f.provided(f.add("org1", "c1")), f.provided(f.add("org2", "c2"))
	one = f.change(one, func(s *sources.Source) { s.SetCluster("c2") })
	two = f.change(two, func(s *sources.Source) { s.SetCluster("c1") })
	busy, err := f.sql.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := busy.Exec(t.Context(), `LOCK TABLE public.api_providerbillingsource`); err != nil {
		t.Fatal(err)
	}
	var both sync.WaitGroup
	for _, src := range []sources.Source{one, two} {
		e, _ := events.SourceUpdated(t.Context(), src)
		both.Go(func() {
			if status := f.postTo(provision.ProvidersPath, e); status != http.StatusNoContent {
				t.Errorf("source %d is answered %d", src.ID, status)
			}
		})
	}
	f.await(`SELECT count(*) = 2 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`)
	if err := busy.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	both.Wait()
}

// TestFinishWaitsNoLonger: the end of a removal keeps the source's row no longer than the rest of it where somebody has
// the provider.
func TestFinishWaitsNoLonger(t *testing.T) {
	t.Parallel()

	f := setup(t)
	src := f.provided(f.add("org1", "c"))
	src = f.change(src, func(s *sources.Source) { s.Detach(time.Now()) })
	busy, err := f.sql.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = busy.Rollback(context.WithoutCancel(t.Context())) }()
	if _, err := busy.Exec(t.Context(), `SELECT FROM public.api_provider FOR UPDATE`); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	err = f.db.InTx(ctx, func(tx *store.Store) error {
		now, err := tx.LockRegistered(ctx, src.OrgID, sources.Ref{ID: src.ID})
		if err != nil {
			return err
		}
		return tx.FinishRemoval(ctx, now)
	})
	if sources.KindOf(err) != sources.Unavailable || ctx.Err() != nil {
		t.Errorf("FinishRemoval() = %v, %v; want it Unavailable within 10 s", err, ctx.Err())
	}
}

// locked runs do with the row of src locked.
func (f fixture) locked(src sources.Source, do func(tx *store.Store, now sources.Source) error) {
	f.Helper()
	err := f.db.InTx(f.Context(), func(tx *store.Store) error {
		now, err := tx.LockRegistered(f.Context(), src.OrgID, sources.Ref{ID: src.ID})
		if err != nil {
			return err
		}
		return do(tx, now)
	})
	if err != nil {
		f.Fatal(err)
	}
}

// beforeTheLastTable begins a removal and returns when it stands, the second time, before the last table that it looks
// at, which is empty. Others queue for that table. release lets it go on.
func (f fixture) beforeTheLastTable(begin func()) (release func()) {
	f.Helper()
	hold := func() pgx.Tx {
		tx, err := f.sql.Begin(f.Context())
		if err != nil {
			f.Error(err)
		}
		if _, err := tx.Exec(f.Context(), `LOCK TABLE public.delayed_celery_tasks`); err != nil {
			f.Error(err)
		}
		return tx
	}
	const waiting = `SELECT count(*) = $1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`
	end := func(tx pgx.Tx) {
		f.Helper()
		if err := tx.Rollback(f.Context()); err != nil {
			f.Fatal(err)
		}
	}
	first := hold()
	begin()
	f.await(waiting, 1)
	var second pgx.Tx
	var queueing sync.WaitGroup
	queueing.Go(func() { second = hold() })
	f.await(waiting, 2)
	end(first)
	queueing.Wait()
	f.await(waiting, 1)
	return func() { end(second) }
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
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	for until := time.Now().Add(time.Minute); !value[bool](f, sql, args...); <-ticker.C {
		if time.Now().After(until) {
			f.Fatalf("it never came: %s", sql)
		}
	}
}
