package restored_test

import (
	"strings"
	"testing"

	"github.com/IBM/sarama"
)

// TestWithoutTopic: that there is nothing to read is an error, unless it is known.
func TestWithoutTopic(t *testing.T) {
	t.Parallel()

	for name, make := range map[string]func(w *world){
		"empty":  func(*world) {},
		"gone":   func(w *world) { w.cfg.Topic += "-not" },
		"others": func(w *world) { w.writeStrange() },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			w := setup(t)
			make(&w)
			w.seed(7)
			before := w.snapshot()
			stdout, err := w.run()
			if err == nil || !strings.Contains(err.Error(), "-without-topic") || w.snapshot() != before {
				t.Errorf("%v, want it refused and nothing done\n%s", err, stdout)
			}
			stdout, err = w.run("-without-topic")
			if err != nil || !strings.Contains(stdout, "topic     0 events about 0 sources since never") {
				t.Errorf("-without-topic: %v\n%s", err, stdout)
			}
			if name == "others" && !strings.Contains(stdout, "8 other records") {
				t.Errorf("of the strange records nothing is said:\n%s", stdout)
			}
			l := w.live(false)
			if id := l.add("cluster"); id != "8" {
				t.Errorf("a new source has the id %s, want 8", id)
			}
		})
	}
}

// writeStrange writes what is no event of ours, or not as ours are.
func (w world) writeStrange() {
	w.Helper()
	good := map[string]string{"ce_specversion": "1.0", "ce_id": "a", "ce_type": "source.update", "ce_source": "/api/cost-management/v1/sources",
		"ce_subject": "sources/99", "ce_sequence": "5", "content-type": "application/json"}
	for _, tt := range []struct{ header, value, body string }{
		{"ce_specversion", "", `{"id": 99, "source_id": 99}`}, // no CloudEvent
		{"ce_source", "/elsewhere", `{"id": 99, "source_id": 99}`},
		{"ce_type", "source.dance", `{"id": 99, "source_id": 99}`},
		{"ce_subject", "sources/98", `{"id": 99, "source_id": 99}`},
		{"ce_sequence", "many", `{"id": 99, "source_id": 99}`},
		{"ce_sequence", "9223372036854775807", `{"id": 99, "source_id": 99}`},
		{"ce_subject", "sources/99999999999", `{"id": 99, "source_id": 99999999999}`},
		{"ce_id", "b", `[99]`},
	} {
		record := &sarama.ProducerMessage{Topic: w.cfg.Topic, Value: sarama.StringEncoder(tt.body)}
		for header, value := range good {
			if header == tt.header {
				value = tt.value
			}
			if value != "" {
				record.Headers = append(record.Headers, sarama.RecordHeader{Key: []byte(header), Value: []byte(value)})
			}
		}
		w.write(record)
	}
}
