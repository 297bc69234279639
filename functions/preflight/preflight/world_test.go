package preflight_test

import (
	"bytes"
	"context"
	"errors"
	"net"
	"strings"
	"testing"

	"github.com/insights-onprem/cost-sources/functions/preflight/preflight"
)

// secret is in every password and token of these tests, and never in what is printed.
const secret = "not-to-be-seen"

// errOther is what is wrong with the parts of the configuration that a test is not about.
var errOther = errors.New("not looked at")

// about is a configuration of which only one part is in order.
func about(set func(*preflight.Config)) preflight.Config {
	var cfg preflight.Config
	cfg.Database.Err, cfg.ROS.Err, cfg.Kafka.Err = errOther, errOther, errOther
	cfg.Callers.Err, cfg.Kruize.Err, cfg.OTLP.Err = errOther, errOther, errOther
	set(&cfg)
	return cfg
}

// run carries out a command and returns the lines that it prints about what the test is about, each with single
// blanks.
func run(t *testing.T, verb string, cfg preflight.Config) (lines []string, err error) {
	t.Helper()
	return runIn(t.Context(), t, verb, cfg)
}

func runIn(ctx context.Context, t *testing.T, verb string, cfg preflight.Config) (lines []string, err error) {
	t.Helper()
	var out, log bytes.Buffer
	err = preflight.Run(ctx, func() preflight.Config { return cfg }, []string{verb}, &out, &log)
	if strings.Contains(out.String(), secret) || err != nil && strings.Contains(err.Error(), secret) || log.Len() > 0 {
		t.Errorf("a secret is shown, or there is a log:\n%s\n%v\n%s", &out, err, &log)
	}
	for line := range strings.Lines(out.String()) {
		if line = strings.Join(strings.Fields(line), " "); !strings.HasSuffix(line, errOther.Error()) {
			lines = append(lines, line)
		}
	}
	return lines, err
}

// closed is an address where nothing listens.
func closed(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return listener.Addr().String()
}

// silent is an address where connections are taken and nothing is ever said.
func silent(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	return listener.Addr().String() // the kernel takes them
}

// want compares the lines, of which some are only known to begin so.
func want(t *testing.T, what string, got []string, want ...string) {
	t.Helper()
	ok := len(got) == len(want)
	for i := range min(len(got), len(want)) {
		begin, prefix := strings.CutSuffix(want[i], "…")
		ok = ok && (got[i] == want[i] || prefix && strings.HasPrefix(got[i], begin))
	}
	if !ok {
		t.Errorf("%s:\n%s\nwant:\n%s", what, strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// last returns the last n lines, or all.
func last(lines []string, n int) []string { return lines[max(0, len(lines)-n):] }
