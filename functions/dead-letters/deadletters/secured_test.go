package deadletters_test

import (
	"testing"

	"github.com/insights-onprem/cost-sources/tests/kafka"
)

// TestSecuredKafka: the command reads and writes where Kafka wants TLS and a login.
func TestSecuredKafka(t *testing.T) {
	t.Parallel()

	broker := kafka.NewSecured(t)
	w := setupAt(t, []string{broker.Plain})
	w.write(deadRecord("a", "{}"))
	w.cfg.Brokers = []string{broker.SASLSSL}
	w.cfg.AuthDir = broker.Secret(t, "SASL_SSL", "SCRAM-SHA-512", kafka.Password)
	out, _, err := w.redrive("-all")
	w.want("redrive", "sent     a  source.update  -  attempt 1 of 3\n1 sent again, 0 refused\n", "", out, err)
	w.cfg.Brokers, w.cfg.AuthDir = []string{broker.Plain}, ""
	if sent := w.sent(); len(sent) != 1 {
		t.Errorf("%d events in the topic, want 1", len(sent))
	}
}
