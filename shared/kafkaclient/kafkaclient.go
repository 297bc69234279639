// Package kafkaclient is how the few programs that speak to Kafka themselves find it, prove who they are, and name
// the topics.
package kafkaclient

import (
	"errors"
	"fmt"
	"net"
	"regexp"
	"time"

	"github.com/IBM/sarama"
)

// Within bounds each single exchange with Kafka.
const Within = 5 * time.Second

// A Cluster says where Kafka is (contract section 7). It is a part of configurations.
type Cluster struct {
	Brokers []string `envconfig:"KAFKA_BROKERS" required:"true"` // host:port
	// AuthDir is a folder with what a KafkaSink's Secret holds, as a mounted Secret is. Without one there is
	// neither TLS nor a login.
	AuthDir string `envconfig:"KAFKA_AUTH_DIR"`

	Topic     string `envconfig:"SOURCES_EVENT_TOPIC" default:"platform.sources.event-stream"`
	DeadTopic string `envconfig:"DEAD_TOPIC"` // see Dead
}

// topicName is what Kafka allows.
var topicName = regexp.MustCompile(`^[a-zA-Z0-9._-]{1,249}$`)

// IsTopic says whether a topic can have that name.
func IsTopic(name string) bool { return topicName.MatchString(name) }

// Validate reports the first variable that cannot be.
func (c Cluster) Validate() error {
	if len(c.Brokers) == 0 {
		return errors.New("KAFKA_BROKERS: no host:port")
	}
	for _, broker := range c.Brokers {
		host, port, err := net.SplitHostPort(broker)
		if err != nil || host == "" || port == "" {
			return fmt.Errorf("KAFKA_BROKERS: %q is no host:port", broker)
		}
	}
	if !topicName.MatchString(c.Topic) {
		return fmt.Errorf("SOURCES_EVENT_TOPIC: %q cannot be the name of a topic", c.Topic)
	}
	if !topicName.MatchString(c.Dead()) || c.Dead() == c.Topic {
		return fmt.Errorf("DEAD_TOPIC: %q cannot be the name of the topic of dead letters", c.Dead())
	}
	_, err := c.Sarama("")
	return err
}

// Dead is the topic that the KafkaSources send to what their function does not take (contract section 5).
func (c Cluster) Dead() string {
	if c.DeadTopic == "" {
		return c.Topic + ".dead"
	}
	return c.DeadTopic
}

// Fits reports whether a KafkaSource that is deployed for a KAFKA_AUTH comes in as AuthDir says; empty is any.
func (c Cluster) Fits(auth string) error {
	creds, err := readCredentials(c.AuthDir)
	if err != nil {
		return err
	}
	if err := creds.fits(auth); err != nil {
		return fmt.Errorf("KAFKA_AUTH: %w", err)
	}
	return nil
}

// Security says in a few words how the brokers are spoken to. No secret is in it.
func (c Cluster) Security() string {
	creds, err := readCredentials(c.AuthDir)
	switch {
	case err != nil:
		return "unknown"
	case creds.sasl():
		return creds.protocol + " with " + creds.mechanism
	default:
		return creds.protocol
	}
}

// Sarama is what every client's configuration begins with. The client goes by the given name in the brokers' logs
// and makes no topic by asking for it.
func (c Cluster) Sarama(name string) (*sarama.Config, error) {
	config := sarama.NewConfig()
	config.ClientID = name
	config.Metadata.Full = false // of the topics in use only
	config.Metadata.AllowAutoTopicCreation = false
	config.Metadata.Timeout = 2 * Within
	config.Net.DialTimeout = Within
	config.Net.ReadTimeout = Within
	config.Net.WriteTimeout = Within
	creds, err := readCredentials(c.AuthDir)
	if err != nil {
		return nil, err
	}
	return config, creds.apply(config)
}

// Connect finds the leaders of a topic that exists.
func (c Cluster) Connect(topic string, config *sarama.Config) (sarama.Client, error) {
	client, err := sarama.NewClient(c.Brokers, config) // connects to nobody yet
	if err != nil {
		return nil, fmt.Errorf("KAFKA_BROKERS: %w", err)
	}
	err = client.RefreshMetadata(topic)
	switch {
	case err == nil:
		return client, nil
	case errors.Is(err, sarama.ErrUnknownTopicOrPartition):
		err = fmt.Errorf("%s: topic %q: %w", c.variable(topic), topic, err)
	default:
		err = fmt.Errorf("KAFKA_BROKERS: asking %v about topic %q: %w", c.Brokers, topic, err)
	}
	return nil, errors.Join(err, client.Close())
}

// variable is the one that says what a topic is called.
func (c Cluster) variable(topic string) string {
	switch topic {
	case c.DeadTopic:
		return "DEAD_TOPIC"
	case c.Topic, c.Dead():
		return "SOURCES_EVENT_TOPIC"
	default:
		return "LEGACY_TOPIC"
	}
}
