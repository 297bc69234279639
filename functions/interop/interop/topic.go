package interop

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/IBM/sarama"

	"github.com/insights-onprem/cost-sources/shared/sources"
)

const (
	clientName = "interop"
	// exchangeWithin bounds each exchange with Kafka while a record is written.
	exchangeWithin = 2 * time.Second
	// sendWithin is longer than a send can take until it has failed: twice a connection, a login, and a record written
	// and acknowledged, and between the two the topic's leaders. Nothing is sent any more after that.
	sendWithin = 25 * time.Second
)

// A Topic is where the plain records go. It connects when the first is to be written.
type Topic struct {
	cfg Config

	mu       sync.RWMutex // held for reading while the producer is in use, as sarama panics on a send to a closed one
	client   sarama.Client
	producer sarama.SyncProducer
}

// NewTopic makes the topic that cfg names.
func NewTopic(cfg Config) *Topic { return &Topic{cfg: cfg} }

// Close gives the connections back, when no record is being written any more.
func (t *Topic) Close() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.close()
}

func (t *Topic) close() error {
	if t.client == nil {
		return nil
	}
	err := errors.Join(t.producer.Close(), t.client.Close())
	t.client, t.producer = nil, nil
	return err
}

// use calls do with the connections that there are. Where it fails they are not used again: what an idempotent
// producer has given up it cannot go on from.
func (t *Topic) use(do func(sarama.Client, sarama.SyncProducer) error) error {
	if err := t.connect(); err != nil {
		return away(err)
	}
	t.mu.RLock()
	client, producer := t.client, t.producer
	err := errors.New("the connection has failed another record")
	if client != nil {
		err = do(client, producer)
	}
	t.mu.RUnlock()
	if err == nil {
		return nil
	}
	return away(errors.Join(err, t.drop(client)))
}

// drop closes client, unless somebody else has done so.
func (t *Topic) drop(client sarama.Client) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.client != client {
		return nil
	}
	return t.close()
}

func (t *Topic) connect() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.client != nil {
		return nil
	}
	config, err := t.config()
	if err != nil {
		return err
	}
	client, err := t.cfg.Connect(t.cfg.LegacyTopic, config)
	if err != nil {
		return err
	}
	producer, err := sarama.NewSyncProducerFromClient(client)
	if err != nil {
		return errors.Join(err, client.Close())
	}
	t.client, t.producer = client, producer
	return nil
}

// config has records written once and in order, by all replicas, and failures known within sendWithin.
func (t *Topic) config() (*sarama.Config, error) {
	config, err := t.cfg.Sarama(clientName)
	if err != nil {
		return nil, err
	}
	config.Metadata.Timeout = 2 * exchangeWithin
	config.Metadata.Retry.Max = 1
	config.Net.DialTimeout, config.Net.ReadTimeout, config.Net.WriteTimeout = exchangeWithin, exchangeWithin, exchangeWithin
	config.Net.MaxOpenRequests = 1
	config.Producer.Idempotent = true
	config.Producer.RequiredAcks = sarama.WaitForAll
	config.Producer.Timeout = exchangeWithin
	config.Producer.Retry.Max = 1
	config.Producer.Transaction.Retry.Max = 1 // of the request for a producer id, too
	config.Producer.Return.Successes = true
	config.Producer.MaxMessageBytes = 1 << 20
	config.Producer.Partitioner = sarama.NewManualPartitioner
	return config, nil
}

// place is where the record of a key goes: its partition, and an offset that is before it.
func (t *Topic) place(key string) (partition int32, offset int64, err error) {
	err = t.use(func(client sarama.Client, _ sarama.SyncProducer) error {
		partitions, err := client.Partitions(t.cfg.LegacyTopic)
		if err != nil {
			return err
		}
		m := &sarama.ProducerMessage{Key: sarama.StringEncoder(key)}
		partition, err = sarama.NewHashPartitioner(t.cfg.LegacyTopic).Partition(m, int32(len(partitions)))
		if err != nil {
			return err
		}
		offset, err = client.GetOffset(t.cfg.LegacyTopic, partition, sarama.OffsetNewest)
		return err
	})
	return partition, offset, err
}

// send writes a record, but does not begin to after a time: PostgreSQL, other records, or a connection may have kept it
// waiting. Where it returns an error, the record may be there all the same.
func (t *Topic) send(r record, partition int32, before time.Time) error {
	late := false
	err := t.use(func(_ sarama.Client, producer sarama.SyncProducer) error {
		if late = time.Now().After(before); late {
			return nil // the connection is none the worse
		}
		_, _, err := producer.SendMessage(&sarama.ProducerMessage{Topic: t.cfg.LegacyTopic, Partition: partition,
			Key: sarama.StringEncoder(r.key), Headers: r.headers, Value: sarama.ByteEncoder(r.value)})
		return err
	})
	if late {
		return &sources.Error{Kind: sources.Unavailable, Msg: "It has taken too long to come to write."}
	}
	return err
}

// errFound ends a search.
var errFound = errors.New("found")

// has reports whether the record of an event is in a partition, at an offset or behind it.
func (t *Topic) has(ctx context.Context, id string, partition int32, offset int64) (bool, error) {
	reader, err := t.cfg.OpenReaderAt(clientName, t.cfg.LegacyTopic, partition, offset)
	if err != nil {
		return false, away(err)
	}
	defer reader.Close()
	err = reader.Each(ctx, func(m *sarama.ConsumerMessage) error {
		for _, header := range m.Headers {
			if string(header.Key) == idHeader && string(header.Value) == id {
				return errFound
			}
		}
		return nil
	})
	if errors.Is(err, errFound) {
		return true, nil
	}
	return false, away(err)
}

// away is what is told of err: it may heal.
func away(err error) error {
	if err == nil {
		return nil
	}
	return &sources.Error{Kind: sources.Unavailable, Msg: "Kafka is not available", Err: fmt.Errorf("kafka: %w", err)}
}
