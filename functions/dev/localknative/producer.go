package localknative

import (
	"errors"
	"sync"
	"time"

	"github.com/IBM/sarama"
)

// A producer writes records until its first failure.
type producer struct {
	client sarama.Client
	sync   sarama.SyncProducer

	// Held for reading while sending: sarama panics on a send to a closed producer.
	mu     sync.RWMutex
	closed bool
}

func newProducer(brokers []string, topic string, config *sarama.Config) (*producer, error) {
	client, err := sarama.NewClient(brokers, config)
	if err != nil {
		return nil, err
	}
	if err := client.RefreshMetadata(topic); err != nil { // the first contact: it fails sooner than the next
		return nil, errors.Join(err, client.Close())
	}
	p, err := sarama.NewSyncProducerFromClient(client)
	if err != nil {
		return nil, errors.Join(err, client.Close())
	}
	return &producer{client: client, sync: p}, nil
}

func (p *producer) send(record *sarama.ProducerMessage) error {
	p.mu.RLock()
	defer p.mu.RUnlock()
	if p.closed {
		return errors.New("the connection has failed another request")
	}
	_, _, err := p.sync.SendMessage(record)
	return err
}

func (p *producer) close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil
	}
	p.closed = true
	return errors.Join(p.sync.Close(), p.client.Close())
}

// sinkConfig has records written once and in order, and has failures known
// before a POST's time is over where Kafka answers at all.
func sinkConfig() *sarama.Config {
	config := kafkaConfig()
	config.Metadata.Timeout = 10 * time.Second
	config.Net.MaxOpenRequests = 1
	config.Net.ReadTimeout = 10 * time.Second
	config.Net.WriteTimeout = 10 * time.Second
	config.Producer.Idempotent = true
	config.Producer.RequiredAcks = sarama.WaitForAll
	config.Producer.Timeout = 5 * time.Second
	config.Producer.Retry.Max = 5
	config.Producer.Retry.Backoff = 200 * time.Millisecond
	config.Producer.Transaction.Retry.Max = 5 // of the request for a producer id, too
	config.Producer.Return.Successes = true
	config.Producer.MaxMessageBytes = maxRecord
	return config
}
