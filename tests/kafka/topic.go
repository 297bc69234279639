package kafka

import (
	"crypto/rand"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/IBM/sarama"
)

// Topic makes a topic for one test and returns its name, which begins with
// prefix and is used by nobody else. It is removed when the test is over.
func Topic(t testing.TB, brokers []string, prefix string, partitions int32) string {
	t.Helper()
	name := prefix + "-" + strings.ToLower(rand.Text())
	Named(t, brokers, name, partitions)
	return name
}

// Named makes a topic for one test whose name, which nobody else may use, has to be this one. It is removed
// when the test is over.
func Named(t testing.TB, brokers []string, name string, partitions int32) {
	t.Helper()
	if err := MakeTopic(brokers, name, partitions); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := removeTopic(brokers, name); err != nil {
			t.Log(err) // the test may have taken the broker away
		}
	})
}

// MakeTopic makes a topic, whose partitions are on as many brokers as the default
// has it, and returns when every partition can be used.
func MakeTopic(brokers []string, name string, partitions int32) error {
	return administer(brokers, func(client sarama.Client, admin sarama.ClusterAdmin) error {
		detail := &sarama.TopicDetail{NumPartitions: partitions, ReplicationFactor: -1} // -1: the broker's default
		if err := admin.CreateTopic(name, detail, false); err != nil {
			return fmt.Errorf("creating topic %q: %w", name, err)
		}
		for partition := range partitions {
			if err := usable(client, name, partition); err != nil {
				return fmt.Errorf("waiting for partition %s/%d: %w", name, partition, err)
			}
		}
		return nil
	})
}

// usable returns when the leader of a partition has taken it over: for a moment
// after the topic was made it is named as such and knows nothing of it.
func usable(client sarama.Client, topic string, partition int32) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(time.Minute)
	for {
		_, err := client.GetOffset(topic, partition, sarama.OffsetNewest)
		if err == nil {
			return nil
		}
		select {
		case <-tick.C:
		case <-deadline:
			return err
		}
	}
}

func removeTopic(brokers []string, name string) error {
	return administer(brokers, func(_ sarama.Client, admin sarama.ClusterAdmin) error {
		if err := admin.DeleteTopic(name); err != nil {
			return fmt.Errorf("deleting topic %q: %w", name, err)
		}
		return nil
	})
}

func administer(brokers []string, do func(sarama.Client, sarama.ClusterAdmin) error) error {
	client, err := sarama.NewClient(brokers, clientConfig())
	if err != nil {
		return fmt.Errorf("connecting to %v: %w", brokers, err)
	}
	defer client.Close()
	admin, err := sarama.NewClusterAdminFromClient(client)
	if err != nil {
		return err
	}
	return do(client, admin)
}

// metadata is what the broker at addr itself knows of topics, of all if none is named.
func metadata(addr string, topics ...string) (*sarama.MetadataResponse, error) {
	config := clientConfig()
	config.Net.DialTimeout = time.Second
	config.Net.ReadTimeout = 5 * time.Second // one that is starting takes connections and does not answer yet
	broker := sarama.NewBroker(addr)
	if err := broker.Open(config); err != nil {
		return nil, err
	}
	defer broker.Close()
	answer, err := broker.GetMetadata(sarama.NewMetadataRequest(config.Version, topics))
	if err != nil {
		return nil, fmt.Errorf("asking %s for its metadata: %w", addr, err)
	}
	return answer, nil
}

func clientConfig() *sarama.Config {
	config := sarama.NewConfig()
	config.ClientID = "tests"
	config.Metadata.AllowAutoTopicCreation = false
	config.Metadata.Retry.Max = 50 // a new topic has no leader for a moment
	config.Metadata.Retry.Backoff = 100 * time.Millisecond
	config.Admin.Timeout = 30 * time.Second
	return config
}
