package deadletters_test

import (
	"strings"
	"testing"

	"github.com/IBM/sarama"
)

// TestGaps: the end of a partition may hold no record any more, or never a letter.
func TestGaps(t *testing.T) {
	t.Parallel()

	t.Run("all deleted", func(t *testing.T) {
		t.Parallel()
		w := setup(t)
		w.write(deadRecord("a", "{}"), deadRecord("b", "{}"))
		admin, err := sarama.NewClusterAdmin(w.cfg.Brokers, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer admin.Close()
		if err := admin.DeleteRecords(w.cfg.Topic+".dead", map[int32]int64{0: -1, 1: -1}); err != nil {
			t.Fatal(err)
		}
		out, _, err := w.run("list")
		w.want("list", "no dead letters\n", "", out, err)
	})
	t.Run("marks of a transaction", func(t *testing.T) {
		t.Parallel()
		w := setup(t)
		w.writeInTransaction(deadRecord("a", "{}"), deadRecord("b", "{}"))
		out, _, err := w.redrive("-all")
		if err != nil || !strings.Contains(out, "2 sent again, 0 refused") {
			t.Errorf("redrive: %v\n%s", err, out)
		}
	})
}

// writeInTransaction writes each record in a transaction of its own, whose mark comes after it.
func (w world) writeInTransaction(records ...sarama.ProducerMessage) {
	w.Helper()
	config := sarama.NewConfig()
	config.Producer.RequiredAcks = sarama.WaitForAll
	config.Producer.Return.Successes = true
	config.Producer.Idempotent = true
	config.Producer.Transaction.ID = w.cfg.Topic
	config.Net.MaxOpenRequests = 1
	producer, err := sarama.NewSyncProducer(w.cfg.Brokers, config)
	if err != nil {
		w.Fatal(err)
	}
	defer producer.Close()
	for _, record := range records {
		record.Topic = w.cfg.Topic + ".dead"
		if err := producer.BeginTxn(); err != nil {
			w.Fatal(err)
		}
		if _, _, err := producer.SendMessage(&record); err != nil {
			w.Fatal(err)
		}
		if err := producer.CommitTxn(); err != nil {
			w.Fatal(err)
		}
	}
}
