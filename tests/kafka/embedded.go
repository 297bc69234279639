package kafka

import (
	"context"
	"fmt"
	"net"
	"strconv"

	"github.com/twmb/franz-go/pkg/kfake"
)

// embedded is a node inside this process.
type embedded struct {
	folder  string
	port    int
	cluster *kfake.Cluster
}

func newEmbedded(folder string) (*embedded, error) {
	ports, err := freePorts(1)
	if err != nil {
		return nil, err
	}
	return &embedded{folder: folder, port: ports[0]}, nil
}

func (e *embedded) addr() string {
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(e.port))
}

func (e *embedded) start(context.Context) error {
	cluster, err := kfake.NewCluster(kfake.Ports(e.port), kfake.DataDir(e.folder)) // "" is memory
	if err != nil {
		return fmt.Errorf("starting the embedded broker on port %d: %w", e.port, err)
	}
	e.cluster = cluster
	return nil
}

func (e *embedded) kill() error {
	e.cluster.Close()
	return nil
}

func (e *embedded) close() { e.cluster.Close() }
