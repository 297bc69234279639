//go:build e2e

package e2e_test

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/insights-onprem/cost-sources/shared/store/storetest"
)

// binaries is where run.sh builds what the images hold.
const binaries = "../../bin"

// processes measures the functions without a cluster: how large they are, how soon they answer, what they hold then.
func (f *figures) processes(t *testing.T) {
	t.Helper()
	for _, name := range append([]string{"empty"}, functions...) {
		unpacked, pulled := sizes(t, name)
		var starts sample
		var memory int
		for range *rounds {
			took, kib := startOnce(t, name)
			starts = append(starts, took)
			memory = max(memory, kib)
		}
		f.add(name, "image %.1f MB as it is pulled, %.1f MB unpacked; process until /readyz %s; then %.1f MB (RSS)", pulled, unpacked, starts, float64(memory)/1e3)
	}
}

// sizes are those of the one file of an image, in MB: as it is, and as a registry has it.
func sizes(t *testing.T, name string) (unpacked, pulled float64) {
	t.Helper()
	file, err := os.Open(filepath.Join(binaries, name))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	var layer bytes.Buffer
	zip := gzip.NewWriter(&layer)
	n, err := io.Copy(zip, file)
	if err := errors.Join(err, zip.Close()); err != nil {
		t.Fatal(err)
	}
	return float64(n) / 1e6, float64(layer.Len()) / 1e6
}

// startOnce starts a process with all that it needs to be configured with, and ends it.
func startOnce(t *testing.T, name string) (took time.Duration, kib int) {
	t.Helper()
	port := storetest.FreePort(t)
	cmd := exec.CommandContext(t.Context(), filepath.Join(binaries, name))
	cmd.Env = []string{fmt.Sprintf("PORT=%d", port), "DATABASE_URL=postgres://nobody@127.0.0.1:1/none",
		"ROS_DATABASE_URL=postgres://nobody@127.0.0.1:1/none", "K_SINK=http://127.0.0.1:1/sink",
		"AUTH_MODE=identity", "RBAC_URL=off", "GATEWAY_SECRET=secret"}
	began := time.Now()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait() // that it was killed
	}()
	probe := http.Client{Timeout: time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	for {
		response, err := probe.Get(fmt.Sprintf("http://127.0.0.1:%d/readyz", port))
		if err == nil {
			response.Body.Close()
			return time.Since(began), residentKiB(t, cmd.Process.Pid)
		}
		if time.Since(began) > time.Minute {
			t.Fatalf("%s does not start: %v", name, err)
		}
	}
}

func residentKiB(t *testing.T, pid int) int {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(status)) {
		if value, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			kib, err := strconv.Atoi(strings.Fields(value)[0])
			if err != nil {
				t.Fatal(err)
			}
			return kib
		}
	}
	t.Fatalf("no VmRSS in %s", status)
	return 0
}
