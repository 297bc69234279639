package kafkaclient

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/IBM/sarama"
)

// silence is after what time without a record, and without an error, a partition holds no more: what
// is missing up to its end are a transaction's marks or records that were deleted. It is longer than a
// fetch can go without an answer or an error. That alone does not say that the partition was read: of a broker that
// does not lead it sarama says nothing, and asks again and again. So the leader is asked once, and what there is then
// comes within settle.
const (
	silence = 12 * time.Second
	settle  = 1500 * time.Millisecond
)

// A Reader reads a topic, or a part of it, to the end that it had when the reader was opened.
type Reader struct {
	client   sarama.Client
	consumer sarama.Consumer
	topic    string
	parts    []part
}

// A part is what there is to read of a partition.
type part struct {
	partition  int32
	begin, end int64 // the offsets of the first record and after the last
}

// OpenReader finds the partitions of a topic and their ends. The reader goes by the given name in the brokers' logs.
// Where the topic does not exist the error is sarama.ErrUnknownTopicOrPartition.
func (c Cluster) OpenReader(name, topic string) (*Reader, error) {
	return c.openReader(name, topic, func(part) (int64, bool) { return 0, true })
}

// OpenReaderAt is OpenReader for one partition, from an offset on.
func (c Cluster) OpenReaderAt(name, topic string, partition int32, offset int64) (*Reader, error) {
	return c.openReader(name, topic, func(p part) (int64, bool) { return offset, p.partition == partition })
}

// openReader asks from where on each partition is to be read, if it is.
func (c Cluster) openReader(name, topic string, from func(part) (int64, bool)) (*Reader, error) {
	config, err := c.Sarama(name)
	if err != nil {
		return nil, err
	}
	config.ChannelBufferSize = 16 // a record may be large
	config.Consumer.Return.Errors = true
	config.Consumer.Retry.Backoff = 500 * time.Millisecond
	client, err := c.Connect(topic, config)
	if err != nil {
		return nil, err
	}
	r := &Reader{client: client, topic: topic}
	if r.parts, err = partsOf(client, r.topic, from); err == nil {
		r.consumer, err = sarama.NewConsumerFromClient(client)
	}
	if err != nil {
		return nil, errors.Join(err, client.Close())
	}
	return r, nil
}

// partsOf lists the partitions that hold anything to be read.
func partsOf(client sarama.Client, topic string, from func(part) (int64, bool)) ([]part, error) {
	partitions, err := client.Partitions(topic)
	if err != nil {
		return nil, fmt.Errorf("kafka: partitions of %q: %w", topic, err)
	}
	var parts []part
	for _, p := range partitions {
		end, err := client.GetOffset(topic, p, sarama.OffsetNewest)
		if err != nil {
			return nil, fmt.Errorf("kafka: end of %s/%d: %w", topic, p, err)
		}
		begin, err := client.GetOffset(topic, p, sarama.OffsetOldest)
		if err != nil {
			return nil, fmt.Errorf("kafka: beginning of %s/%d: %w", topic, p, err)
		}
		found := part{p, begin, end}
		offset, read := from(found)
		found.begin = max(begin, offset)
		if read && found.begin < end {
			parts = append(parts, found)
		}
	}
	return parts, nil
}

// Close gives the connections back.
func (r *Reader) Close() {
	_ = r.consumer.Close() // nothing of ours is lost
	_ = r.client.Close()
}

// Each hands over the records, one partition after the other, until do returns an error.
func (r *Reader) Each(ctx context.Context, do func(*sarama.ConsumerMessage) error) error {
	for _, p := range r.parts {
		if err := r.eachOf(ctx, p, do); err != nil {
			return err
		}
	}
	return nil
}

func (r *Reader) eachOf(ctx context.Context, p part, do func(*sarama.ConsumerMessage) error) error {
	consumer, err := r.consumer.ConsumePartition(r.topic, p.partition, p.begin)
	if err != nil {
		return fmt.Errorf("kafka: reading %s/%d: %w", r.topic, p.partition, err)
	}
	defer consumer.Close()
	var trouble error // which the consumer has not got over yet
	wait := silence
	for {
		select {
		case record, open := <-consumer.Messages():
			switch {
			case !open:
				return fmt.Errorf("kafka: reading %s/%d: broken off: %w", r.topic, p.partition, lastError(consumer, trouble))
			case record.Offset >= p.end:
				return nil
			}
			trouble, wait = nil, silence
			if err := do(record); err != nil || record.Offset == p.end-1 {
				return err
			}
		case err, open := <-consumer.Errors():
			if open {
				trouble = err
			}
		case <-time.After(wait):
			if trouble == nil {
				trouble = r.isLed(p)
			}
			if trouble != nil || wait == settle {
				return trouble
			}
			wait = settle
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// lastError reads what a consumer that has ended still has to say.
func lastError(consumer sarama.PartitionConsumer, last error) error {
	for err := range consumer.Errors() {
		last = err
	}
	return last
}

// isLed reports why a partition cannot be read now. It asks for what is behind the end, which nobody has deleted.
func (r *Reader) isLed(p part) error {
	leader, err := r.client.Leader(r.topic, p.partition)
	if err != nil {
		return fmt.Errorf("kafka: leader of %s/%d: %w", r.topic, p.partition, err)
	}
	request := &sarama.FetchRequest{Version: 4, MaxBytes: 1} // the oldest version that every broker has
	request.AddBlock(r.topic, p.partition, p.end, 1, -1)
	response, err := leader.Fetch(request)
	if err == nil {
		block := response.GetBlock(r.topic, p.partition)
		switch {
		case block == nil:
			err = sarama.ErrIncompleteResponse
		case block.Err != sarama.ErrNoError:
			err = block.Err
		}
	}
	if err != nil {
		return fmt.Errorf("kafka: reading %s/%d: %w", r.topic, p.partition, err)
	}
	return nil
}
