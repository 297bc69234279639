package kafka

import (
	"errors"
	"fmt"

	"github.com/IBM/sarama"
)

// Write writes records, each to the topic and the partition that it names, those of a partition in their order. It
// returns when all replicas in sync have them.
func Write(brokers []string, records ...*sarama.ProducerMessage) (err error) {
	config := clientConfig()
	config.Producer.RequiredAcks = sarama.WaitForAll
	config.Producer.Return.Successes = true
	config.Producer.Partitioner = sarama.NewManualPartitioner
	producer, err := sarama.NewSyncProducer(brokers, config)
	if err != nil {
		return fmt.Errorf("connecting to %v: %w", brokers, err)
	}
	defer func() { err = errors.Join(err, producer.Close()) }()
	return producer.SendMessages(records)
}

// Headers makes a record's headers of names, each with its value after it.
func Headers(pairs ...string) (headers []sarama.RecordHeader) {
	for i := 0; i+1 < len(pairs); i += 2 {
		headers = append(headers, sarama.RecordHeader{Key: []byte(pairs[i]), Value: []byte(pairs[i+1])})
	}
	return headers
}
