package faults_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"
)

// organizations are those that several actors share. The first has had a tenant, and providers of somebody else's,
// from before.
var organizations = []string{"org1", "org2", "org3"}

const foreignOrg = "org1"

// TestEach: with one fault after the other of a kind, all promises are kept. Plain records are written with TestRandom
// alone: a record that may or may not be there keeps its source for the better part of a minute, each time.
func TestEach(t *testing.T) {
	for _, f := range faults {
		t.Run(f.name, func(t *testing.T) {
			w := newWorld(t, false)
			r := rand.New(rand.NewPCG(1, 0))
			w.runFor(8*time.Second, 1, func(ctx context.Context) {
				for ctx.Err() == nil {
					wait(ctx, time.Second) // there has to be something that it can go wrong with
					w.suffer(ctx, f, r)
				}
			})
		})
	}
}

// TestRandom: with any faults at any time, several at once, all promises are kept.
func TestRandom(t *testing.T) {
	for n := range uint64(*seeds) {
		s := *seed + n
		if *seed == 0 {
			s = rand.Uint64N(1 << 32)
		}
		t.Run(fmt.Sprintf("seed %d", s), func(t *testing.T) {
			t.Logf("again with: make test-faults SEED=%d", s)
			w := newWorld(t, true)
			w.runFor(*chaos, s, func(ctx context.Context) { w.sufferAtRandom(ctx, rand.New(rand.NewPCG(s, 0))) })
		})
	}
}

// suffer has a fault happen.
func (w *world) suffer(ctx context.Context, f fault, r *rand.Rand) {
	began := time.Now()
	if err := f.run(ctx, w, r, time.Second+time.Duration(r.IntN(2000))*time.Millisecond); err != nil {
		w.Errorf("%s: %v", f.name, err)
	}
	if *verbose {
		w.Logf("%s, %v long", f.name, time.Since(began).Round(time.Millisecond))
	}
}

// rest is how long what a fault was on is left alone after it.
const rest = 10 * time.Second

// sufferAtRandom has faults happen until ctx ends, and returns when the last is over.
func (w *world) sufferAtRandom(ctx context.Context, r *rand.Rand) {
	var under sync.WaitGroup
	defer under.Wait()
	var mu sync.Mutex
	touched := map[string]bool{}
	for ctx.Err() == nil {
		f := faults[r.IntN(len(faults))]
		if f.name == "Kafka away to the end" && r.IntN(4) > 0 {
			continue // it leaves nothing for the other faults of Kafka
		}
		own := rand.New(rand.NewPCG(r.Uint64(), 0)) // so that what this fault draws changes nothing for the next
		mu.Lock()
		free := f.on == "" || !touched[f.on]
		touched[f.on] = true
		mu.Unlock()
		if free {
			under.Go(func() {
				w.suffer(ctx, f, own)
				wait(ctx, rest) // what never works cannot go wrong with others
				mu.Lock()
				defer mu.Unlock()
				touched[f.on] = false
			})
		}
		wait(ctx, 200*time.Millisecond+time.Duration(r.IntN(1500))*time.Millisecond)
	}
}

// runFor has actors make changes while goWrong has faults happen, waits until all that was promised is done, and checks
// that it is.
func (w *world) runFor(d time.Duration, seed uint64, goWrong func(context.Context)) {
	w.Helper()
	foreign := w.addForeign()
	ctx, cancel := context.WithTimeout(w.Context(), d)
	defer cancel()
	actors := w.actors(seed)
	var acting sync.WaitGroup
	for _, a := range actors {
		acting.Go(func() { a.act(ctx) })
	}
	goWrong(ctx)
	acting.Wait()
	w.timed("healed", w.settle)
	w.timed("delivered all again", w.replay)
	w.settle()
	if w.plain {
		w.timed("told in plain records", w.settlePlain)
	}
	w.timed("ended", w.end)
	w.check(actors, foreign)
}

