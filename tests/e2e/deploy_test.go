//go:build e2e

package e2e_test

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"
)

// gatewaySecret is what a gateway proves itself with, where there is one.
const gatewaySecret = "of-the-gateway"

// configure writes the settings for a version: those of the cluster, and over them those of this run and some more.
func (w *world) configure(version string, more map[string]string) error {
	site, err := os.ReadFile(cmp.Or(os.Getenv("SETTINGS"), "one-node.env"))
	if err != nil {
		return err
	}
	lines := []string{string(site)}
	for _, settings := range []map[string]string{{
		"DATABASE_LOGINS": map[bool]string{true: "each", false: "one"}[len(w.logins) > 0],
		"NAMESPACE":       w.namespace, "HOST": w.host, "VERSION": version,
		"KAFKA_BOOTSTRAP": strings.Join(w.brokers, ","), "TOPIC": topic, "DEAD_TOPIC": deadTopic,
		"AUTH_MODE": "jwt", "OIDC_ISSUER": w.issuer.url, "OIDC_AUDIENCE": audience, "KRUIZE_URL": w.kruizeURL,
	}, more} {
		for name, value := range settings {
			lines = append(lines, fmt.Sprintf("%s=%s", name, value))
		}
	}
	return os.WriteFile(w.settings, []byte(strings.Join(lines, "\n")+"\n"), 0o600)
}

// image is what a program of the tests' own is called, which lies where the functions do.
func (w *world) image(t *testing.T, name string) string {
	t.Helper()
	settings, err := os.ReadFile(w.settings)
	if err != nil {
		t.Fatal(err)
	}
	var repository string
	for line := range strings.Lines(string(settings)) {
		if value, ok := strings.CutPrefix(line, "IMAGE_REPOSITORY="); ok {
			repository = strings.TrimSpace(value)
		}
	}
	return fmt.Sprintf("%s/%s:%s", repository, name, w.version)
}

// deploy runs deploy.sh.
func (w *world) deploy(ctx context.Context, args ...string) error {
	defer w.took("deploy.sh "+strings.Join(args, " "), time.Now())
	_, err := command(ctx, "", []string{"../../knative/deploy.sh", "-s", w.settings}, args...)
	return err
}
