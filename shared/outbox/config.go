package outbox

import (
	"encoding/json"
	"errors"
	"net/url"
)

// Config says where events go.
type Config struct {
	Sink      string    `envconfig:"K_SINK" required:"true"`
	Overrides Overrides `envconfig:"K_CE_OVERRIDES"`
}

// Validate reports the first variable that cannot be.
func (c Config) Validate() error {
	u, err := url.Parse(c.Sink)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return errors.New("K_SINK: not an http or https URL")
	}
	return nil
}

// Overrides are what a SinkBinding wants to have set on each event.
type Overrides struct {
	Extensions map[string]string `json:"extensions"`
}

// Decode reads the JSON that a SinkBinding injects, which may be empty.
func (o *Overrides) Decode(text string) error {
	if text == "" {
		return nil
	}
	return json.Unmarshal([]byte(text), o)
}
