//go:build e2e

package e2e_test

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/insights-onprem/cost-sources/tests/kafka"
)

// checkNothingLost holds what the clients of a load were told against the registry, the providers and the topic. name
// begins the names of their organizations, which nobody else is in.
func (w *world) checkNothingLost(t *testing.T, name string, made []registered) {
	t.Helper()
	w.settle(t)
	var sources, living []string
	for _, m := range made {
		sources = append(sources, fmt.Sprintf("%d %s %s %v", m.id, m.org, m.cluster, m.gone))
		if !m.gone {
			living = append(living, fmt.Sprintf("%d %s %s", m.id, m.org, m.cluster))
		}
	}
	same(t, "sources", sources, w.rows(t, `
		SELECT format('%s %s %s %s', id, org_id, cluster_id, (deleted_at IS NOT NULL)::text)
		FROM sources.source WHERE org_id LIKE $1 || '%'`, name))
	same(t, "sources with a provider", living, w.rows(t, `
		SELECT format('%s %s %s', s.source_id, c.org_id, a.credentials->>'cluster_id')
		FROM public.api_provider p
		JOIN public.api_customer c ON c.id = p.customer_id
		LEFT JOIN public.api_sources s ON s.provider_id = p.uuid
		LEFT JOIN public.api_providerauthentication a ON a.id = p.authentication_id
		WHERE c.org_id LIKE $1 || '%'`, name))
	same(t, "events", w.rows(t, `
		SELECT format('%s %s', id, n) FROM sources.source, generate_series(1, sequence) n WHERE org_id LIKE $1 || '%'`, name),
		w.told(t, name))
}

// told are the events in the topic of some organizations, each once, as "source sequence".
func (w *world) told(t *testing.T, name string) []string {
	t.Helper()
	records, err := kafka.Records(t.Context(), w.brokers, topic)
	if err != nil {
		t.Fatal(err)
	}
	var told []string
	for _, record := range records {
		attributes := map[string]string{}
		for _, h := range record.Headers {
			attributes[string(h.Key)] = string(h.Value)
		}
		if strings.HasPrefix(attributes["ce_orgid"], name) {
			told = append(told, attributes["ce_partitionkey"]+" "+attributes["ce_sequence"])
		}
	}
	slices.Sort(told)
	return slices.Compact(told) // an event may come twice
}

// settle waits until nothing is left to do. It pings the relay, which the schedule does every few minutes only: what a
// killed function has left in the outbox is the relay's, when the lease has run out.
func (w *world) settle(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	var pinging sync.WaitGroup
	pinging.Go(func() { w.pingUntil(ctx, t) })
	defer pinging.Wait()
	defer cancel()
	ticker := time.NewTicker(50 * time.Millisecond)
	defer ticker.Stop()
	for {
		left := query[string](t, w.sql, `
			SELECT format('outbox %s, pending %s, undone %s', outbox_depth, sources_pending, deletions_undone) FROM sources.health`)
		if left == "outbox 0, pending 0, undone 0" {
			return
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			t.Fatalf("not settled: %s", left)
		}
	}
}

// awaitIngress waits until a request that needs a new connection is served soon. The one-node cluster's ingress makes five
// in a second, and what a test has left in that queue is served first: after a burst that takes minutes.
func (w *world) awaitIngress(t *testing.T) {
	t.Helper()
	w.awaitCold(t, "relay")
	untilWithin(t, 3*patience, func() (string, error) {
		ctx, cancel := context.WithTimeout(t.Context(), 15*time.Second)
		defer cancel()
		if err := w.ping(ctx); err != nil {
			return err.Error(), nil
		}
		return "", nil
	})
}

// pingUntil pings the relay until ctx ends, often enough for the test and not so often as to keep others from working.
func (w *world) pingUntil(ctx context.Context, t *testing.T) {
	pause := time.NewTicker(5 * time.Second)
	defer pause.Stop()
	for {
		select {
		case <-pause.C:
			within, cancel := context.WithTimeout(ctx, 15*time.Second)
			if err := w.ping(within); err != nil && ctx.Err() == nil {
				t.Log(err) // a ping comes again
			}
			cancel()
		case <-ctx.Done():
			return
		}
	}
}

// ping does what the PingSource does.
func (w *world) ping(ctx context.Context) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, w.inside, strings.NewReader("{}"))
	if err != nil {
		return err
	}
	request.Host = "relay." + w.namespace + ".svc.cluster.local"
	for name, value := range map[string]string{
		"Content-Type": "application/json", "Ce-Specversion": "1.0", "Ce-Type": "dev.knative.sources.ping",
		"Ce-Source": "/e2e", "Ce-Id": uuid.NewString(),
	} {
		request.Header.Set(name, value)
	}
	response, err := web.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode/100 != 2 {
		return fmt.Errorf("the relay answers a ping with %s", response.Status)
	}
	return nil
}

// rows reads what a query returns as lines, one for each row.
func (w *world) rows(t *testing.T, sql string, args ...any) []string {
	t.Helper()
	found, _ := w.sql.Query(t.Context(), sql, args...) // its error comes out of Collect
	lines, err := pgx.CollectRows(found, pgx.RowTo[string])
	if err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	return lines
}

// same compares lines without regard to their order.
func same(t *testing.T, what string, want, got []string) {
	t.Helper()
	slices.Sort(want)
	slices.Sort(got)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}
