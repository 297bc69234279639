package main

import (
	"context"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/insights-onprem/cost-sources/tests/process"
)

func TestMain(m *testing.M) { process.Main(m, main) }

func command(t *testing.T, args string, env ...string) (status int, stdout, stderr string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	c := process.NewCommand(ctx, env, strings.Fields(args)...)
	return c.Status(t), c.Out.String(), c.Errs.String()
}

// TestCommandLine: what is wrong with it is one line, and exit status 1.
func TestCommandLine(t *testing.T) {
	t.Parallel()

	for _, tt := range []struct {
		args   string
		status int
		want   string // in stderr
	}{
		{"", 1, "check or topics? preflight -h tells more\n"},
		{"check topics", 1, "check or topics? preflight -h tells more\n"},
		{"test", 1, "\"test\" is neither check nor topics; preflight -h tells more\n"},
		{"topics", 1, "required key KAFKA_BROKERS missing value\n"},
		{"-h", 0, "preflight topics"},
	} {
		status, out, errs := command(t, tt.args)
		if status != tt.status || out != "" || !strings.Contains(errs, tt.want) || tt.status == 1 && errs != tt.want {
			t.Errorf("preflight %s: exit status %d, %q, %q; want %d and %q", tt.args, status, out, errs, tt.status, tt.want)
		}
	}
}

// TestEnvironment: what is wrong with one variable hides no other, and is not repeated where it may be secret.
func TestEnvironment(t *testing.T) {
	t.Parallel()

	const secret = "not-to-be-seen"
	status, out, errs := command(t, "check", "DATABASE_URL=postgres://cost:"+secret+"@db:port/cost", "ROS_DATABASE_URL=ros:"+secret, "KAFKA_BROKERS=kafka",
		"AUTH_MODE=identity", "GATEWAY_SECRET=a,b,"+secret, "RBAC_URL=off", "KRUIZE_URL=ftp://"+secret+"@kruize", "OTEL_EXPORTER_OTLP_ENDPOINT="+secret)
	want := strings.TrimPrefix(`
FAIL  DATABASE_URL                 not the address of a PostgreSQL database
FAIL  ROS_DATABASE_URL             not the address of a PostgreSQL database
FAIL  KAFKA_BROKERS                "kafka" is no host:port
FAIL  AUTH_MODE                    GATEWAY_SECRET: one secret, or two with a comma and no blank between them, and no newline
FAIL  KRUIZE_URL                   an http or https URL without query and fragment, or empty where there is no Kruize
FAIL  OTEL_EXPORTER_OTLP_ENDPOINT  an http or https URL, or empty where there is no collector
`, "\n")
	if status != 1 || out != want || errs != "6 wrong, see the lines that begin with FAIL\n" {
		t.Errorf("exit status %d, want 1; %q on stderr, and on stdout:\n%s\nwant:\n%s", status, errs, out, want)
	}
}

// TestNobodyAnswers: the command ends in time.
func TestNobodyAnswers(t *testing.T) {
	t.Parallel()

	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	at := listener.Addr().String() // the kernel takes connections, and nobody says anything
	status, out, _ := command(t, "check", "DATABASE_URL=postgres://cost@"+at+"/cost", "ROS_DATABASE_URL=postgres://cost@"+at+"/cost", "KAFKA_BROKERS="+at,
		"AUTH_MODE=jwt", "OIDC_AUDIENCE=a", "OIDC_ISSUER=http://"+at, "RBAC_URL=http://"+at, "KRUIZE_URL=http://"+at, "OTEL_EXPORTER_OTLP_ENDPOINT=https://"+at)
	if status != 1 || strings.Count(out, "no answer in time") != 7 {
		t.Errorf("exit status %d, want 1, and seven times no answer in time:\n%s", status, out)
	}
}
