//go:build e2e

package e2e_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
)

// functions are those that are deployed; TestPlain has interop too, for as long as it runs.
var functions = []string{"sources", "applications", "provisioner", "ros-cleanup", "relay"}

// The topics, as knative/settings names them.
const (
	topic      = "platform.sources.event-stream"
	deadTopic  = "platform.sources.event-stream.dead"
	plainTopic = "platform.sources.event-stream.plain"
)

// A world is the whole system as it is deployed.
type world struct {
	cluster
	*engines

	gateway, host string // where the ingress is, and the name that it knows us by
	inside        string // where it answers for names inside the cluster
	version, next string // of the images
	settings      string // the file that deploy.sh reads
	sql, rosSQL   *pgxpool.Pool
	pods          *pods

	closes []func() error // the last first
}

func (w *world) onClose(f func() error) { w.closes = append(w.closes, f) }

func (w *world) open(ctx context.Context) (err error) {
	began := time.Now()
	if w.engines, err = startEngines(ctx, cmp.Or(os.Getenv("E2E_HOST"), "10.244.0.1")); err != nil {
		return err
	}
	w.onClose(w.engines.stop)
	for pool, url := range map[**pgxpool.Pool]string{&w.sql: w.databaseURL, &w.rosSQL: w.rosURL} {
		if *pool, err = pgxpool.New(ctx, url); err != nil {
			return err
		}
		w.onClose(func() error {
			(*pool).Close()
			return nil
		})
	}
	w.took("the engines", began)
	if err := w.freshNamespace(ctx); err != nil {
		return err
	}
	w.took("a fresh namespace", began)
	w.onClose(w.leaveNamespace)
	watching, stop := context.WithCancel(context.Background())
	w.onClose(func() error {
		stop()
		return nil
	})
	if w.pods, err = w.watchPods(watching); err != nil {
		return err
	}
	return w.firstDeploy(ctx)
}

// took says how long something took.
func (w *world) took(what string, began time.Time) {
	fmt.Printf("    %s took %.1f s\n", what, time.Since(began).Seconds())
}

// leaveNamespace has the namespace removed, and does not wait for its pods to come to their end.
func (w *world) leaveNamespace() error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	_, err := command(ctx, "", w.kubectl, "delete", "namespace", w.namespace, "--wait=false")
	return err
}

func (w *world) close() (err error) {
	for i := len(w.closes) - 1; i >= 0; i-- {
		err = errors.Join(err, w.closes[i]())
	}
	w.closes = nil
	return err
}

// firstDeploy does what a site does: makes the namespace's Secrets, writes the settings, deploys.
func (w *world) firstDeploy(ctx context.Context) error {
	dir, err := os.MkdirTemp("", "cost-sources-e2e-")
	if err != nil {
		return err
	}
	w.onClose(func() error { return os.RemoveAll(dir) })
	w.settings = filepath.Join(dir, "settings.env")
	secret := func(name, key, value string) map[string]any {
		return object("Secret", name, map[string]any{"stringData": map[string]string{key: value}})
	}
	addresses := map[string]string{"url": w.databaseURL}
	maps.Copy(addresses, w.logins)
	return errors.Join(
		w.apply(ctx, object("Secret", "cost-sources-database", map[string]any{"stringData": addresses}), secret("cost-sources-ros", "url", w.rosURL),
			secret("cost-sources-gateway", "secret", gatewaySecret)),
		w.configure(w.version, nil),
		w.deploy(ctx))
}

// await waits for pods to be as ok wants them.
func (w *world) await(t *testing.T, what string, ok func([]pod) bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	if err := w.pods.await(ctx, what, ok); err != nil {
		t.Fatal(err)
	}
}

// awaitGone waits until no pod of any function is there.
func (w *world) awaitGone(t *testing.T) {
	t.Helper()
	w.await(t, "nothing that runs", func(all []pod) bool {
		return !slices.ContainsFunc(of(all), pod.there)
	})
}

// awaitCold waits until no pod of some functions, of all if none is named, can take a request.
func (w *world) awaitCold(t *testing.T, functions ...string) {
	t.Helper()
	w.await(t, "zero", func(all []pod) bool {
		return !slices.ContainsFunc(of(all, functions...), pod.living)
	})
}
