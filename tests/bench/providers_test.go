package bench_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/insights-onprem/cost-sources/functions/provisioner/provision"
	"github.com/insights-onprem/cost-sources/shared/httpapi"
	"github.com/insights-onprem/cost-sources/shared/httpapi/apitest"
)

// providers measures the way from a POST to the provider: through the outbox, Kafka and the provisioner.
func (w *world) providers() {
	t := w.newTopic()
	api := w.serving("sources", main, "K_SINK="+t.sink)
	provisioner := w.serving("provisioner", main)
	providers, tenants := w.deliver(t, provisioner, provision.ProvidersPath), w.deliver(t, provisioner, provision.TenantsPath)
	var news atomic.Int64
	for _, p := range []struct {
		name   string
		done   *way
		org    func() string
		n      int
		beside script
		vars   func() []string
	}{
		{"an existing tenant", providers, func() string { return "provided" }, min(w.settings.events, 300), w.provisioning("provided"),
			func() []string {
				return []string{fmt.Sprintf("first=%d", w.pending(main, "provided", w.enough(w.slot)))}
			}},
		{"a new tenant", tenants, func() string { return fmt.Sprintf("new%d", news.Add(1)) }, w.settings.tenants, w.tenantMaking(), w.newTenants},
	} {
		register := func() { // and wait for the provider
			c := w.load(api.url, http.StatusCreated, nil).client()
			defer c.conn.Close()
			if _, err := c.call(request(http.MethodPost, httpapi.Prefix+"/sources", apitest.Header(p.org()), newSource(token()))); err != nil {
				w.Error(err)
				return
			}
			var made struct{ ID string }
			if err := json.Unmarshal(c.body.Bytes(), &made); err != nil {
				w.Error(err)
				return
			}
			<-p.done.of("sources/" + made.ID)
		}
		for range 3 {
			register() // connects all that is to be connected, and joins the groups
		}
		for _, clients := range []int{1, atOnce} {
			each := timesOf(clients, p.n, register)
			w.add(fmt.Sprintf("POST to the provider of %s, %d at once, p50", p.name, clients), median(each), "ms",
				"pgbench, the provisioner's statements", p.beside.latency(clients, p.vars()...), "")
		}
	}
	w.add("provisioner: memory after the load", w.memory(provisioner), "MB", "", 0, "")
	w.quiet(main)
}

// timesOf has do done n times, so many at once, and returns how many milliseconds each took.
func timesOf(clients, n int, do func()) (each []float64) {
	todo, taken := make(chan struct{}, n), make(chan float64, n)
	for range n {
		todo <- struct{}{}
	}
	close(todo)
	for range clients {
		go func() {
			for range todo {
				begun := time.Now()
				do()
				taken <- milliseconds(time.Since(begun))
			}
		}()
	}
	for range n {
		each = append(each, <-taken)
	}
	return each
}

// provisioning is what the provisioner does for a source of an existing tenant.
func (w *world) provisioning(org string) script {
	w.Helper()
	s := w.script(main, "provisioner", nil, func(url string) *strings.Replacer {
		id := w.pending(main, org, 1)
		w.event(url, provision.ProvidersPath, id)
		w.mustBeReady(id)
		return ids(id)
	})
	s.text = own(s.text)
	return s
}

// mustBeReady sees to it that what was logged is the making of a provider.
func (w *world) mustBeReady(id int64) {
	w.Helper()
	var state string
	if err := w.sql[main].QueryRow(w.Context(), `SELECT state FROM sources.source WHERE id = $1`, id).Scan(&state); err != nil || state != "ready" {
		w.Fatalf("the source is %s, %v; want it ready", state, err)
	}
}

// tenantMaking is what it does for the first source of an organization.
func (w *world) tenantMaking() script {
	w.Helper()
	s := w.script(main, "provisioner", nil, func(url string) *strings.Replacer {
		id := w.next[main]
		w.pending(main, fmt.Sprintf("made%d", id), 1)
		w.event(url, provision.TenantsPath, id)
		w.mustBeReady(id)
		return ids(id)
	})
	s.text = own(s.text)
	return s
}

// newTenants makes sources of as many organizations, whose tenants pgbench is to make.
func (w *world) newTenants() []string {
	w.Helper()
	first := w.next[main]
	for range int64(w.slot/time.Second)*300 + 100 {
		w.pending(main, fmt.Sprintf("made%d", w.next[main]), 1)
	}
	return []string{fmt.Sprintf("first=%d", first)}
}

// anEvent is a request that tells a function of a source.
func anEvent(path string, id int64, kind string) []byte {
	data := fmt.Sprintf(`{"source_id": %d}`, id)
	return fmt.Appendf(nil, "POST %s HTTP/1.1\r\nHost: bench\r\nCe-Specversion: 1.0\r\nCe-Id: %d\r\nCe-Source: /api/cost-management/v1/sources\r\n"+
		"Ce-Type: %s\r\nCe-Subject: sources/%d\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", path, token(), kind, id, len(data), data)
}

func (w *world) event(url, path string, id int64) {
	w.Helper()
	w.once(url, kind{status: http.StatusNoContent}, anEvent(path, id, "source.update"))
}

