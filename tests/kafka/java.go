package kafka

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/IBM/sarama"
	"github.com/google/uuid"

	"github.com/insights-onprem/cost-sources/shared/store/storetest"
)

// startTimeout is for a machine that has other work to do: alone it takes 3 s.
const startTimeout = 2 * time.Minute

// java is a node that is Apache Kafka: broker and controller in one process.
type java struct {
	member
	folder string
	jars   string

	mu      sync.Mutex
	process *process // nil before the first start and after a kill
	closed  bool
}

// loopback is where brokers listen that nobody but this machine is to reach.
const loopback = "127.0.0.1"

// A member is a node of a cluster as the others know it.
type member struct {
	id             int
	host           string
	port           int // for clients
	controllerPort int // for the other members
}

func newJava(folder string) (*java, error) {
	nodes, err := newQuorum(context.Background(), loopback, folder)
	if err != nil {
		return nil, err
	}
	return nodes[0], nil
}

// newQuorum prepares the members of one cluster, which listen at host, each in a
// folder of its own; an empty one stands for a temporary one.
func newQuorum(ctx context.Context, host string, folders ...string) ([]*java, error) {
	jars, err := install()
	if err != nil {
		return nil, fmt.Errorf("%w\nKAFKA_BROKERS=host:port names a Kafka that is there already, KAFKA=embedded does without", err)
	}
	ports, err := storetest.FreePortsAt(host, 2*len(folders))
	if err != nil {
		return nil, err
	}
	var nodes []*java
	var quorum []member
	for i, folder := range folders {
		m := member{i + 1, host, ports[2*i], ports[2*i+1]}
		nodes, quorum = append(nodes, &java{member: m, folder: folder, jars: jars}), append(quorum, m)
	}
	id := uuid.New()
	clusterID := base64.RawURLEncoding.EncodeToString(id[:])
	if err := atOnce(nodes, func(j *java) error { return j.format(ctx, quorum, clusterID) }); err != nil {
		closeAll(nodes)
		return nil, err
	}
	return nodes, nil
}

// atOnce does the same with all nodes and returns what went wrong with any.
func atOnce(nodes []*java, do func(*java) error) error {
	errs := make([]error, len(nodes))
	var all sync.WaitGroup
	for i, j := range nodes {
		all.Go(func() { errs[i] = do(j) })
	}
	all.Wait()
	return errors.Join(errs...)
}

func closeAll(nodes []*java) {
	_ = atOnce(nodes, func(j *java) error {
		j.close()
		return nil
	})
}

func (j *java) addr() string {
	return net.JoinHostPort(j.host, strconv.Itoa(j.port))
}

// format writes the configuration of a member of quorum and makes its folder fit
// to be started from. All members of a cluster share its id.
func (j *java) format(ctx context.Context, quorum []member, clusterID string) (err error) {
	if j.folder == "" {
		if j.folder, err = os.MkdirTemp("", "kafka-*"); err != nil {
			return err
		}
	}
	if err := os.WriteFile(j.config(), []byte(properties(j.member, quorum, j.folder)), 0o600); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	command := j.command("kafka.tools.StorageTool", "format", "--config="+j.config(),
		"--cluster-id="+clusterID) // with =, as it may begin with a hyphen
	if out, err := exec.CommandContext(ctx, command[0], command[1:]...).CombinedOutput(); err != nil {
		return fmt.Errorf("kafka.tools.StorageTool format: %w\n%s", err, out)
	}
	return nil
}

