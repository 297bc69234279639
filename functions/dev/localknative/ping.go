package localknative

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/google/uuid"

	"github.com/insights-onprem/cost-sources/shared/kafkaevents"
)

const (
	pingType    = "dev.knative.sources.ping"
	pingRetries = 5

	// pingDelay makes the first wait 50 ms.
	pingDelay = 25 * time.Millisecond

	// pingTimeout is that of a Knative service that sets none. A PingSource has none of its own.
	pingTimeout = 5 * time.Minute
)

// A Ping is a PingSource that ticks at once and then every Interval.
type Ping struct {
	Namespace, Name string // of the PingSource; they stand in the events
	SinkURL         string // of the function
	Interval        time.Duration
	Data            string // a JSON object; none if empty
}

// Run POSTs an event on each tick until ctx ends. One that is not taken is sent
// up to five times more, from 50 ms on, and is then lost. A tick that falls into the
// time of another is left out; in a cluster they would overlap. Run returns nil but
// for a configuration that cannot work.
func (p Ping) Run(ctx context.Context) error {
	if err := p.validate(); err != nil {
		return err
	}
	c := courier{client: newHTTPClient(), retry: pingRetries, wait: exponential(pingDelay), timeout: pingTimeout}
	defer c.client.CloseIdleConnections()
	ticker := time.NewTicker(p.Interval) // drops what nobody waits for
	defer ticker.Stop()
	for ctx.Err() == nil {
		if a := c.deliver(ctx, p.SinkURL, p.event()); !a.taken() && ctx.Err() == nil {
			slog.ErrorContext(ctx, "ping lost", "source", p.Name, "url", p.SinkURL, "err", a)
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
		}
	}
	return nil
}

func (p Ping) validate() error {
	var object map[string]json.RawMessage
	switch {
	case p.Namespace == "" || p.Name == "":
		return errors.New("a PingSource needs Namespace and Name")
	case p.Interval <= 0:
		return fmt.Errorf("the Interval of PingSource %s is %v", p.Name, p.Interval)
	case p.Data != "" && json.Unmarshal([]byte(p.Data), &object) != nil:
		return fmt.Errorf("the Data of PingSource %s is no JSON object: %q", p.Name, p.Data)
	}
	if err := kafkaevents.Check(p.event()); err != nil {
		return fmt.Errorf("events of PingSource %s/%s: %w", p.Namespace, p.Name, err)
	}
	if err := absolute(p.SinkURL); err != nil {
		return fmt.Errorf("the SinkURL of PingSource %s: %w", p.Name, err)
	}
	return nil
}

func (p Ping) event() event.Event {
	e := event.New()
	e.SetType(pingType)
	e.SetID(uuid.NewString())
	e.SetSource(fmt.Sprintf("/apis/v1/namespaces/%s/pingsources/%s", p.Namespace, p.Name))
	e.SetTime(time.Now())
	if p.Data != "" {
		e.SetDataContentType(event.ApplicationJSON)
		e.DataEncoded = []byte(p.Data)
	}
	return e
}
