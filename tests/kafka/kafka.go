// Package kafka gives tests a Kafka broker.
//
// Which one the environment says:
//
//	KAFKA_BROKERS=host:port,…  the brokers that run there
//	KAFKA=embedded             a broker in this process, written in Go; quick, but only nearly Kafka
//	otherwise                  Apache Kafka itself: one process for each test binary, started when
//	                           it is first asked for. It needs Java 17, and Maven the first time
//
// [NewCluster] starts several brokers of Apache Kafka for tests that take one away from the others.
//
// No broker makes a topic that was only mentioned: tests get theirs from [Topic].
package kafka

import (
	"context"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
)

// Brokers returns the addresses, host:port, of the brokers that all tests of
// this binary share. They last as long as the process, so a test keeps to
// topics and groups of its own.
func Brokers(t testing.TB) []string {
	t.Helper()
	brokers, err := shared()
	if err != nil {
		t.Fatal(err)
	}
	return brokers
}

// shared is the one broker of this process: several seconds and some 300 MB, so
// not one for each test.
var shared = sync.OnceValues(func() ([]string, error) {
	if brokers := os.Getenv("KAFKA_BROKERS"); brokers != "" {
		return strings.Split(brokers, ","), nil
	}
	n, err := newNode("")
	if err != nil {
		return nil, err
	}
	return []string{n.addr()}, n.start(context.Background())
})

// A node is one broker. Its address and its records outlive its process.
type node interface {
	addr() string // host:port
	start(context.Context) error
	kill() error // at once, as a crash would
	close()      // for good
}

// newNode prepares a broker that keeps its records in folder, which becomes its
// own; without one they last as long as this process.
func newNode(folder string) (node, error) {
	switch kind := os.Getenv("KAFKA"); kind {
	case "":
		if os.Getenv("KAFKA_BROKERS") != "" {
			return newEmbedded(folder)
		}
		return newJava(folder)
	case "embedded":
		return newEmbedded(folder)
	default:
		return nil, fmt.Errorf("KAFKA=%q: it is empty or \"embedded\"", kind)
	}
}

// A Broker is a single broker that one test has to itself, to take away and to
// bring back. With KAFKA_BROKERS, which is nobody's to kill, it is an embedded one.
type Broker struct {
	t    testing.TB
	node node
}

// Alone starts a broker for one test, which ends with it.
func Alone(t testing.TB) *Broker {
	t.Helper()
	n, err := newNode(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	b := &Broker{t, n}
	b.Start()
	t.Cleanup(n.close)
	return b
}

// Addrs returns the broker's address, host:port, the same after each start.
func (b *Broker) Addrs() []string { return []string{b.node.addr()} }

// Start starts the broker again after Kill and returns when it answers.
func (b *Broker) Start() {
	b.t.Helper()
	if err := b.node.start(b.t.Context()); err != nil {
		b.t.Fatal(err)
	}
}

// Kill ends the broker without notice and returns when it is gone. What it had
// acknowledged is there again after Start.
func (b *Broker) Kill() {
	b.t.Helper()
	if err := b.node.kill(); err != nil {
		b.t.Fatal(err)
	}
}
