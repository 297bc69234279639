//go:build e2e

package e2e_test

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"
)

// A cluster is reached through the command-line clients, as a person reaches it; which one KUBECONFIG says.
type cluster struct {
	kubectl, kn []string // program and first arguments
	namespace   string
}

func newCluster() cluster {
	return cluster{
		kubectl:   strings.Fields(cmp.Or(os.Getenv("KUBECTL"), "kubectl")),
		kn:        strings.Fields(cmp.Or(os.Getenv("KN"), "kn")),
		namespace: "cost-sources-e2e-" + strings.ToLower(rand.Text()[:5]),
	}
}

// command runs a program to its end. What it writes to standard error is part of the error.
func command(ctx context.Context, stdin string, program []string, args ...string) (string, error) {
	args = append(slices.Clone(program), args...)
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Stdin = strings.NewReader(stdin)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return stdout.String(), fmt.Errorf("%s: %w\n%s", strings.Join(args, " "), err, &stderr)
	}
	return stdout.String(), nil
}

// do runs kubectl in our namespace.
func (c cluster) do(ctx context.Context, args ...string) (string, error) {
	return command(ctx, "", c.kubectl, append([]string{"--namespace", c.namespace}, args...)...)
}

// apply brings objects to our namespace.
func (c cluster) apply(ctx context.Context, objects ...any) error {
	list, err := json.Marshal(map[string]any{"apiVersion": "v1", "kind": "List", "items": objects})
	if err != nil {
		return err
	}
	_, err = command(ctx, string(list), c.kubectl, "--namespace", c.namespace, "apply", "--filename", "-")
	return err
}

// freshNamespace makes the namespace, and has those removed that earlier runs have left, which takes minutes.
func (c cluster) freshNamespace(ctx context.Context) error {
	const ours = "cost-sources-e2e"
	if _, err := command(ctx, "", c.kubectl, "delete", "namespace", "--selector", ours, "--wait=false"); err != nil {
		return err
	}
	namespace := object("Namespace", c.namespace, nil)
	namespace["metadata"].(map[string]any)["labels"] = map[string]string{
		ours: "", "bindings.knative.dev/include": "true", // which some clusters ask for
	}
	return c.apply(ctx, namespace)
}

// remove removes an object, without waiting for its end.
func (c cluster) remove(t *testing.T, kind, name string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), time.Minute)
	defer cancel()
	if _, err := c.do(ctx, "delete", kind, name, "--wait=false"); err != nil {
		t.Error(err)
	}
}

// object is one of Kubernetes' own kinds, of version v1.
func object(kind, name string, rest map[string]any) map[string]any {
	o := map[string]any{"apiVersion": "v1", "kind": kind, "metadata": map[string]any{"name": name}}
	for field, value := range rest {
		o[field] = value
	}
	return o
}

// tell says what helps to understand a failure: the pods, what happened, and the last that the functions have logged.
func (c cluster) tell(ctx context.Context) string {
	var told strings.Builder
	for _, args := range [][]string{
		{"get", "pods", "--output", "wide"},
		{"get", "ksvc,kafkasinks,kafkasources,sinkbindings,pingsources,jobs"},
		{"get", "events", "--sort-by", ".lastTimestamp"},
		{"logs", "--selector", "serving.knative.dev/service", "--container", "user-container", "--prefix", "--tail", "20", "--max-log-requests", "30"},
	} {
		out, err := c.do(ctx, args...)
		if err != nil {
			out += err.Error()
		}
		fmt.Fprintf(&told, "--- kubectl %s\n%s\n", strings.Join(args, " "), lastLines(out, 80))
	}
	return told.String()
}

func lastLines(text string, n int) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}