// eventFunctions measures the two that events trigger by themselves.
func (w *world) eventFunctions() {
	provisioner := w.serving("provisioner", main)
	s := w.provisioning("provided")
	s.keep("provisioner")
	for _, clients := range []int{1, atOnce} {
		w.inTurns(row{Figure: fmt.Sprintf("provisioner, %d at once", clients), Unit: "events/s", Beside: "pgbench", Aim: "≥ 0.67"},
			func() float64 { return w.provision(main, "provided", provisioner).rateOf(clients, w.slot) },
			func() float64 {
				return s.rate(clients, fmt.Sprintf("first=%d", w.pending(main, "provided", w.enough(w.slot))))
			})
	}
	cleanup := w.serving("ros-cleanup", main)
	clean := w.script(main, "ros-cleanup", nil, func(url string) *strings.Replacer {
		id := w.gone(1)
		w.once(url, kind{status: http.StatusNoContent}, anEvent("/", id, "source.delete"))
		return ids(id)
	})
	clean.text, clean.role = own(clean.text), ""
	clean.keep("ros-cleanup")
	for _, clients := range []int{1, atOnce} {
		w.inTurns(row{Figure: fmt.Sprintf("ros-cleanup, %d at once", clients), Unit: "events/s", Beside: "pgbench"},
			func() float64 {
				first := w.gone(w.enough(w.slot))
				l := w.load(cleanup.url, http.StatusNoContent, func(n int64) []byte { return anEvent("/", first+n-1, "source.delete") })
				return l.rateOf(clients, w.slot)
			},
			func() float64 { return clean.rate(clients, fmt.Sprintf("first=%d", w.gone(w.enough(w.slot)))) })
	}
	w.add("ros-cleanup: memory after the load", w.memory(cleanup), "MB", "", 0, "")
}

// provision has the provisioner told of sources that have no provider yet.
func (w *world) provision(db, org string, provisioner running) load {
	w.Helper()
	first := w.pending(db, org, w.enough(w.slot))
	return w.load(provisioner.url, http.StatusNoContent, func(n int64) []byte { return anEvent(provision.ProvidersPath, first+n-1, "source.update") })
}

func (l load) rateOf(clients int, d time.Duration) float64 {
	l.world.Helper()
	rate, _ := l.run(clients, d)
	return rate
}

// gone puts sources into the database that are deleted and may have data in ROS, and returns the id of the first.
func (w *world) gone(n int) (first int64) {
	w.Helper()
	first = w.pending(main, "gone", n)
	w.execute(main, `UPDATE sources.source SET deleted_at = now(), state = 'waiting', observed_generation = generation WHERE org_id = 'gone' AND id >= $1`, first)
	w.execute(main, `DELETE FROM public.api_sources WHERE org_id = 'gone'`)
	w.execute(main, `INSERT INTO rh_accounts (org_id) VALUES ('gone') ON CONFLICT DO NOTHING`)
	return first
}

// drain measures how fast the relay sends what waits.
func (w *world) drain() {
	t := w.newTopic()
	relay := w.serving("relay", main, "K_SINK="+t.sink)
	produce, stop := t.producer()
	defer stop()
	rate := w.drainOf(main, "listed", w.listed, w.drained, t, relay)
	w.add(fmt.Sprintf("outbox of %d drained", w.drained), rate, "events/s", "the producer, 8 at once", t.produceAtOnce(produce, 8, min(w.drained, 20_000)), "")
	w.add("relay: memory after the load", w.memory(relay), "MB", "", 0, "")
}

// drainOf fills an outbox, has the relay send it, and returns how many events that was a second.
func (w *world) drainOf(db, org string, sources, n int, t *topic, relay running) float64 {
	w.Helper()
	w.execute(db, `
		WITH e AS MATERIALIZED (
			SELECT s.*, s.sequence + 1000 + n AS of, gen_random_uuid() AS event_id
			FROM sources.source s, generate_series(0, $2::int / $3::int) n
			WHERE s.org_id = $1 LIMIT $2::int
		)
		INSERT INTO sources.outbox (source_id, sequence, id, event)
		SELECT e.id, e.of, e.event_id, json_build_object('specversion', '1.0', 'id', e.event_id,
			'source', '/api/cost-management/v1/sources', 'type', 'source.update', 'subject', 'sources/' || e.id, 'time', now(),
			'partitionkey', e.id::text, 'sequence', e.of::text, 'orgid', e.org_id, 'datacontenttype', 'application/json',
			'data', json_build_object('id', e.id, 'source_id', e.id, 'source_uuid', e.uuid, 'application_type_id', 0,
				'org_id', e.org_id, 'account_number', e.account_number, 'tenant', e.org_id, 'name', e.name, 'source_type_id', 1,
				'source_type', 'OCP', 'cluster_id', e.cluster_id, 'paused', false, 'extra', '{}'::json))
		FROM e`, org, n, sources)
	w.execute(db, `ANALYZE sources.outbox`)
	before, begun := t.count(), time.Now()
	ctx, cancel := context.WithTimeout(w.Context(), 10*time.Minute)
	defer cancel()
	for waits := true; waits && ctx.Err() == nil; { // as a PingSource does
		c := w.load(relay.url, http.StatusNoContent, nil).client()
		_, err := c.call(fmt.Appendf(nil, "POST / HTTP/1.1\r\nHost: bench\r\nCe-Specversion: 1.0\r\nCe-Id: %d\r\nCe-Source: /ping\r\n"+
			"Ce-Type: dev.knative.sources.ping\r\nContent-Length: 0\r\n\r\n", token()))
		c.conn.Close()
		if scanErr := w.sql[db].QueryRow(ctx, `SELECT EXISTS (SELECT FROM sources.outbox)`).Scan(&waits); scanErr != nil {
			w.Fatal(scanErr)
		}
		if !waits && err != nil {
			w.Fatal(err)
		}
	}
	t.await(before + n)
	return float64(n) / time.Since(begun).Seconds()
}
