package bench_test

import (
	"fmt"
	"net/http"
	"time"
)

// perOrg is how many sources an organization has in registries of every size: it is not the one organization that grows.
const perOrg = 1000

// growth measures everything in registries of several sizes, in turns, each beside the smallest.
func (w *world) growth() {
	type place struct {
		target
		size               int
		provisioner, relay running
	}
	var places []place
	topic := w.newTopic()
	for _, size := range w.settings.growth {
		db := fmt.Sprintf("growth%d", size)
		w.database(db)
		var first int64
		for n := range (size + perOrg - 1) / perOrg {
			first = w.seed(db, fmt.Sprintf("org%d", n), min(perOrg, size))
		}
		p := place{size: size, target: target{db: db, org: fmt.Sprintf("org%d", (size-1)/perOrg), first: first, count: min(perOrg, size)}}
		p.url = w.serving("sources", db).url
		p.provisioner, p.relay = w.serving("provisioner", db), w.serving("relay", db, "K_SINK="+topic.sink)
		places = append(places, p)
	}
	measures := map[string]func(place) float64{
		"provisioner": func(p place) float64 {
			first := w.pending(p.db, p.org, 100)
			l := w.load(p.provisioner.url, http.StatusNoContent, func(n int64) []byte { return anEvent("/", first+n-1, "source.update") })
			_, each := l.times(4, 100)
			w.execute(p.db, `DELETE FROM sources.source WHERE id >= $1 AND id < 2000000000`, first)
			return median(each)
		},
		"an event of a drain": func(p place) float64 {
			return 1000 / w.drainOf(p.db, p.org, p.count, 2*p.count, topic, p.relay)
		},
	}
	names := []string{"GET one", "GET list", "POST", "PATCH", "DELETE", "provisioner", "an event of a drain"}
	for i, k := range kinds {
		measures[names[i]] = func(p place) float64 {
			_, each := w.few(k, p.target)
			return median(each)
		}
	}
	taken := map[string][][]float64{}
	for range min(w.turns, 2) {
		for _, name := range names {
			for i, p := range places {
				if taken[name] == nil {
					taken[name] = make([][]float64, len(places))
				}
				taken[name][i] = append(taken[name][i], measures[name](p))
			}
		}
	}
	for _, name := range names {
		for i, p := range places[1:] {
			w.add(fmt.Sprintf("%s among %d sources, p50", name, p.size), median(taken[name][i+1]), "ms",
				fmt.Sprintf("among %d", places[0].size), median(taken[name][0]), "≤ 1.3")
		}
	}
}

// few sends a kind of request so often that the registry hardly grows by it.
func (w *world) few(k kind, t target) (rate float64, each []float64) {
	w.Helper()
	defer w.quiet(t.db)
	n := min(50*int(w.slot/time.Second)*w.turns, 300)
	return w.loadOf(k, t, n).times(4, n)
}