// timed tells how long a step takes.
func (w *world) timed(what string, step func()) {
	w.Helper()
	began := time.Now()
	step()
	w.Logf("%s within %v", what, time.Since(began).Round(100*time.Millisecond))
}

// actors are two in each organization, one who goes from one new organization to the next, and where plain records are
// taken one who writes them.
func (w *world) actors(seed uint64) (all []*actor) {
	add := func(name, org string) {
		all = append(all, &actor{world: w, name: name, org: org, rand: rand.New(rand.NewPCG(seed, uint64(len(all)+1)))})
	}
	for _, org := range organizations {
		add(org+"-a", org)
		add(org+"-b", org)
	}
	add(settler, settler)
	if w.plain {
		add(importer, importer)
	}
	return all
}

// settle waits until nothing is left to do, as long as there is any progress. An hour passes every few seconds, as the
// relay asks again for undone work only after a while.
func (w *world) settle() {
	w.Helper()
	var before string
	var deadline time.Time
	for round := 0; ; round++ {
		undone := w.undone()
		if undone == "" {
			return
		}
		if undone != before {
			before, deadline = undone, time.Now().Add(3*time.Minute)
		}
		if time.Now().After(deadline) {
			w.Fatalf("for three minutes nothing has been done of this: %s", undone)
		}
		if round%12 == 0 {
			if err := w.anHourLater(w.Context()); err != nil {
				w.Fatal(err)
			}
		}
		wait(w.Context(), 250*time.Millisecond)
	}
}

// undone says what is still to be done.
func (w *world) undone() (text string) {
	err := w.sql.QueryRow(w.Context(), `
		SELECT concat_ws(', ',
			(SELECT nullif(count(*), 0) || ' events wait' FROM sources.outbox WHERE parked_at IS NULL),
			(SELECT nullif(count(*), 0) || ' events are parked' FROM sources.outbox WHERE parked_at IS NOT NULL),
			(SELECT nullif(count(*), 0) || ' leases are held' FROM sources.outbox_lease),
			(SELECT 'behind: ' || string_agg(s.id || ' ' || s.state || ' ' || s.reason, '; ') FROM sources.source s
				WHERE s.observed_generation < s.generation AND s.state <> 'failed'),
			(SELECT 'ROS data is due: ' || string_agg(s.id::text, ' ') FROM sources.source s
				LEFT JOIN sources.application a ON a.source_id = s.id
				WHERE s.ros_cleaned_at IS NULL AND (s.deleted_at IS NOT NULL OR a.deleted_at IS NOT NULL)))`).Scan(&text)
	if err != nil {
		w.Fatal(err)
	}
	return text
}

// replay delivers every event once more, the last first: each delete before its create, and all of them too late.
func (w *world) replay() {
	w.Helper()
	for _, name := range w.eventLanes() {
		seen := slices.Clone(w.lanes[name].passed())
		slices.Reverse(seen)
		var group errgroup.Group
		group.SetLimit(8)
		for _, d := range seen {
			group.Go(func() error {
				status, answer := w.lanes[name].post(w.Context(), d)
				// A connection that the last fault broke may be met only now: what delivers events tries again.
				for retry := 0; status == 503 && retry < 3; retry++ {
					wait(w.Context(), 300*time.Millisecond)
					status, answer = w.lanes[name].post(w.Context(), d)
				}
				if status != 204 {
					return fmt.Errorf("%s answers an old %s with %d %s", name, d.header.Get("Ce-Type"), status, answer)
				}
				return nil
			})
		}
		if err := group.Wait(); err != nil {
			w.Error(err)
		}
	}
}

// end ends what calls the functions, and then all of them in order.
func (w *world) end() {
	w.Helper()
	w.stopConsumers()
	for _, instances := range w.functions {
		for _, i := range instances {
			i.end(true)
			if err := i.problem(); err != nil {
				w.Error(err)
			}
		}
	}
}
