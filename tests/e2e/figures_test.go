//go:build e2e

package e2e_test

import (
	"flag"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
)

var rounds = flag.Int("rounds", 20, "in which each figure is measured")

const pingsAnHour = 12 // of the PingSource

// TestFigures prints how fast and how dear it is. It fails only where a request does.
func TestFigures(t *testing.T) {
	w := withWorld(t)
	w.freshRevisions(t)
	w.deployEmpty(t)
	if err := w.ping(t.Context()); err != nil { // so that a pod of the relay has come to its end in the end
		t.Error(err)
	}
	var f figures
	f.processes(t)
	f.coldStarts(t, w)
	f.podSeconds(t, w)
	fmt.Println(f.table())
	if path := os.Getenv("FIGURES"); path != "" {
		if err := os.WriteFile(path, []byte(f.table()), 0o644); err != nil {
			t.Error(err)
		}
	}
}

// freshRevisions deploys revisions that nothing has happened to. Where pods of one have been killed, Knative's activator
// takes a longer way to the others for as long as the revision lives.
func (w *world) freshRevisions(t *testing.T) {
	t.Helper()
	if err := w.configure(w.version, map[string]string{"LOG_LEVEL": "warn"}); err != nil {
		t.Fatal(err)
	}
	if err := w.deploy(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// figures are the rows of a table.
type figures struct {
	rows  []string
	began time.Time // of the cold starts
}

func (f *figures) add(what, format string, args ...any) {
	f.rows = append(f.rows, fmt.Sprintf("| %s | %s |", what, fmt.Sprintf(format, args...)))
}

func (f *figures) table() string {
	return fmt.Sprintf("| measured %d times each, on %d cores | |\n| --- | --- |\n%s\n", *rounds, runtime.NumCPU(), strings.Join(f.rows, "\n"))
}

// A sample is what was measured of one thing.
type sample []time.Duration

// quantile is what the given part of the sample is not above.
func (s sample) quantile(q float64) time.Duration {
	sorted := slices.Sorted(slices.Values(s))
	return sorted[min(len(sorted)-1, int(q*float64(len(sorted))))]
}

func (s sample) String() string {
	return fmt.Sprintf("median %.3f s, p99 %.3f s", s.quantile(0.5).Seconds(), s.quantile(0.99).Seconds())
}

// coldStarts asks functions that are at zero, in turn with one that does nothing. While one of them gets cold again the
// others are asked.
func (f *figures) coldStarts(t *testing.T, w *world) {
	t.Helper()
	const org = "figures1"
	c := w.client(t, org)
	var empty, read, registered, provided sample
	failed := 0
	measure := func(into *sample, ask func() error) {
		began := time.Now()
		if err := ask(); err != nil {
			failed++
			t.Error(err)
		}
		*into = append(*into, time.Since(began))
	}
	f.began = time.Now()
	for round := range *rounds {
		w.awaitCold(t, "sources", "provisioner", "ros-cleanup", "relay")
		cluster := fmt.Sprintf("figures-%d", round)
		began := time.Now()
		measure(&registered, func() error { return c.answered(t, 201, call{"POST", "/sources/", registration(cluster), cluster}) })
		w.awaitProvider(t, org, cluster)
		provided = append(provided, time.Since(began))

		others := []func(){
			func() {
				w.awaitCold(t, "empty")
				measure(&empty, func() error { return w.askEmpty(t.Context()) })
			},
			func() {
				w.awaitCold(t, "applications")
				measure(&read, func() error { return c.answered(t, 200, call{method: "GET", path: "/applications"}) })
			},
		}
		others[round%2]()
		others[1-round%2]()
	}
	f.add("a GET of a cold function until its answer", "%s", read)
	f.add("a POST of a cold function until its answer", "%s", registered)
	f.add("a request of an empty Go function that is cold", "%s", empty)
	f.add("GET to empty, POST to empty (medians)", "%.2f, %.2f", ratio(read, empty), ratio(registered, empty))
	f.add("failed of these requests", "%d of %d", failed, 3**rounds)
	f.add("a POST, with its functions at zero, until its provider", "%s", provided)
}

func ratio(a, b sample) float64 { return a.quantile(0.5).Seconds() / b.quantile(0.5).Seconds() }

// podSeconds adds up what the pods that have come to their end took. An idle hour has pingsAnHour, each of which wakes
// the relay; a registration wakes one pod of each of three functions, sometimes more.
func (f *figures) podSeconds(t *testing.T, w *world) {
	t.Helper()
	all, _, err := w.pods.list()
	if err != nil {
		t.Fatal(err)
	}
	ping := lifetimes(of(all, "relay")).mean().Seconds()
	f.add("pod-seconds of an idle hour", "%.0f: %d pings, for each a pod of the relay, on average %.0f s from its creation to its end", pingsAnHour*ping, pingsAnHour, ping)
	made := since(of(all, "sources", "provisioner", "ros-cleanup"), f.began)
	pods, life := float64(len(made))/float64(*rounds), lifetimes(made).mean().Seconds()
	f.add("pod-seconds of a registration, with its functions at zero", "%.0f: %.1f pods of %.0f s", pods*life, pods, life)
}

// lifetimes are how long pods were there.
func lifetimes(all []pod) (s sample) {
	for _, p := range all {
		if !p.gone.IsZero() {
			s = append(s, p.gone.Sub(p.created))
		}
	}
	return s
}

func (s sample) mean() (mean time.Duration) {
	for _, d := range s {
		mean += d / time.Duration(len(s))
	}
	return mean
}
