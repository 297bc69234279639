package faults_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/insights-onprem/cost-sources/functions/ros-cleanup/cleanup/rostest"
)

// foreignCluster is a cluster that a provider of somebody else's has in each organization.
const foreignCluster = "foreign"

// A thing is a source as its actor knows it: what it has been told of every change of it.
type thing struct {
	id          int64
	uuid        string
	org         string
	name        string
	cluster     string // empty if it has none
	paused      bool
	application bool
	gone        bool

	workloads   int             // the most that one upload had
	experiments []string        // what ROS has of it since its last upload
	rosUnknown  bool            // an upload failed, or a cleanup may have come since
	detached    bool            // it has been without an application, and Kruize may have forgotten what ROS still has
	others      map[string]bool // clusters of the bystander's source with the same id
}

// wantsProvider repeats the rule, so that it is held against the one in the code.
func (s *thing) wantsProvider() bool { return !s.gone && s.application && s.cluster != "" }

// An actor is a client that makes changes one after the other, in an organization that it may share. What it does
// follows from its numbers.
type actor struct {
	*world
	org   string
	name  string
	rand  *rand.Rand
	calls int
	own   []*thing
}

// act makes changes until ctx ends; one that has begun then is seen to its end.
func (a *actor) act(ctx context.Context) {
	pause := 300
	if a.name == settler {
		pause = 3000 // to make a schema takes as much of the machine as a hundred changes
	}
	for ctx.Err() == nil {
		if err := a.step(); err != nil {
			a.Errorf("%s in %s: %v", a.name, a.org, err)
			return
		}
		wait(ctx, time.Duration(a.rand.IntN(pause))*time.Millisecond)
	}
}

