package deadletters_test

import (
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/IBM/sarama"
	"golang.org/x/sync/errgroup"
)

// TestThreeTimes: the fourth redrive of an event is refused, also where several run at once.
func TestThreeTimes(t *testing.T) {
	t.Parallel()

	for name, atOnce := range map[string]int{"one after the other": 1, "two at once": 2, "all at once": 6} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			w := setup(t)
			w.post(hint("a", "sources/1", "{}"))
			w.bury(1, "provisioner", answering(422, ""))
			var runs errgroup.Group
			runs.SetLimit(atOnce)
			var refused atomic.Int32
			for range 6 {
				runs.Go(func() error {
					out, _, err := w.redrive("-all")
					if errText(err) == "1 refused" && strings.Contains(out, "refused  a  sent again 3 times already") {
						refused.Add(1)
						return nil
					}
					return err
				})
			}
			if err := runs.Wait(); err != nil {
				t.Fatal(err)
			}
			if sent, counted := len(w.sent())-1, w.count("sources.redrive"); sent != 3 || counted != 3 || refused.Load() != 3 {
				t.Errorf("sent %d times, counted %d, refused %d; want 3 of each", sent, counted, refused.Load())
			}
		})
	}
}

// TestNeverInACircle: a function that still refuses makes one new letter of each redrive, which that run does
// not see, and the count goes on however many letters hold the event.
func TestNeverInACircle(t *testing.T) {
	t.Parallel()

	w := setup(t)
	var asked atomic.Int32
	w.post(hint("a", "sources/1", "{}"))
	w.subscribe("provisioner", func(rw http.ResponseWriter, _ *http.Request) {
		asked.Add(1)
		rw.WriteHeader(422)
	})
	w.await(1)
	for attempt := range 3 {
		out, _, err := w.redrive("-all")
		w.want("redrive", "sent     a  source.update  sources/1  attempt "+string(rune('1'+attempt))+" of 3\n1 sent again, 0 refused\n", "", out, err)
		w.await(1)
	}
	out, _, err := w.redrive("-all")
	w.want("the fourth time", "refused  a  sent again 3 times already\n0 sent again, 1 refused\n", "1 refused", out, err)
	if letters := len(w.records(w.cfg.Topic + ".dead")); asked.Load() != 4 || letters != 4 || len(w.buried) > 0 {
		t.Errorf("the function was asked %d times and there are %d letters, want 4 of each", asked.Load(), letters)
	}
	out, _, err = w.run("list", "-reason", "provisioner 422")
	if err != nil || !strings.Contains(out, "\n4        1       ") {
		t.Errorf("list: %v, want 4 letters of 1 event\n%s", err, out)
	}
}

// TestRefusesWhatIsNoEvent: by its place, and the events beside it go.
func TestRefusesWhatIsNoEvent(t *testing.T) {
	t.Parallel()

	w := setup(t)
	w.write(sarama.ProducerMessage{Key: sarama.StringEncoder("12"), Value: sarama.StringEncoder("plain")},
		deadRecord("long"+strings.Repeat("g", 3000), "{}"), deadRecord("a\x00", "{}"), deadRecord("b", "{}"))
	out, _, err := w.redrive("-all")
	out = strings.NewReplacer("  1/", "  0/").Replace(out)
	w.want("redrive", "refused  0/0  not a CloudEvent\nrefused  0/1  not a CloudEvent\nrefused  0/2  not a CloudEvent\n"+
		"sent     b  source.update  -  attempt 1 of 3\n1 sent again, 3 refused\n", "3 refused", out, err)
}
