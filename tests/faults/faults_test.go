package faults_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"time"

	cloudevents "github.com/cloudevents/sdk-go/v2"
	cehttp "github.com/cloudevents/sdk-go/v2/protocol/http"
	"github.com/google/uuid"

	"github.com/insights-onprem/cost-sources/shared/events"
)

// A fault is something that goes wrong for a while, about as long as it is told or until ctx ends. When it returns
// all is well again, but for what heals by itself.
type fault struct {
	name string
	// on is what it touches: two faults on one thing do not come at once.
	on  string
	run func(ctx context.Context, w *world, r *rand.Rand, d time.Duration) error
}

// faults are all there are.
var faults = []fault{
	{"function killed", "", func(ctx context.Context, w *world, r *rand.Rand, d time.Duration) error {
		i := w.anyInstance(r)
		i.kill()
		wait(ctx, d/4)
		return i.start(context.WithoutCancel(ctx))
	}},
	{"function stopped", "", func(ctx context.Context, w *world, r *rand.Rand, d time.Duration) error {
		i := w.anyInstance(r)
		i.end(false)
		wait(ctx, d/4)
		return i.start(context.WithoutCancel(ctx))
	}},
	{"broker killed", "kafka", func(ctx context.Context, w *world, r *rand.Rand, d time.Duration) error {
		return w.without(ctx, d, r.IntN(3))
	}},
	{"leader killed", "kafka", func(ctx context.Context, w *world, r *rand.Rand, d time.Duration) error {
		leader, err := w.kafka.Leader(w.topic, r.Int32N(3))
		if err != nil {
			w.Log(err) // as long as one is being elected there is none
			return nil
		}
		return w.without(ctx, d, leader)
	}},
	{"all brokers killed", "kafka", func(ctx context.Context, w *world, _ *rand.Rand, d time.Duration) error {
		return w.without(ctx, d, 0, 1, 2)
	}},
	{"Kafka away to the end", "kafka", func(ctx context.Context, w *world, _ *rand.Rand, _ time.Duration) error {
		return w.without(ctx, time.Hour, 0, 1, 2)
	}},
	{"PostgreSQL killed", "registry", func(ctx context.Context, w *world, _ *rand.Rand, d time.Duration) error {
		return w.registry.away(ctx, d/2)
	}},
	{"connections cut", "", func(ctx context.Context, w *world, r *rand.Rand, d time.Duration) error {
		for range 5 {
			w.wire.cut(time.Duration(r.IntN(30)) * time.Millisecond)
			w.rosWire.cut(time.Duration(r.IntN(30)) * time.Millisecond)
			wait(ctx, d/10)
		}
		return nil
	}},
	{"sink unknown", "sink", sinkThat(unknown)},
	{"sink refuses", "sink", sinkThat(refuses)},
	{"sink silent", "sink", sinkThat(silent)},
	{"sink late", "sink", sinkThat(late)},
	{"sink unheard", "sink", sinkThat(unheard)},
	{"events twice", "twice", func(ctx context.Context, w *world, _ *rand.Rand, d time.Duration) error {
		w.onLanes(func(l *lane, on bool) { l.twice.Store(on) }, func() { wait(ctx, 2*d) })
		return nil
	}},
	{"events swapped", "swapped", func(ctx context.Context, w *world, _ *rand.Rand, d time.Duration) error {
		w.onLanes(func(l *lane, on bool) { l.swapped.Store(on) }, func() { wait(ctx, 2*d) })
		return nil
	}},
	{"effect without commit", "unheard", func(ctx context.Context, w *world, _ *rand.Rand, d time.Duration) error {
		w.onLanes(func(l *lane, on bool) { l.unheard.Store(on) }, func() { wait(ctx, 2*d) })
		return nil
	}},
	{"consumer gone", "unheard", func(ctx context.Context, w *world, r *rand.Rand, d time.Duration) error {
		c := w.consumers[r.IntN(len(w.consumers))]
		defer c.start()
		var err error
		w.onLanes(func(l *lane, on bool) { l.unheard.Store(on) }, func() { // there has to be something that it leaves undone
			wait(ctx, d/4)
			err = c.leave()
		})
		if err != nil {
			w.Logf("a consumer did not leave in order: %v", err) // Kafka may be away
		}
		wait(ctx, d/2)
		return nil
	}},
	{"forged deletes", "", func(ctx context.Context, w *world, r *rand.Rand, d time.Duration) error {
		for range 20 {
			if err := w.forge(ctx, r); err != nil {
				return err
			}
			wait(ctx, d/20)
		}
		return nil
	}},
	{"ancient events", "", func(ctx context.Context, w *world, r *rand.Rand, d time.Duration) error {
		for _, name := range w.eventLanes() {
			l := w.lanes[name]
			seen := l.passed()
			for range min(20, len(seen)) {
				l.post(ctx, seen[r.IntN(len(seen))])
			}
		}
		wait(ctx, d/4)
		return nil
	}},
	{"Kruize refuses", "kruize", kruizeThat(refuses)},
	{"Kruize silent", "kruize", kruizeThat(silent)},
	{"ROS database killed", "ros", func(ctx context.Context, w *world, _ *rand.Rand, d time.Duration) error {
		return w.ros.away(ctx, d)
	}},
	{"time passes", "", func(ctx context.Context, w *world, _ *rand.Rand, _ time.Duration) error {
		return w.anHourLater(ctx)
	}},
}

