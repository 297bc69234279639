package kafka_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/IBM/sarama"

	"github.com/insights-onprem/cost-sources/tests/kafka"
)

func TestTopicTakesAndGivesRecords(t *testing.T) {
	t.Parallel()

	brokers := kafka.Brokers(t)
	topic := kafka.Topic(t, brokers, "round-trip", 3)
	produce(t, brokers, topic, "a record")
	if got := first(t, brokers, topic); got != "a record" {
		t.Errorf("first record of %s = %q, want the one sent", topic, got)
	}
}

func TestTopicGoesWithItsTest(t *testing.T) {
	t.Parallel()

	brokers := kafka.Brokers(t)
	var one, other string
	t.Run("made", func(t *testing.T) {
		one, other = kafka.Topic(t, brokers, "gone", 1), kafka.Topic(t, brokers, "gone", 1)
	})
	if one == other {
		t.Errorf("two topics are both called %s", one)
	}
	client := connect(t, brokers)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(time.Minute)
	for err := error(nil); !errors.Is(err, sarama.ErrUnknownTopicOrPartition); err = client.RefreshMetadata(one) {
		select {
		case <-tick.C: // Kafka removes a topic after it has said so
		case <-deadline:
			t.Fatalf("metadata of %s after its test = %v, want %v", one, err, sarama.ErrUnknownTopicOrPartition)
		}
	}
}

func TestTopicIsNotMadeByMentioningIt(t *testing.T) {
	t.Parallel()

	config := sarama.NewConfig()
	config.Metadata.AllowAutoTopicCreation = true
	client, err := sarama.NewClient(kafka.Brokers(t), config)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if err := client.RefreshMetadata("mentioned"); !errors.Is(err, sarama.ErrUnknownTopicOrPartition) {
		t.Errorf("metadata of a topic that nobody made = %v, want %v", err, sarama.ErrUnknownTopicOrPartition)
	}
}

func TestKilledBrokerComesBackWithItsRecords(t *testing.T) {
	t.Parallel()

	broker := kafka.Alone(t)
	topic := kafka.Topic(t, broker.Addrs(), "kept", 1)
	produce(t, broker.Addrs(), topic, "acknowledged")

	broker.Kill()
	if _, err := sarama.NewClient(broker.Addrs(), nil); err == nil {
		t.Errorf("a killed broker answers")
	}
	broker.Start()
	if got := first(t, broker.Addrs(), topic); got != "acknowledged" {
		t.Errorf("first record after a restart = %q, want the one from before", got)
	}
}

func connect(t *testing.T, brokers []string) sarama.Client {
	t.Helper()
	config := sarama.NewConfig()
	config.Metadata.AllowAutoTopicCreation = false
	config.Producer.Return.Successes = true
	config.Producer.RequiredAcks = sarama.WaitForAll
	client, err := sarama.NewClient(brokers, config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	return client
}

func produce(t *testing.T, brokers []string, topic, value string) {
	t.Helper()
	producer, err := sarama.NewSyncProducerFromClient(connect(t, brokers))
	if err != nil {
		t.Fatal(err)
	}
	defer producer.Close()
	message := &sarama.ProducerMessage{Topic: topic, Partition: 0, Value: sarama.StringEncoder(value)}
	if _, _, err := producer.SendMessage(message); err != nil {
		t.Fatalf("SendMessage to %s: %v", topic, err)
	}
}

// first returns the value of the record that any partition of topic gives first.
func first(t *testing.T, brokers []string, topic string) string {
	t.Helper()
	client := connect(t, brokers)
	partitions, err := client.Partitions(topic)
	if err != nil {
		t.Fatal(err)
	}
	consumer, err := sarama.NewConsumerFromClient(client)
	if err != nil {
		t.Fatal(err)
	}
	defer consumer.Close()
	ctx, found := context.WithCancel(t.Context())
	defer found()
	values := make(chan string)
	for _, partition := range partitions {
		records, err := consumer.ConsumePartition(topic, partition, sarama.OffsetOldest)
		if err != nil {
			t.Fatal(err)
		}
		defer records.Close()
		go func() {
			for record := range records.Messages() {
				select {
				case values <- string(record.Value):
				case <-ctx.Done():
				}
			}
		}()
	}
	return <-values
}
