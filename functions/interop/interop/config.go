package interop

import (
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"

	"github.com/insights-onprem/cost-sources/shared/kafkaclient"
	"github.com/insights-onprem/cost-sources/shared/outbox"
	"github.com/insights-onprem/cost-sources/shared/store"
)

// Config says where the registry, Kafka and the sink are, and what the plain records are to be like.
type Config struct {
	store.Config
	kafkaclient.Cluster
	Outbox outbox.Config

	LegacyTopic string `envconfig:"LEGACY_TOPIC" default:"platform.sources.event-stream.plain"`
	// LegacyIdentity is the name of the service account that the records' identity is of, in each organization.
	LegacyIdentity string `envconfig:"LEGACY_IDENTITY" default:"cost-sources"`
	// LegacyWait is how long an event waits for one before it that does not come: as long as the topic of the events
	// keeps them, as it is also how far back it reaches.
	LegacyWait time.Duration `envconfig:"LEGACY_WAIT" default:"168h"`
	// PlainRecords says whether changes are also taken from producers other than ours.
	PlainRecords bool `envconfig:"PLAIN_RECORDS" default:"false"`
}

// Validate reports the first variable that cannot be.
func (c Config) Validate() error {
	if err := c.Config.Validate(); err != nil {
		return err
	}
	if err := c.Cluster.Validate(); err != nil {
		return err
	}
	if err := c.Outbox.Validate(); err != nil {
		return err
	}
	switch {
	case !kafkaclient.IsTopic(c.LegacyTopic):
		return fmt.Errorf("LEGACY_TOPIC: %q cannot be the name of a topic", c.LegacyTopic)
	case c.LegacyTopic == c.Topic || c.LegacyTopic == c.Dead():
		return fmt.Errorf("LEGACY_TOPIC: %q has another use: what is written there would come back as an event", c.LegacyTopic)
	case strings.TrimSpace(c.LegacyIdentity) == "" || strings.ContainsFunc(c.LegacyIdentity, unicode.IsControl):
		return errors.New("LEGACY_IDENTITY: the name of a service account")
	case c.LegacyWait <= 0:
		return errors.New("LEGACY_WAIT: more than 0s")
	}
	return nil
}
