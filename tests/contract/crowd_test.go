package contract_test

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/insights-onprem/cost-sources/shared/httpapi/apitest"
	"github.com/insights-onprem/cost-sources/shared/sources"
)

// crowd lets 64 clients, eight in each of eight organizations, do what comes to their minds at the same
// time, CONTRACT_OPERATIONS times each. Each knows all that it has made and sees it in every list, by
// count and by row; they take clusters from each other, within an organization and across.
func crowd(t *testing.T, s site) {
	const clients, organizations = 64, 8
	seed := crowdSeed(t)
	n := operations(t, 25)
	t.Logf("CONTRACT_SEED=%d CONTRACT_OPERATIONS=%d", seed, n)
	given := &idsGiven{seen: map[string]bool{}}
	members := make([]*member, clients)
	var all sync.WaitGroup
	for i := range members {
		members[i] = &member{site: s, ctx: t.Context, given: given, org: fmt.Sprintf("crowd%d", i%organizations), prefix: fmt.Sprintf("client %d, ", i),
			rand: rand.New(rand.NewPCG(seed, uint64(i))), own: map[string]owned{}}
		all.Go(func() {
			if err := members[i].run(n); err != nil {
				t.Errorf("%s%v", members[i].prefix, err)
			}
		})
	}
	all.Wait()
	if t.Failed() {
		return
	}
	made := map[string]int{}
	for _, m := range members {
		made[m.org] += len(m.own)
	}
	for org, want := range made {
		s.whole(t, org, want)
	}
}

func crowdSeed(t *testing.T) uint64 {
	t.Helper()
	text := os.Getenv("CONTRACT_SEED")
	if text == "" {
		return rand.Uint64()
	}
	seed, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		t.Fatalf("CONTRACT_SEED: %v", err)
	}
	return seed
}

// whole: an organization has as many sources as its clients have left in it, and no cluster twice.
func (s site) whole(t *testing.T, org string, want int) {
	t.Helper()
	seen, clusters := []string{}, map[string]string{}
	for offset := 0; offset == 0 || offset < want; offset += 1000 {
		page := s.want(t, 200, call{method: "GET", path: fmt.Sprintf("/sources?limit=1000&offset=%d", offset), org: org})
		if count(page) != want {
			t.Errorf("%s counts %d sources, want %d", org, count(page), want)
		}
		seen = append(seen, rows(page, "id")...)
		refs := rows(page, "source_ref")
		for i, id := range rows(page, "id") {
			if first, twice := clusters[refs[i]]; twice && refs[i] != "<nil>" {
				t.Errorf("cluster %s of %s has the sources %s and %s", refs[i], org, first, id)
			}
			clusters[refs[i]] = id
		}
	}
	slices.Sort(seen)
	if len(slices.Compact(slices.Clone(seen))) != want {
		t.Errorf("%s lists %d sources, want %d, each once", org, len(seen), want)
	}
}

// idsGiven are all ids and UUIDs that were ever given out.
type idsGiven struct {
	mu   sync.Mutex
	seen map[string]bool
}

func (g *idsGiven) add(ids ...string) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, id := range ids {
		if g.seen[id] {
			return fmt.Errorf("%s was given out twice", id)
		}
		g.seen[id] = true
	}
	return nil
}

// A member is one client of a crowd.
type member struct {
	site
	ctx         func() context.Context // of the test
	given       *idsGiven
	org, prefix string
	rand        *rand.Rand
	own         map[string]owned // by id
	made        int
}

// owned is what a member knows of a source of its own.
type owned struct {
	name, cluster string // <nil> without a cluster
	paused        bool
}

func (m *member) run(operations int) error {
	for i := range operations {
		if err := m.step(); err != nil {
			return fmt.Errorf("operation %d: %w", i, err)
		}
	}
	return m.list()
}

// step does something, and more often makes than takes away.
func (m *member) step() error {
	roll := m.rand.IntN(10)
	if len(m.own) == 0 {
		roll = 0
	}
	ids := slices.Sorted(maps.Keys(m.own)) // so that the seed decides
	pick := func() string { return ids[m.rand.IntN(len(ids))] }
	switch roll {
	case 0, 1, 2:
		return m.create()
	case 3:
		return m.change(pick(), func(o *owned) string {
			m.made++
			o.name = m.prefix + "renamed " + strconv.Itoa(m.made)
			return fmt.Sprintf(`{"name": %q}`, o.name)
		})
	case 4:
		return m.change(pick(), func(o *owned) string {
			o.paused = !o.paused
			return fmt.Sprintf(`{"paused": %v}`, o.paused)
		})
	case 5:
		return m.change(pick(), func(o *owned) string {
			o.cluster = m.cluster()
			return fmt.Sprintf(`{"source_ref": %q}`, o.cluster)
		})
	case 6, 7:
		return m.list()
	case 8:
		return m.read(pick())
	default:
		return m.remove(pick())
	}
}

