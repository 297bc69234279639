package tenants_test

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"time"

	"github.com/insights-onprem/cost-sources/functions/provisioner/provision"
	"github.com/insights-onprem/cost-sources/migrations"
)

// A result is what was measured at one size.
type result struct {
	size    int
	figures []figure
}

// A figure is a line of the table.
type figure struct {
	name  string
	value float64
	unit  string
	small float64 // the same in the small database, 0 if that was not measured
}

// An operation is done with an organization; it does what has to be there before, and returns how long the rest took.
type operation struct {
	name string
	do   func(w *world, org string) (time.Duration, error)
}

var operations = []operation{
	{"a new tenant, with its provider", func(w *world, _ string) (time.Duration, error) {
		id, err := w.register(fmt.Sprintf("new%d", w.clusters.Load()))
		if err != nil {
			return 0, err
		}
		return timed(func() error { return w.event(provision.TenantsPath, id) })
	}},
	{"GET /sources", func(w *world, org string) (time.Duration, error) {
		return timed(func() error {
			_, err := w.call(http.StatusOK, http.MethodGet, "/sources", org, "")
			return err
		})
	}},
	{"a provider", func(w *world, org string) (time.Duration, error) {
		id, err := w.register(org)
		if err != nil {
			return 0, err
		}
		return timed(func() error { return w.event(provision.ProvidersPath, id) })
	}},
	{"a deletion, with its removal", func(w *world, org string) (time.Duration, error) {
		id, err := w.register(org)
		if err == nil {
			err = w.event(provision.ProvidersPath, id)
		}
		if err != nil {
			return 0, err
		}
		return timed(func() error {
			_, err := w.call(http.StatusNoContent, http.MethodDelete, fmt.Sprintf("/sources/%d", id), org, "")
			if err != nil {
				return err
			}
			return w.event(provision.ProvidersPath, id)
		})
	}},
}

func timed(do func() error) (time.Duration, error) {
	begun := time.Now()
	err := do()
	return time.Since(begun), err
}

// measure has both worlds take turns, so that whatever else the machine does meets them alike.
func (r *result) measure(small, grown *world, rounds int) {
	worlds := [2]*world{small, grown}
	times := make([][2][]time.Duration, len(operations))
	for round := range rounds + 1 {
		for i, o := range operations {
			for j, w := range worlds {
				took, err := o.do(w, org(1+rand.IntN(w.orgs)))
				if err != nil {
					w.Fatalf("%s: %v", o.name, err)
				}
				if round > 0 { // the first opens connections
					times[i][j] = append(times[i][j], took)
				}
			}
		}
	}
	for i, o := range operations {
		r.add(o.name, median(times[i][1]), "ms", median(times[i][0]))
	}
}

func (r *result) add(name string, value float64, unit string, small float64) {
	r.figures = append(r.figures, figure{name: name, value: value, unit: unit, small: small})
	progress("%d tenants: %s %.4g %s (%.4g)", r.size, name, value, unit, small)
}

// median is in milliseconds.
func median(times []time.Duration) float64 {
	slices.Sort(times)
	return float64(times[len(times)/2].Microseconds()) / 1000
}

// migrate runs migrate over all tenants when there is nothing to do, and then with one file to run in some of them.
func (r *result) migrate(w *world, behind int) {
	all := func() error { return migrations.AllTenants(w.Context(), w.url, migrations.Options{}) }
	idle, err := timed(all)
	if err != nil {
		w.Fatal(err)
	}
	r.add("migrate, nothing to do", float64(idle.Milliseconds()), "ms", 0)
	for n := 1; n <= behind; n++ {
		w.execute(fmt.Sprintf("DELETE FROM org%d.cost_sources_version WHERE version_id = 2", n))
	}
	busy, err := timed(all)
	if err != nil {
		w.Fatal(err)
	}
	r.add("migrate, each tenant with one file to run", float64((busy-idle).Microseconds())/1000/float64(behind), "ms", 0)
}