// wait lets time pass: an actor is a client who thinks, a fault one that lasts.
func wait(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// settler is who registers clusters of organizations that nobody has heard of.
const settler = "settler"

// settle registers two clusters of a new organization, whose tenant has to be made first.
func (a *actor) settle() error {
	a.calls++
	a.org = fmt.Sprintf("%s%d", settler, a.calls)
	return errors.Join(a.create(), a.create())
}

func (a *actor) step() error {
	switch a.name {
	case settler:
		return a.settle()
	case importer:
		return a.tell()
	}
	living := a.living()
	if len(living) == 0 {
		return a.create()
	}
	s := living[a.rand.IntN(len(living))]
	switch n := a.rand.IntN(20); {
	case n < 5:
		return a.create()
	case n < 7:
		return a.attach(s)
	case n < 9:
		return a.patch(s, func(s *thing) string {
			a.calls++
			s.name = fmt.Sprintf("%s-%d", a.name, a.calls)
			return fmt.Sprintf(`{"name": %q}`, s.name)
		})
	case n < 11:
		return a.patch(s, func(s *thing) string {
			s.paused = !s.paused
			return fmt.Sprintf(`{"paused": %v}`, s.paused)
		})
	case n < 13:
		return a.patch(s, func(s *thing) string {
			s.application = s.application || s.cluster == "" // its first cluster brings one
			s.cluster = a.cluster()
			return fmt.Sprintf(`{"source_ref": %q}`, s.cluster)
		})
	case n < 14:
		return a.detach(s)
	case n < 16:
		return a.remove(s)
	default:
		return a.upload(s)
	}
}

func (a *actor) living() (living []*thing) {
	for _, s := range a.own {
		if !s.gone {
			living = append(living, s)
		}
	}
	return living
}

// cluster is one of a few, so that other sources have it, had it and want it, in other organizations too.
func (a *actor) cluster() string {
	if a.rand.IntN(30) == 0 {
		return foreignCluster
	}
	return fmt.Sprintf("cluster-%d", a.rand.IntN(25))
}

// post makes a call that is carried out once, however often it has to be sent.
func (a *actor) post(path, body string) (reply, error) {
	a.calls++
	return a.try(call{"POST", path, body, fmt.Sprintf("%s-%d", a.name, a.calls)})
}

func (a *actor) create() error {
	s := &thing{org: a.org, others: map[string]bool{}, name: fmt.Sprintf("%s-%d", a.name, a.calls), paused: a.rand.IntN(4) == 0}
	more := ""
	if a.rand.IntN(4) > 0 {
		s.cluster, s.application = a.cluster(), true
		more = fmt.Sprintf(`, "source_ref": %q`, s.cluster)
	}
	r, err := a.post("/sources", fmt.Sprintf(`{"name": %q, "source_type_id": "1", "paused": %v%s}`, s.name, s.paused, more))
	if err != nil || r.duplicate() {
		return err
	}
	if r.status != 201 {
		return fmt.Errorf("a source is answered %v", r)
	}
	s.uuid = fmt.Sprint(r.body["uuid"])
	s.id, err = r.id()
	a.own = append(a.own, s)
	return err
}

// attach posts an application, which brings a cluster where there is none.
func (a *actor) attach(s *thing) error {
	cluster := s.cluster
	if cluster == "" {
		cluster = a.cluster()
	}
	r, err := a.post("/applications", fmt.Sprintf(`{"source_id": "%d", "extra": {"cluster_id": %q, "bucket": "b"}}`, s.id, cluster))
	if err != nil || r.duplicate() {
		return err
	}
	if r.status != 201 {
		return fmt.Errorf("an application of source %d is answered %v", s.id, r)
	}
	s.cluster, s.application = cluster, true
	return nil
}

// patch sends what edit makes of a source.
func (a *actor) patch(s *thing, edit func(*thing) string) error {
	after := *s
	body := edit(&after)
	r, err := a.try(call{method: "PATCH", path: fmt.Sprintf("/sources/%d", s.id), body: body})
	if err != nil || r.duplicate() {
		return err
	}
	if r.status != 200 {
		return fmt.Errorf("source %d with %s is answered %v", s.id, body, r)
	}
	*s = after
	return nil
}

// detach removes a source's application.
func (a *actor) detach(s *thing) error {
	if !s.application {
		return nil
	}
	r, err := a.try(call{method: "GET", path: fmt.Sprintf("/applications?source_id=%d", s.id)})
	if err != nil {
		return err
	}
	data, _ := r.body["data"].([]any)
	if len(data) != 1 {
		return fmt.Errorf("source %d has the applications %v", s.id, r)
	}
	application, _ := data[0].(map[string]any)
	if err := a.delete(fmt.Sprintf("/applications/%v", application["id"])); err != nil {
		return err
	}
	s.application, s.rosUnknown, s.detached = false, true, true
	return nil
}

func (a *actor) remove(s *thing) error {
	if err := a.delete(fmt.Sprintf("/sources/%d", s.id)); err != nil {
		return err
	}
	s.gone = true
	return nil
}

// delete has something removed. Where it may have gone by an earlier try, it is no longer there for the next.
func (a *actor) delete(path string) error {
	r, err := a.try(call{method: "DELETE", path: path})
	if err != nil || r.status == 204 || r.status == 404 && r.unsure {
		return err
	}
	return fmt.Errorf("the delete of %s is answered %v", path, r)
}

// bystander is an organization whose ROS data has the ids of our sources, and nothing to do with them.
const bystander = "bystander"

// upload has ROS get data of a source, and of one of the bystander's with the same id. Where ROS is away, that waits
// for another time.
func (a *actor) upload(s *thing) error {
	if !s.wantsProvider() {
		return nil
	}
	s.workloads += 1 + a.rand.IntN(3)
	s.rosUnknown = true
	if err := a.seed(s); err != nil {
		a.rosSQL.Reset() // or the next upload would be given another connection that is dead
	}
	return nil
}

func (a *actor) seed(s *thing) error {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := rostest.Seed(ctx, a.rosSQL, bystander, s.id, s.cluster, "alias", 1); err != nil {
		return err
	}
	s.others[s.cluster] = true
	if err := rostest.Seed(ctx, a.rosSQL, a.org, s.id, s.cluster, "alias", s.workloads); err != nil {
		return err
	}
	experiments, err := rostest.Experiments(ctx, a.rosSQL, a.org, s.id)
	if err != nil {
		return err
	}
	a.kruize.Learn(experiments)
	s.experiments, s.rosUnknown = experiments, false
	return nil
}
