package kafka

import (
	"context"
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
func Lag(brokers []string, topic, group string) (lag int64, err error) {
	err = administer(brokers, func(client sarama.Client, admin sarama.ClusterAdmin) error {
		partitions, err := client.Partitions(topic)
		if err != nil {
			return err
		}
		committed, err := admin.ListConsumerGroupOffsets(group, map[string][]int32{topic: partitions})
		if err != nil {
			return err
		}
		for _, partition := range partitions {
			end, err := client.GetOffset(topic, partition, sarama.OffsetNewest)
			if err != nil {
				return err
			}
			lag += end - max(0, committed.GetBlock(topic, partition).Offset) // -1 where there is none
		}
		return nil
	})
	if err != nil {
		return 0, fmt.Errorf("looking how far %s is with %s: %w", group, topic, err)
	}
	return lag, nil
}
