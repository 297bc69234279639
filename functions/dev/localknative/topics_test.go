package localknative_test

import (
	"context"
	"errors"
	"net"
	"testing"

	"github.com/IBM/sarama"
	"github.com/google/uuid"

	"github.com/insights-onprem/cost-sources/functions/dev/localknative"
	"github.com/insights-onprem/cost-sources/tests/kafka"
)

func TestTopicsCreatesWhatIsMissing(t *testing.T) {
	t.Parallel()

	brokers := kafka.Brokers(t)
	there, missing := kafka.Topic(t, brokers, "there", 1), "missing-"+uuid.NewString()
	for range 2 { // the second time both are there
		if err := localknative.Topics(t.Context(), brokers, map[string]int32{there: 3, missing: 3}); err != nil {
			t.Fatal(err)
		}
	}
	admin, err := sarama.NewClusterAdmin(brokers, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer admin.Close()
	defer admin.DeleteTopic(missing)
	topics, err := admin.ListTopics()
	if err != nil {
		t.Fatal(err)
	}
	if got := topics[there].NumPartitions; got != 1 {
		t.Errorf("a topic that was there has %d partitions now, want 1 as before", got)
	}
	if got := topics[missing].NumPartitions; got != 3 {
		t.Errorf("the new topic has %d partitions, want 3", got)
	}
}

func TestTopicsEndsWithItsContext(t *testing.T) {
	t.Parallel()

	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := localknative.Topics(ctx, []string{silent.Addr().String()}, map[string]int32{"a": 1}); !errors.Is(err, context.Canceled) {
		t.Errorf("Topics = %v, want %v", err, context.Canceled)
	}
}
