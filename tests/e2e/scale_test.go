//go:build e2e

package e2e_test

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"
)

// TestZero: when nobody calls, nothing of ours runs; who calls then is served all the same.
func TestZero(t *testing.T) {
	w := withWorld(t)
	const org = "zero1"
	c := w.client(t, org)
	c.want(t, 200, "GET", "/sources", "") // so that something runs
	w.awaitGone(t)

	c.want(t, 201, "POST", "/sources/", registration("cold"))
	w.awaitProvider(t, org, "cold")
}

// TestBurst: 500 clusters that are registered at once get their providers, from more than one provisioner.
func TestBurst(t *testing.T) {
	w := withWorld(t)
	const registrations, orgs = 500, 5
	w.client(t, "warm0").want(t, 201, "POST", "/sources/", registration("warm"))
	w.awaitProvider(t, "warm0", "warm") // as new connections are made only so fast
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	scaled := make(chan error, 1)
	go func() {
		scaled <- w.pods.await(ctx, "a second provisioner", func(all []pod) bool { return ready(of(all, "provisioner")) > 1 })
	}()

	var clients []*client
	for i := range orgs {
		clients = append(clients, w.client(t, fmt.Sprintf("burst%d", i)))
	}
	numbers := make(chan int)
	var all sync.WaitGroup
	made := make([]registered, registrations)
	for range *atOnce {
		all.Go(func() {
			for n := range numbers {
				made[n] = registered{org: fmt.Sprintf("burst%d", n%orgs), cluster: fmt.Sprintf("burst-%d", n)}
				if err := registerOnce(t, clients[n%orgs], &made[n]); err != nil {
					t.Error(err)
				}
			}
		})
	}
	began := time.Now()
	for n := range registrations {
		numbers <- n
	}
	close(numbers)
	all.Wait()
	t.Logf("%d registrations were answered in %v", registrations, time.Since(began))
	w.checkNothingLost(t, "burst", made)
	t.Logf("all had their providers after %v", time.Since(began))
	if err := <-scaled; err != nil {
		t.Error(err)
	}
}

func registerOnce(t *testing.T, c *client, made *registered) error {
	r, err := c.once(t.Context(), call{"POST", "/sources/", registration(made.cluster), made.cluster})
	if err != nil {
		return err
	}
	if r.status != http.StatusCreated {
		return fmt.Errorf("the registration of %s is answered %d %s", made.cluster, r.status, r.text)
	}
	made.id, err = r.id()
	return err
}

// ready counts pods that take requests.
func ready(all []pod) (n int) {
	for _, p := range all {
		if p.living() && p.ready {
			n++
		}
	}
	return n
}
