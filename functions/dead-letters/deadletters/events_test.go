package deadletters_test

import (
	"time"

	"github.com/IBM/sarama"
	cloudevents "github.com/cloudevents/sdk-go/v2"

	"github.com/insights-onprem/cost-sources/shared/events"
	"github.com/insights-onprem/cost-sources/shared/sources"
	"github.com/insights-onprem/cost-sources/shared/store"
)

// hint is an event about a source, with an id that is easy to read.
func hint(id, subject, data string) cloudevents.Event {
	e := cloudevents.NewEvent()
	e.SetID(id)
	e.SetSource(events.Source)
	e.SetType(events.TypeSourceUpdate)
	e.SetSubject(subject)
	e.SetTime(time.Date(2026, 11, 23, 6, 43, 7, 129_491_000, time.UTC))
	e.SetExtension("partitionkey", "12")
	if err := e.SetData(cloudevents.ApplicationJSON, []byte(data)); err != nil {
		panic(err)
	}
	return e
}

// addSource stores a source with a cluster and an application.
func (w world) addSource(cluster string) sources.Source {
	w.Helper()
	draft := sources.Source{OrgID: "org1", Name: "a"}
	draft.SetCluster(cluster)
	var src sources.Source
	err := w.api.InTx(w.Context(), func(tx *store.Store) (err error) {
		if src, err = tx.CreateSource(w.Context(), draft); err != nil {
			return err
		}
		src.Attach()
		return tx.SaveSource(w.Context(), &src, events.SourceCreated, events.ApplicationCreated)
	})
	if err != nil {
		w.Fatal(err)
	}
	return src
}

// write writes records to the dead-letter topic as no KafkaSource would.
func (w world) write(records ...sarama.ProducerMessage) {
	w.Helper()
	config := sarama.NewConfig()
	config.Producer.RequiredAcks = sarama.WaitForAll
	config.Producer.Return.Successes = true
	config.Producer.Compression = sarama.CompressionGZIP
	config.Producer.MaxMessageBytes = 8 << 20
	producer, err := sarama.NewSyncProducer(w.cfg.Brokers, config)
	if err != nil {
		w.Fatal(err)
	}
	defer producer.Close()
	for _, record := range records {
		record.Topic = w.cfg.Topic + ".dead"
		if _, _, err := producer.SendMessage(&record); err != nil {
			w.Fatal(err)
		}
	}
}

// deadRecord is a record that holds an event, and those headers more.
func deadRecord(id, value string, more ...string) sarama.ProducerMessage {
	pairs := append([]string{"ce_specversion", "1.0", "ce_id", id, "ce_source", "/tests", "ce_type", "source.update"}, more...)
	record := sarama.ProducerMessage{Key: sarama.StringEncoder("12"), Value: sarama.StringEncoder(value)}
	for i := 0; i < len(pairs); i += 2 {
		record.Headers = append(record.Headers, sarama.RecordHeader{Key: []byte(pairs[i]), Value: []byte(pairs[i+1])})
	}
	return record
}