// properties is the configuration of one member of quorum that keeps all it has in folder.
func properties(m member, quorum []member, folder string) string {
	var voters []string
	for _, v := range quorum {
		voters = append(voters, fmt.Sprintf("%d@%s:%d", v.id, v.host, v.controllerPort))
	}
	return fmt.Sprintf(`process.roles=broker,controller
node.id=%d
controller.quorum.voters=%s
listeners=PLAINTEXT://%[3]s:%[4]d,CONTROLLER://%[3]s:%[5]d
controller.listener.names=CONTROLLER
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
log.dirs=%[6]s
default.replication.factor=%[7]d
offsets.topic.replication.factor=%[7]d
transaction.state.log.replication.factor=%[7]d
min.insync.replicas=%[8]d
unclean.leader.election.enable=false
auto.create.topics.enable=false
group.initial.rebalance.delay.ms=0
# One partition of group offsets is made in less time than fifty.
offsets.topic.num.partitions=1
# A broker that was killed is let in again when its old session is over.
broker.session.timeout.ms=4000
broker.heartbeat.interval.ms=1000
# A broker that has no quorum yet waits for it, however long a test keeps the others down.
initial.broker.registration.timeout.ms=3600000
# The default would take a third of the heap.
log.cleaner.dedupe.buffer.size=2097152
`, m.id, strings.Join(voters, ","), m.host, m.port, m.controllerPort, filepath.Join(folder, "data"),
		len(quorum), len(quorum)/2+1) // what a majority has taken, the loss of a minority cannot take away
}

func (j *java) config() string { return filepath.Join(j.folder, "server.properties") }

func (j *java) command(class string, args ...string) []string {
	return append([]string{
		"java", "-Xmx384m", "-XX:+UseSerialGC",
		"-XX:TieredStopAtLevel=1", // compiles less well and starts sooner
		"-Dorg.slf4j.simpleLogger.showDateTime=true", "-Dorg.slf4j.simpleLogger.dateTimeFormat=HH:mm:ss.SSS",
		"-cp", filepath.Join(j.jars, "*"), class,
	}, args...)
}

// start starts the process and returns when the broker answers.
func (j *java) start(ctx context.Context) error {
	if err := j.launch(); err != nil {
		return err
	}
	if err := until(ctx, j.answers); err != nil {
		err = fmt.Errorf("starting Kafka on %s: %w; its log ends:\n%s", j.addr(), err, tail(j.folder))
		j.close()
		return err
	}
	return nil
}

// launch starts the process, unless it runs, and does not wait for the broker.
func (j *java) launch() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	switch {
	case j.closed:
		return fmt.Errorf("starting Kafka on %s: it is closed", j.addr())
	case j.process != nil && j.process.runs():
		return nil
	}
	p, err := supervise(j.folder, j.command("kafka.Kafka", j.config())...)
	if err != nil {
		return fmt.Errorf("starting Kafka on %s: %w", j.addr(), err)
	}
	j.process = p
	return nil
}

// until tries until it succeeds, it is no use any more, or startTimeout is over.
func until(ctx context.Context, try func() error) error {
	ctx, cancel := context.WithTimeoutCause(ctx, startTimeout, fmt.Errorf("not within %v", startTimeout))
	defer cancel()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		err := try()
		if err == nil || errors.Is(err, errEnded) {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("%w: %w", context.Cause(ctx), err)
		}
	}
}

// errEnded is what one need not wait for any longer: a process ended, and nobody told it to.
var errEnded = errors.New("ended by itself")

func (j *java) answers() error {
	_, err := j.metadata()
	return err
}

// metadata is what this node itself knows of topics, of all if none is named.
func (j *java) metadata(topics ...string) (*sarama.MetadataResponse, error) {
	if err := j.runs(); err != nil {
		return nil, err
	}
	return metadata(j.addr(), topics...)
}

// runs returns an error that says why the process does not.
func (j *java) runs() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	switch {
	case j.process == nil:
		return fmt.Errorf("broker %s is down", j.addr())
	case !j.process.runs():
		return fmt.Errorf("broker %s %w", j.addr(), errEnded)
	}
	return nil
}

func (j *java) kill() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.process == nil {
		return nil
	}
	if err := j.process.kill(); err != nil {
		return err
	}
	j.process = nil
	return nil
}

// close kills, as nobody needs the records any more, and removes the folder. The
// node cannot be started again.
func (j *java) close() {
	j.mu.Lock()
	j.closed = true
	j.mu.Unlock()
	_ = j.kill() // an error says that it had ended by itself
	_ = os.RemoveAll(j.folder)
}
