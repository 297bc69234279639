package main

import (
	"errors"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// asCommand makes the test program be the command.
const asCommand = "TEST_AS_DEAD_LETTERS"

func TestMain(m *testing.M) {
	if os.Getenv(asCommand) != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

// TestEnvironment: what is wrong is one line that names the variable, and exit status 1.
func TestEnvironment(t *testing.T) {
	t.Parallel()

	for _, tt := range []struct {
		name   string
		env    []string
		args   string
		status int
		want   string // in stderr
	}{
		{"nothing set", nil, "list", 1, "KAFKA_BROKERS"},
		{"brokers empty", []string{"KAFKA_BROKERS="}, "list", 1, "KAFKA_BROKERS: no host:port"},
		{"no database", []string{"KAFKA_BROKERS=127.0.0.1:1"}, "list", 1, "DATABASE_URL"},
		{"odd number", []string{"KAFKA_BROKERS=127.0.0.1:1", "DATABASE_URL=postgres://x", "DATABASE_MAX_CONNS=many"}, "list", 1, "DATABASE_MAX_CONNS"},
		{"topic empty", []string{"KAFKA_BROKERS=127.0.0.1:1", "DATABASE_URL=postgres://x", "SOURCES_EVENT_TOPIC="}, "list", 1, "SOURCES_EVENT_TOPIC"},
		{"overrides that are no JSON", []string{"KAFKA_BROKERS=127.0.0.1:1", "DATABASE_URL=postgres://x", "K_CE_OVERRIDES={"}, "list", 1, "K_CE_OVERRIDES"},
		{"Kafka away", []string{"KAFKA_BROKERS=127.0.0.1:1", "DATABASE_URL=postgres://x"}, "list", 1, "KAFKA_BROKERS: "},
		{"wrong flag before all that", nil, "redrive -all", 1, "-why"},
		{"help", nil, "help", 0, "dead-letters redrive"},
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
			if status != tt.status || !strings.Contains(stderr.String(), tt.want) || tt.status == 1 && lines != 1 {
				t.Errorf("exit status %d, want %d, with one line and %q in\n%s", status, tt.status, tt.want, &stderr)
			}
		})
	}
}
