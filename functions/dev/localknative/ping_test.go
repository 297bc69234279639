package localknative_test

import (
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/insights-onprem/cost-sources/functions/dev/localknative"
)

func TestPingTicksAtOnceAndAgain(t *testing.T) {
	t.Parallel()

	url, got := function(t, answering(204))
	ping := localknative.Ping{Namespace: "cost", Name: "relay", SinkURL: url, Interval: time.Hour, Data: `{"why":"because"}`}
	run(t, ping.Run)
	d := next(t, got)
	at, err := time.Parse(time.RFC3339Nano, d.header.Get("Ce-Time"))
	if err != nil || time.Since(at) > time.Hour {
		t.Errorf("time = %v, %v; want that of the tick", at, err)
	}
	for name, want := range map[string]string{
		"Ce-Specversion": "1.0", "Ce-Type": "dev.knative.sources.ping", "Ce-Source": "/apis/v1/namespaces/cost/pingsources/relay",
		"Content-Type": "application/json",
	} {
		if diff := cmp.Diff([]string{want}, d.header[name]); diff != "" {
			t.Errorf("header %s (-want +got):\n%s", name, diff)
		}
	}
	if d.body != ping.Data {
		t.Errorf("body = %s, want %s", d.body, ping.Data)
	}

	ping.Interval, ping.Data = time.Millisecond, ""
	run(t, ping.Run)
	seen := map[string]bool{d.id(): true}
	for range 3 {
		d := next(t, got)
		if seen[d.id()] || d.body != "" {
			t.Errorf("tick %s with body %q, want a new id and none", d.id(), d.body)
		}
		seen[d.id()] = true
	}
}

func TestPingIsRetriedAndThenLost(t *testing.T) {
	t.Parallel()

	url, got := function(t, answering(503))
	ping := localknative.Ping{Namespace: "cost", Name: "relay", SinkURL: url, Interval: time.Millisecond}
	run(t, ping.Run)
	first := next(t, got)
	last, wait := first.at, 50*time.Millisecond
	for range 5 {
		d := next(t, got)
		if d.id() != first.id() || d.at.Sub(last) < wait {
			t.Errorf("tick %s after %v, want %s again after %v at least", d.id(), d.at.Sub(last), first.id(), wait)
		}
		last, wait = d.at, 2*wait
	}
	if d := next(t, got); d.id() == first.id() {
		t.Errorf("tick %s comes a seventh time, want the next", d.id())
	}
}

func TestPingsDoNotOverlap(t *testing.T) {
	t.Parallel()

	var underWay atomic.Int32
	url, got := function(t, func(w http.ResponseWriter, _ *http.Request, _ delivery) {
		if now := underWay.Add(1); now > 1 {
			t.Errorf("%d ticks are under way at once", now)
		}
		<-time.After(20 * time.Millisecond) // a function that takes longer than an interval
		underWay.Add(-1)
		w.WriteHeader(204)
	})
	run(t, localknative.Ping{Namespace: "cost", Name: "relay", SinkURL: url, Interval: time.Millisecond}.Run)
	for range 10 {
		next(t, got)
	}
}

func TestPingRefusesWhatCannotWork(t *testing.T) {
	t.Parallel()

	valid := localknative.Ping{Namespace: "cost", Name: "relay", SinkURL: "http://localhost/", Interval: time.Hour}
	for name, edit := range map[string]func(*localknative.Ping){
		"no namespace":      func(p *localknative.Ping) { p.Namespace = "" },
		"no name":           func(p *localknative.Ping) { p.Name = "" },
		"name no URI holds": func(p *localknative.Ping) { p.Name = "%zz" },
		"no sink":           func(p *localknative.Ping) { p.SinkURL = "" },
		"no interval":       func(p *localknative.Ping) { p.Interval = 0 },
		"data is an array":  func(p *localknative.Ping) { p.Data = "[]" },
		"data is no object": func(p *localknative.Ping) { p.Data = "{" },
	} {
		ping := valid
		edit(&ping)
		if err := ping.Run(t.Context()); err == nil {
			t.Errorf("%s: Run = nil, want an error", name)
		}
	}
}