// cluster is one of a few, so that others want it too.
func (m *member) cluster() string { return fmt.Sprintf("wanted-%d", m.rand.IntN(30)) }

// send makes a call that has to be answered with a status, or with the 400 of a cluster that is taken.
func (m *member) send(status int, c call) (answer apitest.Answer, taken bool, err error) {
	c.org = m.org
	answer, err = m.try(m.ctx(), c)
	if err != nil {
		return answer, false, fmt.Errorf("%s: %w", c, err)
	}
	if strings.Contains(c.body, "source_ref") && answer.Problem() == "400 source.duplicate: "+sources.Duplicate {
		return answer, true, nil
	}
	if answer.Status != status {
		return answer, false, fmt.Errorf("%s = %d %s, want %d", c, answer.Status, answer.Text, status)
	}
	return answer, false, nil
}

func (m *member) create() error {
	m.made++
	o := owned{name: m.prefix + strconv.Itoa(m.made), cluster: "<nil>", paused: m.rand.IntN(4) == 0}
	more := ""
	if m.rand.IntN(2) == 0 {
		o.cluster = m.cluster()
		more = fmt.Sprintf(`, "source_ref": %q`, o.cluster)
	}
	answer, taken, err := m.send(201, call{method: "POST", path: "/sources", body: fmt.Sprintf(`{"name": %q, "source_type_id": "1", "paused": %v%s}`, o.name, o.paused, more)})
	if err != nil || taken {
		return err
	}
	m.own[answer.ID()] = o
	return m.given.add(answer.ID(), fmt.Sprint(answer.Body["uuid"]))
}

// change sends what edit makes of a source.
func (m *member) change(id string, edit func(*owned) string) error {
	o := m.own[id]
	body := edit(&o)
	answer, taken, err := m.send(200, call{method: "PATCH", path: "/sources/" + id, body: body})
	if err != nil || taken {
		return err
	}
	m.own[id] = o
	return o.same(answer.Body)
}

func (m *member) read(id string) error {
	answer, _, err := m.send(200, call{method: "GET", path: "/sources/" + id})
	if err != nil {
		return err
	}
	return m.own[id].same(answer.Body)
}

// remove takes a source away and looks for it.
func (m *member) remove(id string) error {
	if _, _, err := m.send(204, call{method: "DELETE", path: "/sources/" + id}); err != nil {
		return err
	}
	delete(m.own, id)
	_, _, err := m.send(404, call{method: []string{"GET", "DELETE"}[m.rand.IntN(2)], path: "/sources/" + id})
	return err
}

// list compares with what the member knows, and counts the paused ones.
func (m *member) list() error {
	of := "filter[name][starts_with]=" + strings.ReplaceAll(m.prefix, " ", "%20")
	answer, _, err := m.send(200, call{method: "GET", path: "/sources?limit=1000&" + of})
	if err != nil {
		return err
	}
	data, _ := answer.Body["data"].([]any)
	if count(answer) != len(m.own) || len(data) != len(m.own) {
		return fmt.Errorf("a list counts %d and has %d rows, want %d", count(answer), len(data), len(m.own))
	}
	for _, row := range data {
		fields, _ := row.(map[string]any)
		known, ok := m.own[fmt.Sprint(fields["id"])]
		if !ok {
			return fmt.Errorf("a list has %v, which was not made or is gone", fields)
		}
		if err := known.same(fields); err != nil {
			return err
		}
	}
	answer, _, err = m.send(200, call{method: "GET", path: "/sources?limit=1&paused=true&" + of})
	if paused := m.paused(); err == nil && count(answer) != paused {
		return fmt.Errorf("a list counts %d paused sources, want %d", count(answer), paused)
	}
	return err
}

func (m *member) paused() (n int) {
	for _, o := range m.own {
		if o.paused {
			n++
		}
	}
	return n
}

// same reports how what is shown of a source differs from what is known of it.
func (o owned) same(shown map[string]any) error {
	if shown["name"] != o.name || fmt.Sprint(shown["source_ref"]) != o.cluster || shown["paused"] != o.paused {
		return fmt.Errorf("a source is %v, want %+v", shown, o)
	}
	return nil
}
