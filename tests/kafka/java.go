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
	"time"

	"github.com/google/uuid"
)

// startTimeout is for a machine that has other work to do: alone it takes 3 s.
const startTimeout = 2 * time.Minute

// java is a node that is Apache Kafka: broker and controller in one process.
type java struct {
	member
	folder  string
	jars    string
	process *process
}

// A member is a node of a cluster as the others know it.
type member struct {
	id             int
	port           int // for clients
	controllerPort int // for the other members
}

func newJava(folder string) (*java, error) {
	jars, err := install()
	if err != nil {
		return nil, fmt.Errorf("%w\nKAFKA_BROKERS=host:port names a Kafka that is there already, KAFKA=embedded does without", err)
	}
	if folder == "" {
		if folder, err = os.MkdirTemp("", "kafka-*"); err != nil {
			return nil, err
		}
	}
	ports, err := freePorts(2)
	if err != nil {
		return nil, err
	}
	j := &java{member: member{1, ports[0], ports[1]}, folder: folder, jars: jars}
	if err := j.format([]member{j.member}); err != nil {
		_ = os.RemoveAll(folder)
		return nil, err
	}
	return j, nil
}

func (j *java) addr() string {
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(j.port))
}

// format writes the configuration of a member of quorum and makes its folder
// fit to be started from. All members of a cluster would share one cluster id.
func (j *java) format(quorum []member) error {
	if err := os.WriteFile(j.config(), []byte(properties(j.member, quorum, j.folder)), 0o600); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	id := uuid.New()
	command := j.command("kafka.tools.StorageTool", "format", "--config="+j.config(),
		"--cluster-id="+base64.RawURLEncoding.EncodeToString(id[:])) // with =, as it may begin with a hyphen
	if out, err := exec.CommandContext(ctx, command[0], command[1:]...).CombinedOutput(); err != nil {
		return fmt.Errorf("kafka.tools.StorageTool format: %w\n%s", err, out)
	}
	return nil
}

// properties is the configuration of one member of quorum that keeps all it has in folder.
func properties(m member, quorum []member, folder string) string {
	var voters []string
	for _, v := range quorum {
		voters = append(voters, fmt.Sprintf("%d@127.0.0.1:%d", v.id, v.controllerPort))
	}
	return fmt.Sprintf(`process.roles=broker,controller
node.id=%d
controller.quorum.voters=%s
listeners=PLAINTEXT://127.0.0.1:%d,CONTROLLER://127.0.0.1:%d
controller.listener.names=CONTROLLER
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
log.dirs=%s
default.replication.factor=%[6]d
offsets.topic.replication.factor=%[6]d
transaction.state.log.replication.factor=%[6]d
auto.create.topics.enable=false
group.initial.rebalance.delay.ms=0
# One partition of group offsets is made in less time than fifty.
offsets.topic.num.partitions=1
# A broker that was killed is let in again when its old session is over.
broker.session.timeout.ms=4000
broker.heartbeat.interval.ms=1000
# The default would take a third of the heap.
log.cleaner.dedupe.buffer.size=2097152
`, m.id, strings.Join(voters, ","), m.port, m.controllerPort, filepath.Join(folder, "data"), len(quorum))
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

func (j *java) start(ctx context.Context) error {
	p, err := supervise(j.folder, j.command("kafka.Kafka", j.config())...)
	if err != nil {
		return fmt.Errorf("starting Kafka: %w", err)
	}
	j.process = p
	ctx, cancel := context.WithTimeoutCause(ctx, startTimeout, fmt.Errorf("no answer in %v", startTimeout))
	defer cancel()
	if err := j.ready(ctx); err != nil {
		p.end()
		return fmt.Errorf("starting Kafka on %s: %w; its log ends:\n%s", j.addr(), err, p.tail())
	}
	return nil
}

// ready returns when the broker answers with itself in its metadata.
func (j *java) ready(ctx context.Context) error {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for !answers(j.addr()) {
		select {
		case <-tick.C:
		case <-j.process.done:
			return errors.New("it ended by itself")
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return nil
}

func (j *java) kill() error { return j.process.kill() }

func (j *java) close() {
	_ = j.kill()    // nobody needs its records any more
	j.process.end() // removes the folder
}
