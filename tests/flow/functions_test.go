package flow_test

import (
	"bytes"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/insights-onprem/cost-sources/shared/store/storetest"
)

// functions are the services, each an image of its own, and what each cannot do without.
var functions = map[string][]string{
	"sources":      {"DATABASE_URL", "K_SINK", "AUTH_MODE", "RBAC_URL", "GATEWAY_SECRET"},
	"applications": {"DATABASE_URL", "K_SINK", "AUTH_MODE", "RBAC_URL", "GATEWAY_SECRET"},
	"provisioner":  {"DATABASE_URL"},
	"ros-cleanup":  {"DATABASE_URL", "ROS_DATABASE_URL"},
	"relay":        {"DATABASE_URL", "K_SINK"},
}

// good is a value for each variable. Nobody is at these addresses: a function is ready all the same.
var good = map[string]string{
	"DATABASE_URL": "postgres://nobody@127.0.0.1:1/none", "ROS_DATABASE_URL": "postgres://nobody@127.0.0.1:1/none",
	"K_SINK": "http://127.0.0.1:1/sink", "AUTH_MODE": "identity", "RBAC_URL": "off", "GATEWAY_SECRET": "secret",
}

// buildFunctions builds each function as it is deployed, once.
var buildFunctions = sync.OnceValues(func() (string, error) {
	dir, err := build() // its folder goes when the tests are over
	if err != nil {
		return "", err
	}
	dir = filepath.Join(dir, "functions")
	if err := os.Mkdir(dir, 0o755); err != nil {
		return "", err
	}
	args := []string{"build", "-o", dir + "/"}
	for name := range functions {
		args = append(args, "../../functions/"+name)
	}
	if output, err := exec.Command("go", args...).CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build: %w\n%s", err, output)
	}
	return dir, nil
})

// function is a process of a function with all the variables but one.
func function(t *testing.T, name, without string, port int) (*exec.Cmd, *bytes.Buffer) {
	t.Helper()
	dir, err := buildFunctions()
	if err != nil {
		t.Fatal(err)
	}
	said := &bytes.Buffer{}
	cmd := exec.Command(filepath.Join(dir, name))
	cmd.Env = []string{fmt.Sprintf("PORT=%d", port)}
	for variable, value := range good {
		if variable != without {
			cmd.Env = append(cmd.Env, variable+"="+value)
		}
	}
	cmd.Stderr = said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() }) // it has ended unless the test failed
	return cmd, said
}

// TestFunctionsRefuse: what is missing is told in one line that names it.
func TestFunctionsRefuse(t *testing.T) {
	t.Parallel()

	for name, needs := range functions {
		for _, variable := range needs {
			t.Run(name+" without "+variable, func(t *testing.T) {
				t.Parallel()
				cmd, said := function(t, name, variable, 0)
				err := cmd.Wait()
				line := strings.TrimSuffix(said.String(), "\n")
				if cmd.ProcessState.ExitCode() != 1 || !strings.Contains(line, variable) || strings.Contains(line, "\n") {
					t.Errorf("it ends with %v and says %q, want 1 and one line that names %s", err, line, variable)
				}
			})
		}
	}
}

// TestFunctionsServe: a function answers its probes whatever is away, and ends in order.
func TestFunctionsServe(t *testing.T) {
	t.Parallel()

	for name := range functions {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			port := storetest.FreePort(t)
			cmd, said := function(t, name, "", port)
			ended := make(chan error, 1)
			go func() { ended <- cmd.Wait() }()
			await(t, func() string {
				response, err := http.Get(fmt.Sprintf("http://127.0.0.1:%d/readyz", port))
				if err != nil {
					return err.Error()
				}
				response.Body.Close()
				return strings.TrimPrefix(response.Status, "200 OK")
			})
			if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
				t.Fatal(err)
			}
			select {
			case err := <-ended:
				if err != nil {
					t.Errorf("SIGTERM ends it with %v:\n%s", err, said)
				}
			case <-time.After(time.Minute):
				t.Error("it has not ended a minute after SIGTERM")
			}
		})
	}
}
