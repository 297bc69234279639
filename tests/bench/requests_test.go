package bench_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"time"

	"github.com/insights-onprem/cost-sources/shared/httpapi"
	"github.com/insights-onprem/cost-sources/shared/httpapi/apitest"
)

// A kind of request to the sources API.
type kind struct {
	name   string
	status int
	aim    float64 // of pgbench's rate
	make   func(org string, id int64) []byte
	// other says that it adds or removes sources, and so is for another organization than the one that is listed. What
	// removes a source can be asked of it only once.
	other, removes bool
}

var kinds = []kind{
	{name: "GET one", status: http.StatusOK, aim: 0.6, make: func(org string, id int64) []byte {
		return request(http.MethodGet, fmt.Sprintf("%s/sources/%d", httpapi.Prefix, id), apitest.Header(org), "")
	}},
	{name: "GET list", status: http.StatusOK, aim: 0.6, make: func(org string, _ int64) []byte {
		return request(http.MethodGet, httpapi.Prefix+"/sources?limit=20", apitest.Header(org), "")
	}},
	{name: "POST", status: http.StatusCreated, aim: 0.7, other: true, make: func(org string, _ int64) []byte {
		return request(http.MethodPost, httpapi.Prefix+"/sources", apitest.Header(org), newSource(token()))
	}},
	{name: "PATCH", status: http.StatusOK, aim: 0.7, make: func(org string, id int64) []byte {
		return request(http.MethodPatch, fmt.Sprintf("%s/sources/%d", httpapi.Prefix, id), apitest.Header(org), `{"paused": false}`)
	}},
	{name: "DELETE", status: http.StatusNoContent, aim: 0.7, other: true, removes: true, make: func(org string, id int64) []byte {
		return request(http.MethodDelete, fmt.Sprintf("%s/sources/%d", httpapi.Prefix, id), apitest.Header(org), "")
	}},
}

// token is a number of ten digits, for what has to be unique.
func token() int64 { return 1_000_000_000 + rand.Int64N(8_000_000_000) }

func newSource(token int64) string {
	return fmt.Sprintf(`{"name": "cluster %d", "source_type_id": "1", "source_ref": "new-%d"}`, token, token)
}

// A target is an organization of a database, with ready sources, behind a function.
type target struct {
	db, org string
	first   int64
	count   int
	url     string
}

// requests measures what the API does, at each number of clients, beside the same statements.
func (w *world) requests() {
	t := target{db: main, org: "listed", first: 1_000_000_001, count: w.listed, url: w.serving("sources", main).url}
	empty := w.start("empty", "")
	defer empty.Kill()
	nothing := func(int64) []byte { return request(http.MethodGet, "/", "", "") }
	for _, clients := range w.clients {
		rate, each := w.load(empty.url, http.StatusOK, nothing).run(clients, w.slot)
		w.add(fmt.Sprintf("an empty handler, %d at once", clients), rate, "/s", "", 0, "")
		w.add(fmt.Sprintf("— p50, %d at once", clients), median(each), "ms", "", 0, "")
	}
	for _, k := range kinds {
		s := w.scriptOf(k, t)
		s.keep(k.name)
		for _, clients := range w.clients {
			w.compare(k, t, s, clients)
		}
	}
}

// compare measures a kind of request beside its statements.
func (w *world) compare(k kind, t target, s script, clients int) {
	w.Helper()
	var each []float64
	aim := ""
	if clients == atOnce {
		aim = fmt.Sprintf("≥ %.2f", k.aim)
	}
	r := row{Figure: fmt.Sprintf("%s, %d at once", k.name, clients), Unit: "/s", Beside: "pgbench", Aim: aim}
	w.inTurns(r, func() float64 {
		l, begun := w.loadOf(k, t, w.enough(w.slot)), time.Now()
		_, times := l.run(clients, w.slot)
		w.quiet(t.db) // pgbench sends the events too
		each = append(each, times...)
		return float64(len(times)) / time.Since(begun).Seconds()
	}, func() float64 { return s.rate(min(clients, atOnce), w.variables(k, t)...) })
	w.add(fmt.Sprintf("— p50, %d at once", clients), median(each), "ms", "", 0, "")
	w.add(fmt.Sprintf("— p99, %d at once", clients), quantile(each, 0.99), "ms", "", 0, "")
}

