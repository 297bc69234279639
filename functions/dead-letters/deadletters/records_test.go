package deadletters_test

import (
	"slices"
	"strings"

	"github.com/IBM/sarama"
)

// sent reads all that is in the event topic, ordered by id.
func (w world) sent() []*sarama.ConsumerMessage {
	w.Helper()
	return w.records(w.cfg.Topic)
}

// records reads a whole topic, ordered by the ids of the events.
func (w world) records(topic string) (found []*sarama.ConsumerMessage) {
	w.Helper()
	client, err := sarama.NewClient(w.cfg.Brokers, nil)
	if err != nil {
		w.Fatal(err)
	}
	defer client.Close()
	consumer, err := sarama.NewConsumerFromClient(client)
	if err != nil {
		w.Fatal(err)
	}
	partitions, err := client.Partitions(topic)
	if err != nil {
		w.Fatal(err)
	}
	for _, p := range partitions {
		end, err := client.GetOffset(topic, p, sarama.OffsetNewest)
		if err != nil {
			w.Fatal(err)
		}
		part, err := consumer.ConsumePartition(topic, p, sarama.OffsetOldest)
		if err != nil {
			w.Fatal(err)
		}
		for range end {
			found = append(found, next(w.T, part.Messages()))
		}
		part.Close()
	}
	slices.SortStableFunc(found, func(a, b *sarama.ConsumerMessage) int {
		return strings.Compare(headers(a)["ce_id"], headers(b)["ce_id"])
	})
	return found
}

func headers(record *sarama.ConsumerMessage) map[string]string {
	all := map[string]string{}
	for _, h := range record.Headers {
		all[string(h.Key)] = string(h.Value)
	}
	return all
}

// count counts the rows of a table.
func (w world) count(what string) (n int) {
	w.Helper()
	if err := w.sql.QueryRow(w.Context(), `SELECT count(*) FROM `+what).Scan(&n); err != nil {
		w.Fatal(err)
	}
	return n
}
