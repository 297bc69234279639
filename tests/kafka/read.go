package kafka

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"github.com/IBM/sarama"
)

// Records reads what a topic has now, each partition in its order.
func Records(ctx context.Context, brokers []string, topic string) (records []*sarama.ConsumerMessage, err error) {
	client, err := sarama.NewClient(brokers, clientConfig())
	if err != nil {
		return nil, fmt.Errorf("connecting to %v: %w", brokers, err)
	}
	defer client.Close()
	partitions, err := client.Partitions(topic)
	if err != nil {
		return nil, fmt.Errorf("looking for the partitions of %s: %w", topic, err)
	}
	for _, partition := range partitions {
		if records, err = appendRecords(ctx, client, records, topic, partition); err != nil {
			return nil, fmt.Errorf("reading %s/%d: %w", topic, partition, err)
		}
	}
	return records, nil
}

func appendRecords(ctx context.Context, client sarama.Client, records []*sarama.ConsumerMessage, topic string, partition int32) ([]*sarama.ConsumerMessage, error) {
	end, err := client.GetOffset(topic, partition, sarama.OffsetNewest)
	if err != nil || end == 0 {
		return records, err
	}
	consumer, err := sarama.NewConsumerFromClient(client)
	if err != nil {
		return nil, err
	}
	defer consumer.Close()
	from, err := consumer.ConsumePartition(topic, partition, sarama.OffsetOldest)
	if err != nil {
		return nil, err
	}
	defer from.Close()
	for {
		select {
		case record := <-from.Messages():
			if records = append(records, record); record.Offset == end-1 {
				return records, nil
			}
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// Lag is how many records of a topic a group that began with the first has not committed.
func Lag(ctx context.Context, brokers []string, topic, group string) (lag int64, err error) {
	err = administer(brokers, func(client sarama.Client, admin sarama.ClusterAdmin) error {
		from, err := committed(ctx, client, admin, topic, group)
		if err != nil {
			return err
		}
		for partition, offset := range from {
			end, err := client.GetOffset(topic, partition, sarama.OffsetNewest)
			if err != nil {
				return err
			}
			lag += end - max(0, offset)
		}
		return nil
	})
	if err != nil {
		return 0, fmt.Errorf("looking how far %s is with %s: %w", group, topic, err)
	}
	return lag, nil
}

// Committed is the offset from which a group goes on in each partition of a topic, -1 where it has committed none.
func Committed(ctx context.Context, brokers []string, topic, group string) (from map[int32]int64, err error) {
	err = administer(brokers, func(client sarama.Client, admin sarama.ClusterAdmin) error {
		from, err = committed(ctx, client, admin, topic, group)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("looking where %s goes on with %s: %w", group, topic, err)
	}
	return from, nil
}

func committed(ctx context.Context, client sarama.Client, admin sarama.ClusterAdmin, topic, group string) (map[int32]int64, error) {
	partitions, err := client.Partitions(topic)
	if err != nil {
		return nil, err
	}
	offsets, err := groupOffsets(ctx, admin, group, map[string][]int32{topic: partitions})
	if err != nil {
		return nil, err
	}
	from := map[int32]int64{}
	for _, partition := range partitions {
		from[partition] = -1
		if block := offsets.GetBlock(topic, partition); block != nil {
			if block.Err != sarama.ErrNoError {
				return nil, fmt.Errorf("partition %d: %w", partition, block.Err)
			}
			from[partition] = block.Offset
		}
	}
	return from, nil
}

// groupOffsets waits while the group's coordinator, which has only just become that, loads what groups have committed:
// sarama asks again where there is none yet, and not for this.
func groupOffsets(ctx context.Context, admin sarama.ClusterAdmin, group string, of map[string][]int32) (offsets *sarama.OffsetFetchResponse, refused error) {
	err := until(ctx, func() error {
		offsets, refused = admin.ListConsumerGroupOffsets(group, of)
		if errors.Is(refused, sarama.ErrOffsetsLoadInProgress) {
			return refused
		}
		return nil
	})
	if errors.Is(refused, sarama.ErrGroupIDNotFound) { // says the embedded broker of a group that nobody has joined yet
		return &sarama.OffsetFetchResponse{}, nil
	}
	return offsets, cmp.Or(err, refused)
}
