//go:build e2e

package e2e_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestUpgrade: a new version, and the way back, under load.
func TestUpgrade(t *testing.T) {
	w := withWorld(t)
	l := w.startLoad(t, "upgrade")
	l.await(t, 10)
	before := w.revisions(t)
	if err := w.configure(w.next, nil); err != nil {
		t.Fatal(err)
	}
	if err := w.deploy(t.Context(), "upgrade"); err != nil {
		t.Fatal(err)
	}
	after := w.revisions(t)
	for _, name := range functions {
		if after[name] == before[name] {
			t.Errorf("%s has not got another revision than %s", name, before[name])
		}
	}
	l.await(t, 10)
	if err := w.deploy(t.Context(), "rollback"); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(before, w.revisions(t)); diff != "" {
		t.Errorf("revisions after the rollback (-before the upgrade +now):\n%s", diff)
	}
	l.await(t, 10)
	w.checkNothingLost(t, "upgrade", l.end(t))
}

// revisions are those that have the traffic, by function.
func (w *world) revisions(t *testing.T) map[string]string {
	t.Helper()
	out, err := w.do(t.Context(), "get", "ksvc", "--output",
		`jsonpath={range .items[*]}{.metadata.name} {.status.traffic[*].revisionName}{"\n"}{end}`)
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]string{}
	for line := range strings.Lines(out) {
		name, revision, _ := strings.Cut(strings.TrimSpace(line), " ")
		found[name] = revision
	}
	delete(found, "empty")
	return found
}

// TestKilled: pods that are killed, one every few requests, take nothing with them.
func TestKilled(t *testing.T) {
	w := withWorld(t)
	const kills = 12
	l := w.startLoad(t, "killed")
	l.await(t, 10)
	killed := map[string]int{}
	for range kills {
		var victims []pod
		w.await(t, "somebody to kill", func(all []pod) bool {
			victims = nil
			for _, p := range of(all) {
				if p.living() && p.ready {
					victims = append(victims, p)
				}
			}
			return len(victims) > 0
		})
		victim := victims[rand.IntN(len(victims))]
		if _, err := w.do(t.Context(), "delete", "pod", victim.name, "--force", "--grace-period=0", "--wait=false"); err != nil {
			t.Logf("it has gone by itself: %v", err)
			continue
		}
		killed[victim.function]++
		l.await(t, 5)
	}
	t.Log("killed: ", fmt.Sprint(killed))
	if len(killed) < 2 {
		t.Errorf("only pods of %v were killed", killed)
	}
	w.checkNothingLost(t, "killed", l.end(t))
}
