package faults_test

import (
	"testing"
	"time"

	"github.com/IBM/sarama"

	"github.com/insights-onprem/cost-sources/tests/kafka"
)

// TestLostTopic: the topic is lost with events that nobody has seen, and ROS is away for longer than any event is
// retried. The relay asks again until all is done, and no person helps.
func TestLostTopic(t *testing.T) {
	w := newWorld(t, false)
	foreign := w.addForeign()
	resident := w.resident()
	goes, stays, newcomer := resident.register(), resident.register(), &actor{world: w, name: settler, org: settler, rand: resident.rand}
	for _, s := range resident.own {
		w.must(resident.upload(s))
	}
	w.stopConsumers()
	w.must(resident.remove(goes))
	w.must(resident.patch(stays, func(s *thing) string { s.paused = true; return `{"paused": true}` }))
	w.must(newcomer.settle())
	w.awaitSent()
	w.loseTopic()
	w.must(w.ros.kill())
	for _, c := range w.consumers {
		c.start()
	}
	for range 7 {
		w.asksAgain()
	}
	w.must(w.ros.start(t.Context()))
	w.settle()
	w.end()
	w.checkDatabases(append(resident.own, newcomer.own...), foreign)
}

// must is for what no fault stands in the way of.
func (w *world) must(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

// awaitSent waits until the outbox is empty.
func (w *world) awaitSent() {
	w.Helper()
	w.await("the outbox to be empty", func() bool {
		return rows(w, w.sql, `SELECT count(*)::text FROM sources.outbox`)[0] == "0"
	})
}

func (w *world) await(what string, ready func() bool) {
	w.Helper()
	for deadline := time.Now().Add(2 * time.Minute); !ready(); wait(w.Context(), 5*time.Millisecond) {
		if time.Now().After(deadline) {
			w.Fatalf("two minutes later still waiting for %s", what)
		}
	}
}

// loseTopic has the topic made anew, without its records.
func (w *world) loseTopic() {
	w.Helper()
	admin, err := sarama.NewClusterAdmin(w.kafka.Addrs(), sarama.NewConfig())
	w.must(err)
	defer admin.Close()
	w.must(admin.DeleteTopic(w.topic))
	w.await("the topic to be gone", func() bool { return kafka.MakeTopic(w.kafka.Addrs(), w.topic, 3) == nil })
}

// asksAgain has an hour pass, and waits until what is undone in ROS has been asked for again, in vain.
func (w *world) asksAgain() {
	w.Helper()
	before := len(w.lanes["ros-cleanup"].passed())
	w.must(w.anHourLater(w.Context()))
	w.await("the relay to ask again", func() bool { return len(w.lanes["ros-cleanup"].passed()) > before })
}
