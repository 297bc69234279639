//go:build e2e

// Package e2e_test has the flow made in a cluster: the functions as images, brought there by knative/deploy.sh, with
// Knative between them; and a PostgreSQL, an Apache Kafka, an issuer of tokens and a Kruize of the tests' own.
//
// run.sh runs it, and says what the environment may name instead of the one-node cluster.
package e2e_test

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/insights-onprem/cost-sources/shared/store/storetest"
	"github.com/insights-onprem/cost-sources/tests/kafka"
)

var (
	fetch  = flag.Bool("fetch", false, "only fetch what the tests need, as there is no way out of the node's network")
	atOnce = flag.Int("at-once", 50, "clients that register clusters in TestBurst")
)

func TestMain(m *testing.M) {
	flag.Parse()
	if *fetch {
		if err := errors.Join(storetest.Fetch(context.Background()), kafka.Fetch()); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	status := m.Run()
	if w, err := setUp(); err == nil {
		if err := w.close(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			status = max(status, 1)
		}
	}
	os.Exit(status)
}

// oneNode is the ingress of the one-node cluster.
const oneNode = "http://10.244.0.1"

// setUp deploys the functions, once.
var setUp = sync.OnceValues(func() (*world, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	defer cancel()
	c := newCluster()
	w := &world{cluster: c, host: c.namespace + ".example.test",
		gateway: cmp.Or(os.Getenv("GATEWAY"), oneNode), inside: cmp.Or(os.Getenv("LOCAL_GATEWAY"), oneNode),
		version: cmp.Or(os.Getenv("VERSION"), "e2e-1"), next: cmp.Or(os.Getenv("NEXT_VERSION"), "e2e-2")}
	if err := w.open(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("%w\n%s", err, w.tell(ctx)), w.close())
	}
	return w, nil
})

// withWorld is the deployed system. Whatever a test did with it, the next one finds it as it needs it to be by waiting
// for that.
func withWorld(t *testing.T) *world {
	t.Helper()
	w, err := setUp()
	if err != nil {
		t.Fatal(err)
	}
	w.awaitIngress(t)
	t.Cleanup(func() {
		if t.Failed() {
			ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), time.Minute)
			defer cancel()
			t.Log(w.tell(ctx))
		}
	})
	return w
}
