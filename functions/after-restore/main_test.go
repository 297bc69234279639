package main

import (
	"errors"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// asCommand makes the test program be the command.
const asCommand = "TEST_AS_AFTER_RESTORE"

func TestMain(m *testing.M) {
	if os.Getenv(asCommand) != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

// TestEnvironment: what is wrong is one line that names the variable or the flag, and exit status 1.
func TestEnvironment(t *testing.T) {
	t.Parallel()

	for _, tt := range []struct {
		name   string
		env    []string
		args   string
		status int
		want   string // in stderr
	}{
		{"nothing set", nil, "", 1, "KAFKA_BROKERS"},
		{"no ROS", []string{"KAFKA_BROKERS=127.0.0.1:1", "DATABASE_URL=postgres://x"}, "", 1, "ROS_DATABASE_URL"},
		{"ROS empty", []string{"KAFKA_BROKERS=127.0.0.1:1", "DATABASE_URL=postgres://x", "ROS_DATABASE_URL="}, "", 1, "ROS_DATABASE_URL"},
		{"no database", []string{"KAFKA_BROKERS=127.0.0.1:1", "ROS_DATABASE_URL=off"}, "", 1, "DATABASE_URL"},
		{"PostgreSQL away", []string{"KAFKA_BROKERS=127.0.0.1:1", "ROS_DATABASE_URL=off", "DATABASE_URL=postgres://u:secret@127.0.0.1:1/x"}, "", 1, "reading the registry"},
		{"wrong flag before all that", nil, "-apply", 1, "-apply"},
		{"help", nil, "-h", 0, "after-restore [-dry-run]"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()

			cmd := exec.CommandContext(t.Context(), os.Args[0], strings.Fields(tt.args)...)
			cmd.Env = append([]string{asCommand + "=1"}, tt.env...)
			var stderr strings.Builder
			cmd.Stderr = &stderr
			err := cmd.Run()
			status := 0
			if exit, ok := errors.AsType[*exec.ExitError](err); ok {
				status = exit.ExitCode()
			}
			lines := strings.Count(stderr.String(), "\n")
			if status != tt.status || !strings.Contains(stderr.String(), tt.want) || tt.status == 1 && lines != 1 ||
				strings.Contains(stderr.String(), "secret") {
				t.Errorf("exit status %d, want %d, with one line and %q in\n%s", status, tt.status, tt.want, &stderr)
			}
		})
	}
}
