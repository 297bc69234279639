package deadletters

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/IBM/sarama"
)

const (
	// silence is after what time without a record, and without an error, a partition holds no more: what
	// is missing up to its end are a transaction's marks or records that were deleted. It is longer than a
	// fetch can go without an answer or an error.
	silence = 12 * time.Second

	// maxLetters bounds a run, and so the memory for what it has seen.
	maxLetters = 1_000_000
)

// A reader reads the dead-letter topic from its beginning to the end that it had when the reader was opened.
// What dies afterwards it never sees, and so cannot send in a circle.
type reader struct {
	client   sarama.Client
	consumer sarama.Consumer
	topic    string
	parts    []part
}

// A part is what there is to read of a partition.
type part struct {
	partition int32
	end       int64 // the offset after the last record
}

func openReader(cfg Config) (*reader, error) {
	client, err := connectReader(cfg)
	if err != nil {
		return nil, err
	}
	r := &reader{client: client, topic: cfg.Dead()}
	if r.parts, err = partsOf(client, r.topic); err == nil {
		r.consumer, err = sarama.NewConsumerFromClient(client)
	}
	if err != nil {
		return nil, errors.Join(err, client.Close())
	}
	return r, nil
}

// partsOf lists the partitions that hold anything.
func partsOf(client sarama.Client, topic string) ([]part, error) {
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
		if begin < end {
			parts = append(parts, part{p, end})
		}
	}
	return parts, nil
}

func (r *reader) close() {
	_ = r.consumer.Close() // nothing of ours is lost
	_ = r.client.Close()
}

// each hands over the letters, one partition after the other.
func (r *reader) each(ctx context.Context, do func(letter) error) error {
	seen := 0
	for _, p := range r.parts {
		err := r.eachOf(ctx, p, func(l letter) error {
			if seen++; seen > maxLetters {
				return fmt.Errorf("there are more than %d letters, the others were not looked at", maxLetters)
			}
			return do(l)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func (r *reader) eachOf(ctx context.Context, p part, do func(letter) error) error {
	consumer, err := r.consumer.ConsumePartition(r.topic, p.partition, sarama.OffsetOldest)
	if err != nil {
		return fmt.Errorf("kafka: reading %s/%d: %w", r.topic, p.partition, err)
	}
	defer consumer.Close()
	var trouble error // which the consumer has not got over yet
	for {
		select {
		case record, open := <-consumer.Messages():
			switch {
			case !open:
				return fmt.Errorf("kafka: reading %s/%d: broken off: %w", r.topic, p.partition, lastError(consumer, trouble))
			case record.Offset >= p.end:
				return nil
			}
			trouble = nil
			if err := do(readLetter(record)); err != nil || record.Offset == p.end-1 {
				return err
			}
		case err, open := <-consumer.Errors():
			if open {
				trouble = err
			}
		case <-time.After(silence):
			return trouble
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