func sinkThat(mode string) func(context.Context, *world, *rand.Rand, time.Duration) error {
	return func(ctx context.Context, w *world, _ *rand.Rand, d time.Duration) error {
		w.sink.mode.Store(mode)
		defer w.sink.mode.Store("")
		wait(ctx, 2*d) // longer than the deadline of a send
		return nil
	}
}

func kruizeThat(mode string) func(context.Context, *world, *rand.Rand, time.Duration) error {
	return func(ctx context.Context, w *world, _ *rand.Rand, d time.Duration) error {
		w.kruize.set(mode)
		defer w.kruize.set("")
		wait(ctx, 2*d) // longer than all tries of an event
		return nil
	}
}

func (w *world) anyInstance(r *rand.Rand) *instance {
	names := slices.DeleteFunc(slices.Clone(services), func(name string) bool { return len(w.functions[name]) == 0 })
	instances := w.functions[names[r.IntN(len(names))]]
	return instances[r.IntN(len(instances))]
}

// without kills some of the brokers and has them come back, and waits until they have.
func (w *world) without(ctx context.Context, d time.Duration, brokers ...int) error {
	for _, i := range brokers {
		if err := w.kafka.Kill(i); err != nil {
			return err
		}
	}
	wait(ctx, d)
	for _, i := range brokers {
		if err := w.kafka.Start(i); err != nil {
			return err
		}
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Minute)
	defer cancel()
	return w.kafka.Ready(ctx)
}

// away kills the server and has it come back.
func (p *postgres) away(ctx context.Context, d time.Duration) error {
	if err := p.kill(); err != nil {
		return err
	}
	wait(ctx, d)
	return p.start(context.WithoutCancel(ctx))
}

// onLanes has something go wrong on all ways to functions while during runs.
func (w *world) onLanes(set func(l *lane, on bool), during func()) {
	for _, l := range w.lanes {
		set(l, true)
		defer set(l, false)
	}
	during()
}

// victim is a living source, or one that there need not be where PostgreSQL cannot say.
func (w *world) victim(ctx context.Context, r *rand.Rand) int {
	var id int
	err := w.sql.QueryRow(ctx, `SELECT id FROM sources.source WHERE deleted_at IS NULL ORDER BY random() LIMIT 1`).Scan(&id)
	if err != nil {
		return r.IntN(100)
	}
	return id
}

// forge posts a delete that nobody has made to a function. It says what it likes of a source, be it a living one.
func (w *world) forge(ctx context.Context, r *rand.Rand) error {
	e := cloudevents.NewEvent()
	e.SetID(uuid.NewString())
	e.SetSource(events.Source)
	e.SetType([]string{events.TypeSourceDelete, events.TypeApplicationDelete}[r.IntN(2)])
	e.SetTime(time.Now().Add(-time.Hour * time.Duration(r.IntN(1000))))
	id := w.victim(ctx, r)
	e.SetSubject(fmt.Sprintf("sources/%d", id))
	e.SetExtension("sequence", fmt.Sprint(1+r.IntN(1000))) // without one that counts it cannot be read
	data := fmt.Sprintf(`{"source_id": %d, "org_id": %q, "application_type_id": 0}`, id, organizations[r.IntN(len(organizations))])
	if err := e.SetData(cloudevents.ApplicationJSON, []byte(data)); err != nil {
		return err
	}
	request, err := cehttp.NewHTTPRequestFromEvent(ctx, "http://function", e)
	if err != nil {
		return err
	}
	for _, name := range w.eventLanes() {
		status, answer := w.lanes[name].post(ctx, delivery{header: request.Header, body: []byte(data)})
		if status != http.StatusNoContent && status != http.StatusServiceUnavailable {
			return fmt.Errorf("a forged event is answered %d %s", status, strings.TrimSpace(string(answer)))
		}
	}
	return nil
}

// anHourLater has the relay see the registry as it would be in an hour.
func (w *world) anHourLater(ctx context.Context) error {
	_, err := w.sql.Exec(ctx, `
		UPDATE sources.source SET next_attempt_at = next_attempt_at - interval '1 hour' WHERE next_attempt_at > now()`)
	if err != nil {
		w.Logf("time does not pass: %v", err) // PostgreSQL may be away
	}
	return nil
}
