package flow_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/insights-onprem/cost-sources/shared/httpapi/apitest"
)

// states are the history of a source, newest first.
func states(src apitest.Answer) []string {
	provisioning, _ := src.Body["provisioning"].(map[string]any)
	history, _ := provisioning["history"].([]any)
	var found []string
	for _, entry := range history {
		stage, _ := entry.(map[string]any)
		found = append(found, fmt.Sprint(stage["state"]))
		if failed := stage["state"] == "failed"; failed != strings.Contains(fmt.Sprint(stage["reason"]), "the cluster taken") {
			found = append(found, fmt.Sprint("with the reason ", stage["reason"]))
		}
	}
	return found
}

// historyToTheEnd follows a source that waits, fails, is mended, and is deleted.
func historyToTheEnd(t *testing.T, w world) {
	c := w.client("history1")
	first := c.Want(t, 201, "POST", "/sources", `{"name": "makes the tenant", "source_type_id": 1, "source_ref": "first"}`)
	awaitLinked(t, c, first.ID())
	if _, err := w.db.Exec(t.Context(), `
		WITH a AS (INSERT INTO public.api_providerauthentication (uuid, credentials)
			VALUES (gen_random_uuid(), '{"cluster_id": "taken"}') RETURNING id)
		INSERT INTO public.api_provider (uuid, name, type, setup_complete, active, authentication_id, billing_source_id, customer_id, paused)
		SELECT gen_random_uuid(), 'of nobody''s source', 'OCP', true, true, a.id, p.billing_source_id, p.customer_id, false
		FROM a, public.api_provider p WHERE p.uuid = $1`, first.Body["uuid"]); err != nil {
		t.Fatal(err)
	}

	path := "/sources/" + c.Want(t, 201, "POST", "/sources", `{"name": "s", "source_type_id": 1}`).ID()
	const both = "?include=history,deleted"
	reach := func(what string, is func(src apitest.Answer) bool, want ...string) {
		t.Helper()
		var src apitest.Answer
		await(t, func() string {
			if src = c.Want(t, 200, "GET", path+both, ""); is(src) {
				return ""
			}
			return "it is not " + what + ": " + src.Text
		})
		if diff := cmp.Diff(want, states(src)); diff != "" {
			t.Errorf("the history of what is %s (-want +got):\n%s", what, diff)
		}
	}
	available := func(status string) func(apitest.Answer) bool {
		return func(src apitest.Answer) bool {
			return src.Body["availability_status"] == status && src.Body["removal"] == nil
		}
	}
	reach("waiting", available("in_progress"), "waiting")
	c.Want(t, 200, "PATCH", path, `{"source_ref": "taken"}`)
	reach("failed", available("unavailable"), "failed", "pending", "waiting")
	c.Want(t, 200, "PATCH", path, `{"source_ref": "free"}`)
	reach("ready", available("available"), "ready", "pending", "failed", "pending", "waiting")
	c.Want(t, 204, "DELETE", path, "")
	c.Want(t, 404, "GET", path+"?include=history", "")
	reach("removed", func(src apitest.Answer) bool {
		removal, _ := src.Body["removal"].(map[string]any)
		return removal["provider"] == "removed" && removal["ros_data"] == "removed" && removal["done"] == true && src.Body["provider_linked"] == false
	}, "waiting", "ready", "pending", "failed", "pending", "waiting")
}
