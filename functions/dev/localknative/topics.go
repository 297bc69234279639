package localknative

import (
	"context"
	"errors"
	"fmt"

	"github.com/IBM/sarama"
)

// Topics creates the topics that do not exist yet, each with its number of
// partitions; one that exists stays as it is. The brokers, host:port, have to be
// there already.
func Topics(ctx context.Context, brokers []string, partitions map[string]int32) error {
	return within(ctx, func() error {
		config := kafkaConfig()
		config.Metadata.Full = true // else the client refuses to look for the controller
		admin, err := sarama.NewClusterAdmin(brokers, config)
		if err != nil {
			return fmt.Errorf("kafka: connecting to %v: %w", brokers, err)
		}
		defer admin.Close()
		for name, n := range partitions {
			if err := createTopic(admin, name, n); err != nil {
				return err
			}
		}
		return nil
	})
}

func createTopic(admin sarama.ClusterAdmin, name string, partitions int32) error {
	detail := &sarama.TopicDetail{NumPartitions: partitions, ReplicationFactor: -1} // -1: the broker's default
	err := admin.CreateTopic(name, detail, false)
	if err != nil && !errors.Is(err, sarama.ErrTopicAlreadyExists) {
		return fmt.Errorf("kafka: creating topic %q with %d partitions: %w", name, partitions, err)
	}
	return nil
}
