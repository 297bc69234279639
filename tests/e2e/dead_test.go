//go:build e2e

package e2e_test

import (
	"fmt"
	"testing"

	"github.com/insights-onprem/cost-sources/tests/kafka"
)

// TestDeadLetter: an event that cannot be read is refused once and for all, and ends where it can be looked at.
func TestDeadLetter(t *testing.T) {
	w := withWorld(t)
	bad := event(w.sinkURL(t), "source.create", `{"no": "source_id"}`, nil)
	if got := w.stranger(t, []request{bad}); len(got) != 1 || got[0] != 202 {
		t.Fatalf("the sink answers %v, want 202", got)
	}
	until(t, func() (string, error) {
		records, err := kafka.Records(t.Context(), w.brokers, deadTopic)
		if err != nil {
			return "", err
		}
		for _, record := range records {
			attributes := map[string]string{}
			for _, h := range record.Headers {
				attributes[string(h.Key)] = string(h.Value)
			}
			if attributes["ce_id"] != bad.Header["Ce-Id"] {
				continue
			}
			if attributes["ce_knativeerrorcode"] != "422" || string(record.Value) != bad.Body {
				return "", fmt.Errorf("the dead letter is %s with %v", record.Value, attributes)
			}
			return "", nil
		}
		return fmt.Sprintf("%d dead letters, none of them ours", len(records)), nil
	})
}
