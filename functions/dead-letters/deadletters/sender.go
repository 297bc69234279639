package deadletters

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/IBM/sarama"
	"github.com/cloudevents/sdk-go/protocol/kafka_sarama/v2"
	"github.com/cloudevents/sdk-go/v2/binding"
)

// ours are the extensions that events have (contract section 4), and those that a KafkaSource gives to a plain
// record of another producer. There is no other way to tell what was added: the attribute that a kne- header
// of an answer becomes can have any name.
var ours = []string{"partitionkey", "sequence", "orgid", "traceparent", "tracestate", "repair", "key"}

// headerPrefix begins the extension that a header of a plain record becomes.
const headerPrefix = "kafkaheader"

// sourcePartition is where a KafkaSource says which partition the event came from.
const sourcePartition = "knativekafkapartition"

// A sender writes events to the event topic.
type sender struct {
	cfg        Config
	client     sarama.Client
	producer   sarama.SyncProducer
	partitions int32
}

// openSender connects to Kafka, up to the leaders of the topic and the producer's id, so that nothing is
// counted as sent again while Kafka is away.
func openSender(cfg Config) (*sender, error) {
	client, err := connectSender(cfg)
	if err != nil {
		return nil, err
	}
	partitions, err := client.WritablePartitions(cfg.Topic)
	if err == nil && len(partitions) == 0 {
		err = fmt.Errorf("kafka: topic %q has no partition that can be written to", cfg.Topic)
	}
	if err != nil {
		return nil, errors.Join(err, client.Close())
	}
	producer, err := sarama.NewSyncProducerFromClient(client)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("kafka: %w", err), client.Close())
	}
	return &sender{cfg, client, producer, slices.Max(partitions) + 1}, nil
}

func (s *sender) close() error { return errors.Join(s.producer.Close(), s.client.Close()) }

// send writes the event of l as it was before it died, and returns what it has left out that is of unknown
// origin.
func (s *sender) send(ctx context.Context, l letter) (leftOut []string, err error) {
	e := l.event.Clone()
	for name := range l.event.Extensions() {
		if s.keeps(name) {
			continue
		}
		e.SetExtension(name, nil)
		if !strings.HasPrefix(name, "knative") {
			leftOut = append(leftOut, name)
		}
	}
	record := &sarama.ProducerMessage{Topic: s.cfg.Topic}
	if err := kafka_sarama.WriteProducerMessage(ctx, binding.ToMessage(&e), record); err != nil {
		return nil, err
	}
	if record.Partition, err = s.partition(l, record); err != nil {
		return nil, err
	}
	if _, _, err := s.producer.SendMessage(record); err != nil {
		return nil, fmt.Errorf("kafka: writing to %q: %w", s.cfg.Topic, err)
	}
	slices.Sort(leftOut)
	return leftOut, nil
}

func (s *sender) keeps(extension string) bool {
	_, overridden := s.cfg.Overrides.Extensions[extension]
	return overridden || slices.Contains(ours, extension) || strings.HasPrefix(extension, headerPrefix)
}

// partition is the one that the event was in, for a KafkaSink, which is not written in Go, has another way
// to find one for a key; the events of a source are to share a partition.
func (s *sender) partition(l letter, record *sarama.ProducerMessage) (int32, error) {
	was, err := strconv.ParseInt(extension(*l.event, sourcePartition), 10, 32)
	if err == nil && was >= 0 && was < int64(s.partitions) {
		return int32(was), nil
	}
	return sarama.NewHashPartitioner(s.cfg.Topic).Partition(record, s.partitions)
}
