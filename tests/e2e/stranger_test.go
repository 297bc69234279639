//go:build e2e

package e2e_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/insights-onprem/cost-sources/functions/ros-cleanup/cleanup/rostest"
	"github.com/insights-onprem/cost-sources/shared/httpapi"
	"github.com/insights-onprem/cost-sources/shared/httpapi/apitest"
)

// TestStranger: a pod of another namespace that calls the functions, with an identity that it has made up, is told 401;
// and what it says has happened changes nothing.
func TestStranger(t *testing.T) {
	w := withWorld(t)
	const org, cluster = "stranger1", "in-danger"
	id, err := w.client(t, org).want(t, 201, "POST", "/sources/", registration(cluster)).id()
	if err != nil {
		t.Fatal(err)
	}
	w.awaitProvider(t, org, cluster)
	if err := rostest.Seed(t.Context(), w.rosSQL, org, id, cluster, "alias", 2); err != nil {
		t.Fatal(err)
	}
	w.settle(t)
	w.awaitConsumed(t)
	before := w.everything(t)

	calls, want := w.impostures(org, id)
	forged := w.forgeries(t, id)
	for range forged {
		want = append(want, 204)
	}
	lies := w.forgeries(t, id)
	sink := w.sinkURL(t)
	for i := range lies {
		lies[i].URL = sink
		want = append(want, 202)
	}
	if diff := cmp.Diff(want, w.stranger(t, slices.Concat(calls, forged, lies))); diff != "" {
		t.Errorf("answers (-want +got):\n%s", diff)
	}
	w.awaitConsumed(t)
	if diff := cmp.Diff(before, w.everything(t)); diff != "" {
		t.Errorf("tables (-before +after):\n%s", diff)
	}
}

// A request is one that the stranger's pod sends.
type request struct {
	Method, URL, Body string
	Header            map[string]string
}

// impostures are calls of the APIs that go past the gateway, each of which is answered 401.
func (w *world) impostures(org string, id int64) (calls []request, want []int) {
	header := map[string]string{"X-Rh-Identity": apitest.Header(org), "Content-Type": "application/json"}
	for _, c := range []struct{ function, method, path, body string }{
		{"sources", "GET", "/sources", ""},
		{"sources", "POST", "/sources", registration("forged")},
		{"sources", "PATCH", fmt.Sprintf("/sources/%d", id), `{"paused": true}`},
		{"sources", "DELETE", fmt.Sprintf("/sources/%d", id), ""},
		{"applications", "GET", "/applications", ""},
		{"applications", "POST", "/applications", fmt.Sprintf(`{"source_id": "%d"}`, id)},
	} {
		calls = append(calls, request{c.method, w.inCluster(c.function) + httpapi.Prefix + c.path, c.body, header})
		want = append(want, 401)
	}
	return calls, want
}

// inCluster is where pods find a function.
func (w *world) inCluster(function string) string {
	return "http://" + function + "." + w.namespace + ".svc.cluster.local"
}

// forgeries are events that have not happened, for each function that takes events: of a source that lives, of one
// that never was, and of one of somebody else's.
func (w *world) forgeries(t *testing.T, id int64) (events []request) {
	t.Helper()
	for _, to := range []string{w.inCluster("provisioner"), w.inCluster("provisioner") + "/tenants", w.inCluster("ros-cleanup")} {
		for _, kind := range []string{"source.delete", "application.delete", "source.create", "source.update"} {
			for _, source := range []int64{id, 1 << 40} {
				data, err := json.Marshal(map[string]any{
					"id": source, "source_id": source, "org_id": "somebody", "tenant": "somebody", "cluster_id": "forged", "source_type": "OCP",
				})
				if err != nil {
					t.Fatal(err)
				}
				events = append(events, event(to, kind, string(data), map[string]string{"partitionkey": fmt.Sprint(source), "sequence": "99"}))
			}
		}
	}
	return events
}

// event is a CloudEvent that is posted to a URL.
func event(url, kind, data string, more map[string]string) request {
	header := map[string]string{
		"Content-Type": "application/json", "Ce-Specversion": "1.0", "Ce-Type": kind, "Ce-Id": uuid.NewString(),
		"Ce-Source": "/api/cost-management/v1/sources",
	}
	for name, value := range more {
		header["Ce-"+name] = value
	}
	return request{"POST", url, data, header}
}

// sinkURL is where events are posted that are for our topic.
func (w *world) sinkURL(t *testing.T) string {
	t.Helper()
	url, err := w.do(t.Context(), "get", "kafkasink", "sources-events", "--output", "jsonpath={.status.address.url}")
	if err != nil {
		t.Fatal(err)
	}
	return url
}

// stranger has a pod of another namespace send requests, and returns with which status each was answered.
func (w *world) stranger(t *testing.T, requests []request) (statuses []int) {
	t.Helper()
	list, err := json.Marshal(requests)
	if err != nil {
		t.Fatal(err)
	}
	other, name := w.cluster, "stranger-"+uuid.NewString()
	other.namespace = "default"
	pod := object("Pod", name, map[string]any{"spec": map[string]any{
		"restartPolicy": "Never", "automountServiceAccountToken": false,
		"containers": []any{map[string]any{"name": "stranger", "image": w.image(t, "stranger"), "args": []string{string(list)}}},
	}})
	if err := other.apply(t.Context(), pod); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { other.remove(t, "pod", name) })
	if _, err := other.do(t.Context(), "wait", "pod", name, "--for=jsonpath={.status.phase}=Succeeded", "--timeout=120s"); err != nil {
		t.Error(err)
	}
	out, err := other.do(t.Context(), "logs", name)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(out) {
		var status int
		if err := json.Unmarshal([]byte(line), &status); err != nil {
			t.Fatalf("the stranger says: %s", out)
		}
		statuses = append(statuses, status)
	}
	return statuses
}
