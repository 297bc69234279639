package faults_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"
)

// newcomers is how many organizations come at once that nobody has heard of.
const newcomers = 500

// TestCrowd: as long as 500 new organizations wait for schemas that take without end to make, and every event of one
// source is answered 503, a source of an organization that has a tenant gets its provider. When all of that is over the
// others get theirs.
func TestCrowd(t *testing.T) {
	w := newWorld(t, false)
	w.addForeign()
	resident := w.resident()
	stuck := resident.register()
	openGate := w.closeGate()
	letGo := w.lockProvider(stuck)
	if err := resident.patch(stuck, func(*thing) string { return `{"paused": true}` }); err != nil {
		t.Fatal(err)
	}
	w.crowd("slow")
	for range 5 {
		resident.register()
	}
	if n := len(w.schemas()); n != 1 {
		t.Errorf("there are %d schemas while none can be made", n)
	}
	openGate()
	letGo()
	w.settle()
	if n := len(w.schemas()); n != newcomers+1 {
		t.Errorf("%d of %d schemas are there in the end", n, newcomers+1)
	}
}

func (w *world) schemas() []string {
	return rows(w, w.sql, `SELECT nspname::text FROM pg_namespace WHERE nspname LIKE 'org%'`)
}

// resident is a client of the organization that has had a tenant from before.
func (w *world) resident() *actor {
	return &actor{world: w, name: "resident", org: foreignOrg, rand: rand.New(rand.NewPCG(1, 1))}
}

// register makes a source and returns when it has its provider.
func (a *actor) register() *thing {
	a.Helper()
	s := &thing{org: a.org, name: a.name, cluster: fmt.Sprintf("%s-%d", a.name, a.calls), application: true, others: map[string]bool{}}
	r, err := a.post("/sources", fmt.Sprintf(`{"name": %q, "source_type_id": "1", "source_ref": %q}`, s.name, s.cluster))
	if err == nil {
		s.uuid = fmt.Sprint(r.body["uuid"])
		s.id, err = r.id()
	}
	a.must(err)
	a.await("the provider", func() bool {
		return rows(a.world, a.sql, `SELECT (provider_id IS NOT NULL)::text FROM public.api_sources WHERE source_id = $1`, s.id)[0] == "true"
	})
	a.own = append(a.own, s)
	return s
}

// crowd has new organizations register a cluster each, many at once.
func (w *world) crowd(name string) {
	w.Helper()
	var group errgroup.Group
	group.SetLimit(32)
	for n := range newcomers {
		a := &actor{world: w, name: "newcomer", org: fmt.Sprintf("%s%d", name, n), rand: rand.New(rand.NewPCG(2, uint64(n)))}
		group.Go(func() error {
			r, err := a.post("/sources", `{"name": "first", "source_type_id": "1", "source_ref": "first"}`)
			if err == nil && r.status != 201 {
				err = fmt.Errorf("a newcomer is answered %v", r)
			}
			return err
		})
	}
	if err := group.Wait(); err != nil {
		w.Error(err)
	}
}

// closeGate lets nobody make a schema until the gate is opened.
func (w *world) closeGate() (open func()) {
	w.Helper()
	w.exec(func(ctx context.Context, tx pgx.Tx) error {
		_, err := tx.Exec(ctx, `
			CREATE TABLE public.gate AS SELECT true AS closed;
			GRANT SELECT ON public.gate TO PUBLIC; -- whoever makes a schema looks there
			CREATE FUNCTION public.wait_at_gate() RETURNS event_trigger LANGUAGE plpgsql AS $$
			BEGIN
				WHILE (SELECT closed FROM public.gate) LOOP PERFORM pg_sleep(0.01); END LOOP;
			END $$;
			CREATE EVENT TRIGGER gate ON ddl_command_end WHEN TAG IN ('CREATE SCHEMA') EXECUTE FUNCTION public.wait_at_gate()`)
		return err
	})
	return func() {
		w.exec(func(ctx context.Context, tx pgx.Tx) error {
			_, err := tx.Exec(ctx, `UPDATE public.gate SET closed = false`)
			return err
		})
	}
}

// lockProvider keeps everybody from changing the provider of a source.
func (w *world) lockProvider(s *thing) (letGo func()) {
	w.Helper()
	tx, err := w.sql.Begin(w.Context())
	if err == nil {
		_, err = tx.Exec(w.Context(), `
			SELECT FROM public.api_provider p JOIN public.api_sources s ON s.provider_id = p.uuid WHERE s.source_id = $1 FOR UPDATE OF p`, s.id)
	}
	if err != nil {
		w.Fatal(err)
	}
	letGo = sync.OnceFunc(func() {
		if err := tx.Rollback(context.Background()); err != nil {
			w.Error(err)
		}
	})
	w.onClose(letGo)
	return letGo
}

// BenchmarkCrowd tells how long 500 new organizations that come at once hold up a source of an organization that has
// a tenant, from its POST to its provider, beside how long that takes alone.
func BenchmarkCrowd(b *testing.B) {
	w := newWorld(b, false)
	w.addForeign()
	resident := w.resident()
	for range 5 {
		resident.register() // until all is warm
	}
	alone := w.registrations(resident, 20)
	for n := range b.N {
		crowded := make(chan struct{})
		go func() {
			defer close(crowded)
			w.crowd(fmt.Sprintf("crowd%d", n))
		}()
		wait(b.Context(), 200*time.Millisecond) // in the thick of it
		among := w.registrations(resident, 20)
		<-crowded
		w.settle()
		b.Logf("alone %v, among the crowd %v", alone, among)
		b.ReportMetric(float64(alone[len(alone)/2].Milliseconds()), "alone-ms")
		b.ReportMetric(float64(among[len(among)/2].Milliseconds()), "crowd-median-ms")
		b.ReportMetric(float64(among[len(among)-1].Milliseconds()), "crowd-max-ms")
		b.ReportMetric(float64(among[len(among)/2])/float64(alone[len(alone)/2]), "ratio")
	}
}

// registrations makes sources one after the other and returns how long each took, the shortest first.
func (w *world) registrations(a *actor, n int) (took []time.Duration) {
	for range n {
		began := time.Now()
		a.register()
		took = append(took, time.Since(began))
	}
	slices.Sort(took)
	return took
}
