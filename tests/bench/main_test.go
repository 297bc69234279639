// Package bench measures how fast the functions are, as they are deployed: each a process of its own, with PostgreSQL as
// it is installed and a broker of Apache Kafka beside them. Each figure stands beside its limit, measured in the same
// run: pgbench with the very statements that PostgreSQL's log has of the request, the producer that writes the same
// bytes, the least server that Go can make. By default it is small, and only holds that everything can be measured;
// BENCH=full is the real one, and PARTS names those that are wanted of it.
package bench_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// settings say how much is measured.
type settings struct {
	clients []int         // of the HTTP API at once
	turns   int           // of each measurement with its limit; the table has the median, and how far they differ
	slot    time.Duration // of one turn; whole seconds, as pgbench counts them
	listed  int           // sources in the organization that is listed
	growth  []int         // sources in the registry
	steady  time.Duration // of the load at 70 %
	events  int           // of each measurement that counts events
	drained int           // events that wait
	starts  int
	tenants int
}

var (
	small = settings{clients: []int{2}, turns: 1, slot: time.Second, listed: 40, growth: []int{20, 40}, steady: time.Second / 2,
		events: 20, drained: 50, starts: 1, tenants: 2}
	full = settings{clients: []int{1, 16, 64}, turns: 3, slot: 2 * time.Second, listed: 10_000, growth: []int{1000, 10_000, 100_000},
		steady: time.Minute, events: 2000, drained: 100_000, starts: 15, tenants: 40}
)

// atOnce is how many clients, events or connections there are where the table does not say. It is what the functions'
// pools have: a pod gets no more requests than it has connections.
const atOnce = 16

// TestBench prints the table, and writes it to the folder that OUT names, as Markdown and as JSON.
func TestBench(t *testing.T) {
	s := small
	if os.Getenv("BENCH") == "full" {
		s = full
	}
	w := newWorld(t, s)
	for _, part := range []struct {
		name    string
		measure func()
	}{
		{"processes", w.processes}, {"requests", w.requests}, {"tail", w.tail}, {"events", w.events},
		{"providers", w.providers}, {"functions", w.eventFunctions}, {"drain", w.drain}, {"growth", w.growth},
	} {
		if only := strings.Fields(os.Getenv("PARTS")); len(only) > 0 && !slices.Contains(only, part.name) {
			continue
		}
		begun := time.Now()
		part.measure()
		progress("%s: %v", part.name, time.Since(begun).Round(time.Second))
	}
	if t.Failed() {
		return
	}
	text := table(w.rows)
	fmt.Println(text)
	if out := os.Getenv("OUT"); out != "" {
		write(t, filepath.Join(out, "bench.md"), []byte(text))
		all, err := json.MarshalIndent(w.rows, "", "  ")
		if err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(out, "bench.json"), all)
	}
}

func write(t testing.TB, path string, text []byte) {
	t.Helper()
	if err := os.WriteFile(path, text, 0o644); err != nil {
		t.Fatal(err)
	}
}

// progress tells a person how far we are.
func progress(format string, args ...any) { fmt.Fprintf(os.Stderr, format+"\n", args...) }
