package kafka

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"syscall"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/insights-onprem/cost-sources/shared/store/storetest"
)

// embedded is a node inside this process.
type embedded struct {
	folder  string
	port    int
	cluster *kfake.Cluster
}

func newEmbedded(folder string) (*embedded, error) {
	ports, err := storetest.FreePorts(1)
	if err != nil {
		return nil, err
	}
	return &embedded{folder: folder, port: ports[0]}, nil
}

func (e *embedded) addr() string {
	return net.JoinHostPort(loopback, strconv.Itoa(e.port))
}

// start waits for the port where it has to: what another goroutine is just about
// to execute has, for a moment, a copy of each of our sockets, also of a closed one.
func (e *embedded) start(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		cluster, err := kfake.NewCluster(kfake.Ports(e.port), kfake.DataDir(e.folder)) // "" is memory
		if err == nil {
			e.cluster = cluster
			return nil
		}
		if !errors.Is(err, syscall.EADDRINUSE) || ctx.Err() != nil {
			return fmt.Errorf("starting the embedded broker on port %d: %w", e.port, err)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
		}
	}
}

func (e *embedded) kill() error {
	e.cluster.Close()
	return nil
}

func (e *embedded) close() { e.cluster.Close() }
