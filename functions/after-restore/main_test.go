package main

import (
	"strings"
	"testing"

	"github.com/insights-onprem/cost-sources/tests/process"
)

func TestMain(m *testing.M) { process.Main(m, main) }

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

			process.NewCommand(t.Context(), tt.env, strings.Fields(tt.args)...).Want(t, tt.status, tt.want)
		})
	}
}
