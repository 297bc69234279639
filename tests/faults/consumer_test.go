package faults_test

import (
	"context"
	"sync"

	"github.com/insights-onprem/cost-sources/functions/dev/localknative"
)

// A consumer is a member of a KafkaSource's group, which may leave it and come back.
type consumer struct {
	source localknative.Source

	mu   sync.Mutex
	stop func() error // nil while it is away
}

func (c *consumer) start() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.stop != nil {
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- c.source.Run(ctx) }()
	c.stop = func() error {
		cancel()
		return <-ended
	}
}

// leave ends the member: what is under way has 3 s, and what is not committed then comes again.
func (c *consumer) leave() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.stop == nil {
		return nil
	}
	err := c.stop()
	c.stop = nil
	return err
}
