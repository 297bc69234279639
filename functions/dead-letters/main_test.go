package main

import (
	"strings"
	"testing"

	"github.com/insights-onprem/cost-sources/tests/process"
)

func TestMain(m *testing.M) { process.Main(m, main) }

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

			process.NewCommand(t.Context(), tt.env, strings.Fields(tt.args)...).Want(t, tt.status, tt.want)
		})
	}
}
