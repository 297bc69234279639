//go:build e2e

package e2e_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/IBM/sarama"
	"github.com/google/go-cmp/cmp"

	"github.com/insights-onprem/cost-sources/tests/kafka"
)

// TestPlain: a site whose other programs know nothing of CloudEvents has interop for a while, as the README says.
func TestPlain(t *testing.T) {
	w := withWorld(t)
	w.withInterop(t)

	t.Run("outwards", func(t *testing.T) {
		c := w.client(t, "plain1")
		made := c.want(t, 201, "POST", "/sources/", `{"name": "plain", "source_type_id": "1", "source_ref": "plain-cluster"}`)
		id, err := made.id()
		if err != nil {
			t.Fatal(err)
		}
		w.awaitProvider(t, "plain1", "plain-cluster")
		c.want(t, 204, "DELETE", fmt.Sprintf("/sources/%d", id), "")
		w.awaitPlain(t, "plain1", "Source.create", "Application.create", "Application.destroy", "Source.destroy")
	})
	t.Run("inwards", func(t *testing.T) {
		w.produce(t, "Application.create", `{"Id": 900000041, "Source_id": 900000041, "Application_type_id": 0, "Tenant": "plain2", "Extra": {"Cluster_id": "plain-41"}}`)
		w.awaitProvider(t, "plain2", "plain-41")
		w.produce(t, "Source.destroy", `{"Id": 900000041}`)
		awaitRows(t, w.sql, 0, providers, "plain2", "plain-41")
		awaitRows(t, w.sql, 1, `SELECT count(*) FROM sources.source WHERE id = 900000041 AND deleted_at IS NOT NULL AND ros_cleaned_at IS NOT NULL`)
		w.awaitPlain(t, "plain2", "Source.create", "Application.create", "Application.destroy", "Source.destroy")
	})
}

// withInterop deploys interop, and removes it by hand when the test is over.
func (w *world) withInterop(t *testing.T) {
	t.Helper()
	more := map[string]string{"INTEROP": "true", "PLAIN_RECORDS": "true", "LEGACY_TOPIC": plainTopic, "CONNECTIONS_NEEDED": "56"}
	if err := w.configure(w.version, more); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), time.Minute)
		defer cancel()
		for _, kind := range []string{"kafkasource", "sinkbinding", "ksvc"} {
			if _, err := w.do(ctx, "delete", kind, "interop", "--ignore-not-found"); err != nil {
				t.Error(err)
			}
		}
		if err := w.configure(w.version, nil); err != nil {
			t.Error(err)
		}
	})
	for _, args := range [][]string{{"migrate", "--foreign"}, {"deploy"}} {
		if err := w.deploy(t.Context(), args...); err != nil {
			t.Fatal(err)
		}
	}
}

// produce writes a record as another producer does.
func (w *world) produce(t *testing.T, kind, value string) {
	t.Helper()
	err := kafka.Write(w.brokers, &sarama.ProducerMessage{Topic: topic, Value: sarama.StringEncoder(value),
		Headers: kafka.Headers("event_type", kind, "encoding", "json", "x-rh-sources-org-id", "plain2")})
	if err != nil {
		t.Fatal(err)
	}
}

// awaitPlain waits until an organization's plain records are of these types, one each, in that order.
func (w *world) awaitPlain(t *testing.T, org string, want ...string) {
	t.Helper()
	until(t, func() (string, error) {
		records, err := kafka.Records(t.Context(), w.brokers, plainTopic)
		if err != nil {
			return "", err
		}
		var got []string
		for _, record := range records {
			i := slices.IndexFunc(record.Headers, func(h *sarama.RecordHeader) bool { return string(h.Key) == "event_type" })
			if string(record.Key) == org && i >= 0 {
				got = append(got, string(record.Headers[i].Value))
			}
		}
		if len(got) < len(want) {
			return strings.Join(got, " "), nil
		}
		if diff := cmp.Diff(want, got); diff != "" {
			return "", fmt.Errorf("plain records of %s (-want +got):\n%s", org, diff)
		}
		return "", nil
	})
}
