package restored_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/IBM/sarama"

	"github.com/insights-onprem/cost-sources/shared/kafkaevents"
	"github.com/insights-onprem/cost-sources/tests/kafka"
)

// TestRestored is the whole of it: a backup, a life after it, the loss of the database, the backup and the command,
// and a life after that.
func TestRestored(t *testing.T) {
	t.Parallel()

	w := setup(t)
	w.cfg.DatabaseURL = w.lose()
	before := w.snapshot()
	stdout, err := w.run("-dry-run")
	if after := w.snapshot(); err != nil || after != before {
		t.Errorf("-dry-run: %v, and the registry is\n%s, was\n%s", err, after, before)
	}
	for _, want := range []string{"registry  4 sources, 1 of them gone", "1 events in the outbox", "about 6 sources", "ROS       5 sources", "ids above 40",
		"2 not in the registry", `  5  organization "org1"  name "cluster-lost"  cluster "cluster-lost"`, `  40  organization "org1"`,
		"1 living again", `  4  organization "org1"  name "cluster-4"`, "nothing was changed"} {
		if !strings.Contains(stdout, want) {
			t.Errorf("%q is not in\n%s", want, stdout)
		}
	}
	for _, attempt := range []string{"first", "second"} {
		stdout, err = w.run()
		if err != nil || !strings.Contains(stdout, "done      ids go on above 40; 4 sources are asked for again") ||
			!strings.Contains(stdout, "1 living again") {
			t.Fatalf("%s: %v\n%s", attempt, err, stdout)
		}
	}

	l := w.live(true)
	if id := l.add("cluster-lost"); id != "41" {
		t.Errorf("a new source has the id %s, want 41: those before have been seen", id)
	}
	l.api.Want(t, http.StatusOK, "PATCH", "/sources/1", `{"name": "one"}`)
	l.settle()
	repaired := w.holdOrder()
	for _, id := range []string{"sources/2", "sources/4"} { // of the others an event of their own comes first
		if !repaired[id] {
			t.Errorf("%s was not asked for again", id)
		}
	}
	for id, want := range map[int64]bool{1: true, 2: false, 3: true, 5: true, 40: true} {
		if got := w.inROS(id); got != want {
			t.Errorf("ROS has data of source %d: %v, want %v", id, got, want)
		}
	}
}

// lose lives up to a backup and on from there, and returns the backup. Of its sources 2 was deleted before, 4 after it;
// 5 was made after it, 6 made and deleted; 40 is known to ROS alone.
func (w world) lose() (backup string) {
	w.Helper()
	l := w.live(true)
	for i := range 4 {
		l.add(fmt.Sprintf("cluster-%d", i+1))
	}
	l.settle()
	l.api.Want(w.T, http.StatusNoContent, "DELETE", "/sources/2", "")
	l.settle()
	l.stop()
	l = w.live(false) // Kafka is away: this change is in the outbox of the backup
	l.api.Want(w.T, http.StatusOK, "PATCH", "/sources/3", `{"name": "three"}`)
	l.stop()
	backup = w.backup()

	l = w.live(true)
	l.settle()
	for range 3 {
		l.api.Want(w.T, http.StatusOK, "PATCH", "/sources/3", `{}`)
	}
	l.api.Want(w.T, http.StatusNoContent, "DELETE", "/sources/4", "")
	l.add("cluster-lost")
	gone := l.add("cluster-gone")
	l.settle()
	l.api.Want(w.T, http.StatusNoContent, "DELETE", "/sources/"+gone, "")
	l.settle()
	l.stop()
	for _, id := range []int64{1, 2, 3, 5, 40} { // 2 is of an upload that was queued at the delete
		w.seed(id)
	}

	w.sendAgain("sources/3")
	return backup
}

// sendAgain writes the first event of a source once more, as any event may be.
func (w world) sendAgain(subject string) {
	w.Helper()
	records, err := kafka.Records(w.Context(), w.cfg.Brokers, w.cfg.Topic)
	if err != nil {
		w.Fatal(err)
	}
	for _, record := range records {
		if e, err := kafkaevents.Read(record); err != nil || e.Subject() != subject {
			continue
		}
		again := &sarama.ProducerMessage{Topic: record.Topic, Partition: record.Partition, Value: sarama.ByteEncoder(record.Value)}
		for _, header := range record.Headers {
			again.Headers = append(again.Headers, *header)
		}
		w.write(again)
		return
	}
	w.Fatalf("the topic has no event of %s", subject)
}

// write writes records to the partitions that they name.
func (w world) write(records ...*sarama.ProducerMessage) {
	w.Helper()
	if err := kafka.Write(w.cfg.Brokers, records...); err != nil {
		w.Fatal(err)
	}
}

// snapshot is all that the registry says, and what ids it would give next.
func (w world) snapshot() (text string) {
	w.Helper()
	l := w.live(false)
	defer l.stop()
	err := l.sql.QueryRow(w.Context(), `
		SELECT concat((SELECT string_agg(s::text, E'\n' ORDER BY id) FROM sources.source s),
			pg_sequence_last_value(pg_get_serial_sequence('sources.source', 'id')::regclass), '/',
			pg_sequence_last_value(pg_get_serial_sequence('sources.application', 'id')::regclass))`).Scan(&text)
	if err != nil {
		w.Fatal(err)
	}
	return text
}

// holdOrder looks through the topic: the first sending of each event of a source has to come in the order of their
// numbers, and no number may stand for two events. It returns what was asked for again.
func (w world) holdOrder() (repaired map[string]bool) {
	w.Helper()
	records, err := kafka.Records(w.Context(), w.cfg.Brokers, w.cfg.Topic)
	if err != nil {
		w.Fatal(err)
	}
	highest, seen := map[string]string{}, map[string]bool{}
	repaired = map[string]bool{}
	for _, record := range records {
		e, err := kafkaevents.Read(record)
		if err != nil {
			w.Fatal(err)
		}
		if seen[e.ID()] {
			continue
		}
		seen[e.ID()] = true
		number := fmt.Sprintf("%20v", e.Extensions()["sequence"])
		if last := highest[e.Subject()]; number <= last {
			w.Errorf("%s: an event %s of type %s comes after one with %s", e.Subject(), number, e.Type(), last)
		}
		highest[e.Subject()] = number
		repaired[e.Subject()] = repaired[e.Subject()] || e.Extensions()["repair"] == "1"
	}
	return repaired
}

// TestTopicAlone: where there is no ROS, and the backup knows nothing, the topic says which ids were given.
func TestTopicAlone(t *testing.T) {
	t.Parallel()

	w := setup(t)
	w.cfg.ROSDatabaseURL = "off"
	backup := w.backup()
	l := w.live(true)
	l.add("cluster-1")
	l.settle()
	l.stop()
	w.cfg.DatabaseURL = backup
	if stdout, err := w.run(); err != nil || !strings.Contains(stdout, "ROS       0 sources") || !strings.Contains(stdout, "warning: if the backup is older") {
		t.Errorf("%v\n%s", err, stdout)
	}
	l = w.live(false)
	if id := l.add("cluster-2"); id != "2" {
		t.Errorf("a new source has the id %s, want 2", id)
	}
}
