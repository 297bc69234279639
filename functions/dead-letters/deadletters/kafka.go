package deadletters

import (
	"errors"
	"fmt"
	"time"

	"github.com/IBM/sarama"
)

// kafkaWithin bounds each single exchange with Kafka.
const kafkaWithin = 5 * time.Second

// connect finds the leaders of a topic that exists.
func connect(brokers []string, topic string, config *sarama.Config) (sarama.Client, error) {
	client, err := sarama.NewClient(brokers, config) // connects to nobody yet
	if err != nil {
		return nil, fmt.Errorf("KAFKA_BROKERS: %w", err)
	}
	err = client.RefreshMetadata(topic)
	switch {
	case err == nil:
		return client, nil
	case errors.Is(err, sarama.ErrUnknownTopicOrPartition):
		err = fmt.Errorf("SOURCES_EVENT_TOPIC: topic %q: %w", topic, err)
	default:
		err = fmt.Errorf("KAFKA_BROKERS: asking %v about topic %q: %w", brokers, topic, err)
	}
	return nil, errors.Join(err, client.Close())
}

func kafkaConfig() *sarama.Config {
	config := sarama.NewConfig()
	config.ClientID = "dead-letters"
	config.Metadata.Full = false // of the topics in use only
	config.Metadata.AllowAutoTopicCreation = false
	config.Metadata.Timeout = 2 * kafkaWithin
	config.Net.DialTimeout = kafkaWithin
	config.Net.ReadTimeout = kafkaWithin
	config.Net.WriteTimeout = kafkaWithin
	return config
}

func readerConfig() *sarama.Config {
	config := kafkaConfig()
	config.ChannelBufferSize = 16 // a letter may be as large as a record
	config.Consumer.Return.Errors = true
	config.Consumer.Retry.Backoff = 500 * time.Millisecond
	return config
}

// senderConfig has records written once and in order, by all replicas, and has failures known in about a
// minute at most.
func senderConfig() *sarama.Config {
	config := kafkaConfig()
	config.Net.MaxOpenRequests = 1
	config.Producer.Idempotent = true
	config.Producer.RequiredAcks = sarama.WaitForAll
	config.Producer.Timeout = kafkaWithin
	config.Producer.Retry.Max = 3
	config.Producer.Retry.Backoff = 200 * time.Millisecond
	config.Producer.Transaction.Retry.Max = 3 // of the request for a producer id, too
	config.Producer.Return.Successes = true
	config.Producer.MaxMessageBytes = 1 << 20 // what a KafkaSink writes at most
	config.Producer.Partitioner = sarama.NewManualPartitioner
	return config
}