// enough is how many sources one turn can use up, at most.
func (w *world) enough(d time.Duration) int { return int(8000 * (d + time.Second) / time.Second) }

// loadOf has clients send a kind of request, so many at most where each needs a source of its own.
func (w *world) loadOf(k kind, t target, most int) load {
	w.Helper()
	org, id := k.org(t), func(int64) int64 { return t.first + rand.Int64N(int64(t.count)) }
	if k.removes {
		first := w.pending(t.db, org, most)
		id = func(n int64) int64 { return first + n - 1 }
	}
	return w.load(t.url, k.status, func(n int64) []byte { return k.make(org, id(n)) })
}

// org is the organization that a kind of request is for.
func (k kind) org(t target) string {
	if k.other {
		return t.org + "other"
	}
	return t.org
}

// variables are pgbench's for a turn of a kind of request.
func (w *world) variables(k kind, t target) []string {
	w.Helper()
	if k.removes {
		return []string{fmt.Sprintf("first=%d", w.pending(t.db, k.org(t), w.enough(w.slot)))}
	}
	return []string{fmt.Sprintf("first=%d", t.first), fmt.Sprintf("count=%d", t.count)}
}

// scriptOf finds out what a kind of request means to PostgreSQL.
func (w *world) scriptOf(k kind, t target) script {
	w.Helper()
	org := k.org(t)
	if k.name == "POST" {
		s := w.script(t.db, "sources", nil, func(url string) *strings.Replacer { return w.post(url, org) })
		s.text = "\\set token random(1000000000, 9000000000)\n" + s.text
		return s
	}
	s := w.script(t.db, "sources", nil, func(url string) *strings.Replacer {
		id := t.first
		if k.removes {
			id = w.pending(t.db, org, 1)
		}
		w.once(url, k, k.make(org, id))
		return ids(id)
	})
	if k.removes {
		s.text = own(s.text)
	} else {
		s.text = "\\set id random(:first, :first + :count - 1)\n" + s.text
	}
	return s
}

// once sends one request and returns the answer.
func (w *world) once(url string, k kind, request []byte) []byte {
	w.Helper()
	c := w.load(url, k.status, nil).client()
	defer c.conn.Close()
	if _, err := c.call(request); err != nil {
		w.Fatal(err)
	}
	return c.body.Bytes()
}

// post makes a source, and returns what of it is another one's each time.
func (w *world) post(url, org string) *strings.Replacer {
	w.Helper()
	token := token()
	answer := w.once(url, kinds[2], request(http.MethodPost, httpapi.Prefix+"/sources", apitest.Header(org), newSource(token)))
	var made struct{ ID, UUID string }
	if err := json.Unmarshal(answer, &made); err != nil {
		w.Fatal(err)
	}
	return strings.NewReplacer(fmt.Sprint(token), ":token", made.UUID, ":row_uuid", ":"+made.ID, ": :row_id", made.ID, ":row_id")
}

// tail measures what hardly any request takes longer than, at a load that leaves room.
func (w *world) tail() {
	t := target{db: main, org: "listed", first: 1_000_000_001, count: w.listed, url: w.serving("sources", main).url}
	for _, k := range kinds {
		rate, _ := w.loadOf(k, t, w.enough(w.slot)).run(atOnce, w.slot)
		_, alone := w.loadOf(k, t, w.enough(w.slot)).run(1, w.slot)
		each := w.loadOf(k, t, int(rate*w.steady.Seconds())).steady(0.7*rate, w.steady)
		w.add(fmt.Sprintf("%s, p99.9 at 70 %% of its rate", k.name), quantile(each, 0.999), "ms", "without load", quantile(alone, 0.999), "")
		w.quiet(main)
	}
}
