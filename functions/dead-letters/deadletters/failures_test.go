package deadletters_test

import (
	"context"
	"strings"
	"testing"

	"github.com/insights-onprem/cost-sources/shared/store"
)

// TestRedriveNeedsKafkaFirst: what cannot be sent is not counted.
func TestRedriveNeedsKafkaFirst(t *testing.T) {
	t.Parallel()

	w := setup(t)
	w.write(deadRecord("a", "{}"))
	away := w
	away.cfg.Brokers = []string{"127.0.0.1:1"}
	for _, args := range [][]string{{"list"}, {"redrive", "-why", "x", "-all"}} {
		if _, _, err := away.run(args...); err == nil || !strings.HasPrefix(err.Error(), "KAFKA_BROKERS: ") {
			t.Errorf("%s without Kafka: %v", args[0], err)
		}
	}
	lost := w
	lost.cfg.Topic = "no-such-topic"
	if _, _, err := lost.redrive("-all"); err == nil || !strings.HasPrefix(err.Error(), "SOURCES_EVENT_TOPIC: ") {
		t.Errorf("without the topic: %v", err)
	}
	if n := w.count("sources.redrive"); n != 0 {
		t.Errorf("%d events counted, want 0", n)
	}
	w.cfg.DatabaseURL = "postgres://nobody@127.0.0.1:1/none"
	if _, _, err := w.redrive("-all"); err == nil || len(w.sent()) > 0 {
		t.Errorf("without PostgreSQL: %v, and %d events sent", err, len(w.sent()))
	}
}

// TestRedriveStops: the first letter is too large to be sent, though compressed it could be written. It is
// counted, and what comes after it is not looked at.
func TestRedriveStops(t *testing.T) {
	t.Parallel()

	w := setup(t)
	w.write(deadRecord("a", strings.Repeat("x", 2<<20)), deadRecord("b", "{}"))
	for range store.MaxRedrives {
		if _, _, err := w.redrive("-all"); err == nil || !strings.Contains(err.Error(), "counted and not sent") {
			t.Errorf("an event that cannot be sent: %v", err)
		}
	}
	if all, a := w.count("sources.redrive"), w.count("sources.redrive WHERE event_id = 'a'"); all != 3 || a != 3 || len(w.sent()) != 0 {
		t.Errorf("%d counted, %d of them of the first, and %d sent; want 3, 3, 0", all, a, len(w.sent()))
	}
	out, _, err := w.redrive("-all")
	w.want("when it has had its time", "refused  a  sent again 3 times already\nsent     b  source.update  -  attempt 1 of 3\n1 sent again, 1 refused\n",
		"1 refused", out, err)
}

// TestRedriveEndsInTime: a run that is broken off says so.
func TestRedriveEndsInTime(t *testing.T) {
	t.Parallel()

	w := setup(t)
	w.write(deadRecord("a", "{}"))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := w.runIn(ctx, "redrive", "-why", "x", "-all"); err == nil || len(w.sent()) > 0 {
		t.Errorf("broken off: %v, and %d events sent", err, len(w.sent()))
	}
}
