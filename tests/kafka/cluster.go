package kafka

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/IBM/sarama"
)

// ErrEmbedded is why there is no [Cluster] where the environment asks for other
// brokers than an Apache Kafka of the test's own.
var ErrEmbedded = errors.New("a cluster is of Apache Kafka only, and KAFKA or KAFKA_BROKERS is set")

// A Cluster is several brokers, each a process of its own, to take away and to
// bring back one by one. Every partition is on all of them, acks=all means a
// majority (min.insync.replicas), and only a broker that has all that was
// acknowledged may lead. Every broker is also a member of the controllers'
// quorum, so without a majority nobody makes topics or elects a leader.
//
// Its methods may be called at the same time.
type Cluster struct {
	nodes []*java
}

// NewCluster starts n brokers and returns when they are [Cluster.Ready]. The
// caller ends them with Close; they also end with this process, however it ends.
func NewCluster(ctx context.Context, n int) (*Cluster, error) { return NewClusterAt(ctx, loopback, n) }

// NewClusterAt is NewCluster at another address of this machine, for whoever can
// reach that.
func NewClusterAt(ctx context.Context, host string, n int) (*Cluster, error) {
	if os.Getenv("KAFKA") != "" || os.Getenv("KAFKA_BROKERS") != "" {
		return nil, ErrEmbedded
	}
	if n < 1 {
		return nil, fmt.Errorf("a cluster of %d brokers", n)
	}
	nodes, err := newQuorum(ctx, host, make([]string, n)...)
	if err != nil {
		return nil, err
	}
	c := &Cluster{nodes}
	if err := errors.Join(atOnce(nodes, (*java).launch), c.Ready(ctx)); err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

// Addrs returns the addresses, host:port, of all brokers, also of those that are
// down. They are the same after each start.
func (c *Cluster) Addrs() []string {
	var addrs []string
	for _, j := range c.nodes {
		addrs = append(addrs, j.addr())
	}
	return addrs
}

// Kill ends broker i without notice and returns when it is gone. If it is down
// already, nothing happens; that it had ended by itself is an error.
func (c *Cluster) Kill(i int) error { return c.nodes[i].kill() }

// Start starts broker i again, unless it is up, and does not wait: alone it may
// have no quorum to be ready in.
func (c *Cluster) Start(i int) error { return c.nodes[i].launch() }

// Close ends all brokers and removes what they had. None can be started again.
func (c *Cluster) Close() { closeAll(c.nodes) }

// Ready returns when every broker answers, knows of all others, and has every
// partition in sync, and groups can be used: the cluster can then lose a
// minority. It waits also for a broker that is down, but not for one that ended
// by itself.
func (c *Cluster) Ready(ctx context.Context) error {
	if err := until(ctx, c.whole); err != nil {
		return fmt.Errorf("waiting for Kafka's %d brokers: %w; their logs end:\n%s", len(c.nodes), err, c.tails())
	}
	return nil
}

// whole looks twice, as the first group makes a topic.
func (c *Cluster) whole() error {
	if err := atOnce(c.nodes, c.knownTo); err != nil {
		return err
	}
	if err := groupsUsable(c.Addrs()); err != nil {
		return err
	}
	return atOnce(c.nodes, c.knownTo)
}

// knownTo returns what j does not know of the cluster, or knows to be missing.
func (c *Cluster) knownTo(j *java) error {
	known, err := j.metadata()
	if err != nil {
		return err
	}
	if len(known.Brokers) != len(c.nodes) {
		return fmt.Errorf("broker %s knows of %d brokers", j.addr(), len(known.Brokers))
	}
	for _, topic := range known.Topics {
		for _, p := range topic.Partitions {
			if p.Err != sarama.ErrNoError {
				return fmt.Errorf("broker %s on %s/%d: %w", j.addr(), topic.Name, p.ID, p.Err)
			}
			if len(p.Isr) != len(p.Replicas) {
				return fmt.Errorf("broker %s knows of %d replicas of %s/%d in sync, not %d",
					j.addr(), len(p.Isr), topic.Name, p.ID, len(p.Replicas))
			}
		}
	}
	return nil
}

// groupsUsable asks for the offsets of a group that is nobody's: the answer comes
// from a coordinator that has loaded them.
func groupsUsable(brokers []string) error {
	return administer(brokers, func(_ sarama.Client, admin sarama.ClusterAdmin) error {
		if _, err := admin.ListConsumerGroupOffsets("is-ready", nil); err != nil {
			return fmt.Errorf("asking for a group's offsets: %w", err)
		}
		return nil
	})
}

func (c *Cluster) tails() string {
	var tails strings.Builder
	for _, j := range c.nodes {
		fmt.Fprintf(&tails, "%s:\n%s\n", j.addr(), tail(j.folder))
	}
	return tails.String()
}

// Leader returns which broker leads a partition, as of now. It is an error if
// none does, for instance for some seconds after the leader was killed.
func (c *Cluster) Leader(topic string, partition int32) (i int, err error) {
	newest, err := c.partition(topic, partition)
	if err != nil {
		return 0, fmt.Errorf("looking for the leader of %s/%d: %w", topic, partition, err)
	}
	if newest.Err != sarama.ErrNoError {
		return 0, fmt.Errorf("looking for the leader of %s/%d: %w", topic, partition, newest.Err)
	}
	for i, j := range c.nodes {
		if int32(j.id) == newest.Leader {
			return i, j.runs()
		}
	}
	return 0, fmt.Errorf("%s/%d is led by broker %d, which is not ours", topic, partition, newest.Leader)
}

// partition returns the newest that any broker knows of a partition: one that is
// cut off from the controllers knows only how things were.
func (c *Cluster) partition(topic string, partition int32) (*sarama.PartitionMetadata, error) {
	var newest *sarama.PartitionMetadata
	errs := []error{errors.New("no broker knows of it")}
	for _, j := range c.nodes {
		known, err := j.metadata(topic)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		for _, p := range known.Topics[0].Partitions {
			if p.ID == partition && (newest == nil || p.LeaderEpoch > newest.LeaderEpoch) {
				newest = p
			}
		}
	}
	if newest == nil {
		return nil, errors.Join(errs...)
	}
	return newest, nil
}
