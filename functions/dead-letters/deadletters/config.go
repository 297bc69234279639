package deadletters

import (
	"errors"
	"fmt"
	"net"
	"regexp"

	"github.com/insights-onprem/cost-sources/shared/outbox"
	"github.com/insights-onprem/cost-sources/shared/store"
)

// Config is what the command reads from the environment (contract section 7).
type Config struct {
	store.Config

	Brokers []string `envconfig:"KAFKA_BROKERS" required:"true"` // host:port
	Topic   string   `envconfig:"SOURCES_EVENT_TOPIC" default:"platform.sources.event-stream"`

	// Overrides are what the SinkBindings set on every event. Only where they are known here too does a
	// redriven event keep them.
	Overrides outbox.Overrides `envconfig:"K_CE_OVERRIDES"`
}

// topicName is what Kafka allows, but for the length that the dead topic's name needs.
var topicName = regexp.MustCompile(`^[a-zA-Z0-9._-]{1,244}$`)

// Validate reports the first variable that cannot be.
func (c Config) Validate() error {
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
	return c.Config.Validate()
}

// deadTopic is where the KafkaSources send what their function does not take (contract section 5).
func (c Config) deadTopic() string { return c.Topic + ".dead" }
