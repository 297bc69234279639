package kafka_test

import (
	"fmt"
	"testing"

	"github.com/IBM/sarama"
	"github.com/google/go-cmp/cmp"

	"github.com/insights-onprem/cost-sources/tests/kafka"
)

func TestRecordsAndLag(t *testing.T) {
	t.Parallel()

	brokers := kafka.Brokers(t)
	topic := kafka.Topic(t, brokers, "read", 2)
	wantLag(t, brokers, topic, 0)
	var want []string
	producer := newProducer(t, brokers)
	for partition := range int32(2) {
		for i := range 3 {
			text := fmt.Sprintf("%d/%d", partition, i)
			want = append(want, text)
			if _, _, err := producer.SendMessage(&sarama.ProducerMessage{Topic: topic, Partition: partition, Value: sarama.StringEncoder(text)}); err != nil {
				t.Fatal(err)
			}
		}
	}
	records, err := kafka.Records(t.Context(), brokers, topic)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, record := range records {
		got = append(got, string(record.Value))
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("records (-want +got):\n%s", diff)
	}
	wantLag(t, brokers, topic, 6)
	commit(t, brokers, topic, 1, 2)
	wantLag(t, brokers, topic, 4)
}

func wantLag(t *testing.T, brokers []string, topic string, want int64) {
	t.Helper()
	got, err := kafka.Lag(t.Context(), brokers, topic, topic)
	if err != nil || got != want {
		t.Errorf("Lag = %d, %v, want %d", got, err, want)
	}
}

func newProducer(t *testing.T, brokers []string) sarama.SyncProducer {
	t.Helper()
	config := sarama.NewConfig()
	config.Producer.Return.Successes = true
	config.Producer.Partitioner = sarama.NewManualPartitioner
	producer, err := sarama.NewSyncProducer(brokers, config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { producer.Close() })
	return producer
}

// commit has the group that is called like the topic be done with the records before next.
func commit(t *testing.T, brokers []string, topic string, partition int32, next int64) {
	t.Helper()
	admin, err := sarama.NewClusterAdmin(brokers, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer admin.Close()
	answer, err := admin.AlterConsumerGroupOffsets(topic, map[string]map[int32]sarama.OffsetAndMetadata{topic: {partition: {Offset: next}}}, nil)
	if err != nil || answer.Errors[topic][partition] != sarama.ErrNoError {
		t.Fatalf("committing %d of %s/%d: %+v, %v", next, topic, partition, answer, err)
	}
}
