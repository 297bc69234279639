// Package faults_test has random changes made for several organizations, through the functions as processes of
// their own, while parts of the system are killed, cut off, slowed down or lied to; and then holds the databases and
// the topic against what the contract promises (sections 4 and 5): nothing lost, nothing twice, nothing out of order.
//
// TestEach has one fault at a time, TestRandom all of them, in an order that follows from a seed that it prints.
package faults_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/insights-onprem/cost-sources/tests/kafka"
	"github.com/insights-onprem/cost-sources/tests/process"
)

var (
	seed    = flag.Uint64("seed", 0, "of TestRandom; 0 stands for one that nobody has chosen")
	seeds   = flag.Int("seeds", 1, "how many runs TestRandom makes, each with another seed")
	chaos   = flag.Duration("for", 15*time.Second, "how long each of them has faults")
	verbose = flag.Bool("log", false, "show what the stand-ins for Knative log")
)

func TestMain(m *testing.M) {
	flag.Parse()
	if !*verbose {
		slog.SetDefault(slog.New(slog.NewTextHandler(io.Discard, nil))) // of a fault there is a warning a millisecond
	}
	status := m.Run()
	if dir, err := build(); err == nil {
		_ = os.RemoveAll(dir) // a folder left behind is no reason to fail
	}
	if e, err := startEngines(); err == nil {
		e.stop()
	}
	os.Exit(status)
}

// services are the functions by the folder that each is built from.
var services = []string{"sources", "applications", "provisioner", "ros-cleanup", "relay", "interop"}

var build = sync.OnceValues(func() (string, error) {
	var folders []string
	for _, name := range services {
		folders = append(folders, "functions/"+name)
	}
	return process.Build(folders...)
})

// engines are what the functions stand on. The runs of this process share them, one after the other.
type engines struct {
	kafka         *kafka.Cluster
	registry, ros *postgres
}

// startEngines starts three brokers and two servers of PostgreSQL, one of them for ROS, once.
var startEngines = sync.OnceValues(func() (*engines, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute) // they may have to be fetched
	defer cancel()
	e := &engines{registry: newPostgres(), ros: newPostgres()}
	cluster, err := kafka.NewCluster(ctx, 3)
	if err != nil {
		return nil, err
	}
	e.kafka = cluster
	if err := errors.Join(e.registry.start(ctx), e.ros.start(ctx)); err != nil {
		e.stop()
		return nil, err
	}
	return e, nil
})

func (e *engines) stop() {
	e.kafka.Close()
	for _, p := range []*postgres{e.registry, e.ros} {
		if err := p.remove(); err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
	}
}

// withEngines is startEngines for a test.
func withEngines(t testing.TB) *engines {
	t.Helper()
	e, err := startEngines()
	if errors.Is(err, kafka.ErrEmbedded) {
		t.Skip(err) // the broker that is written in Go has no crashes, replicas or elections
	}
	if err != nil {
		t.Fatal(err)
	}
	return e
}
