package deadletters

import (
	"time"

	"github.com/IBM/sarama"

	"github.com/insights-onprem/cost-sources/shared/kafkaclient"
)

const clientName = "dead-letters"

// connectSender finds the leaders of the event topic. Records are written once and in order, by all replicas, and
// failures known in about a minute at most.
func connectSender(cfg Config) (sarama.Client, error) {
	config, err := cfg.Sarama(clientName)
	if err != nil {
		return nil, err
	}
	config.Net.MaxOpenRequests = 1
	config.Producer.Idempotent = true
	config.Producer.RequiredAcks = sarama.WaitForAll
	config.Producer.Timeout = kafkaclient.Within
	config.Producer.Retry.Max = 3
	config.Producer.Retry.Backoff = 200 * time.Millisecond
	config.Producer.Transaction.Retry.Max = 3 // of the request for a producer id, too
	config.Producer.Return.Successes = true
	config.Producer.MaxMessageBytes = 1 << 20 // what a KafkaSink writes at most
	config.Producer.Partitioner = sarama.NewManualPartitioner
	return cfg.Connect(cfg.Topic, config)
}
