//go:build e2e

package e2e_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"testing"
)

// deployEmpty brings a function that does nothing, with the settings that ours have but for what ours need: variables
// and volumes. Ours are measured against it.
func (w *world) deployEmpty(t *testing.T) {
	t.Helper()
	labels := map[string]string{"networking.knative.dev/visibility": "cluster-local"}
	service, err := json.Marshal(map[string]any{
		"apiVersion": "serving.knative.dev/v1", "kind": "Service",
		"metadata": map[string]any{"name": "empty", "labels": labels},
		"spec": map[string]any{"template": map[string]any{
			"metadata": map[string]any{"annotations": map[string]string{
				"autoscaling.knative.dev/min-scale": "0", "autoscaling.knative.dev/max-scale": "2",
				"autoscaling.knative.dev/target-burst-capacity": "-1",
			}},
			"spec": map[string]any{
				"timeoutSeconds": 60, "automountServiceAccountToken": false, "enableServiceLinks": false,
				"containers": []any{map[string]any{
					"image":          w.image(t, "empty"),
					"readinessProbe": map[string]any{"httpGet": map[string]any{"path": "/readyz"}},
					"securityContext": map[string]any{
						"allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true, "runAsNonRoot": true,
						"capabilities":   map[string]any{"drop": []string{"ALL"}},
						"seccompProfile": map[string]string{"type": "RuntimeDefault"},
					},
					"resources": map[string]any{
						"requests": map[string]string{"cpu": "25m", "memory": "48Mi"}, "limits": map[string]string{"memory": "256Mi"},
					},
				}},
			},
		}},
	})
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "empty.json")
	if err := os.WriteFile(file, service, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := command(t.Context(), "", w.kn, "service", "apply", "empty", "--namespace", w.namespace, "--filename", file); err != nil {
		t.Fatal(err)
	}
}

// askEmpty asks the function that does nothing.
func (w *world) askEmpty(ctx context.Context) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, w.inside, nil)
	if err != nil {
		return err
	}
	request.Host = "empty." + w.namespace + ".svc.cluster.local"
	response, err := web.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("the empty function answers %s", response.Status)
	}
	return nil
}
