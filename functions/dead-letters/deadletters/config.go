package deadletters

import (
	"github.com/insights-onprem/cost-sources/shared/kafkaclient"
	"github.com/insights-onprem/cost-sources/shared/outbox"
	"github.com/insights-onprem/cost-sources/shared/store"
)

// Config is what the command reads from the environment (contract section 7).
type Config struct {
	store.Config
	kafkaclient.Cluster

	// Overrides are what the SinkBindings set on every event. Only where they are known here too does a
	// redriven event keep them.
	Overrides outbox.Overrides `envconfig:"K_CE_OVERRIDES"`
}

// Validate reports the first variable that cannot be.
func (c Config) Validate() error {
	if err := c.Cluster.Validate(); err != nil {
		return err
	}
	return c.Config.Validate()
}
