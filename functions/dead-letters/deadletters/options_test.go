package deadletters_test

import (
	"bytes"
	"errors"
	"flag"
	"strings"
	"testing"

	"github.com/insights-onprem/cost-sources/functions/dead-letters/deadletters"
	"github.com/insights-onprem/cost-sources/shared/kafkaclient"
	"github.com/insights-onprem/cost-sources/shared/store"
)

// errLoaded is what the configuration of TestFlags ends with: a command line that is in order gets so far.
var errLoaded = errors.New("in order")

func TestFlags(t *testing.T) {
	t.Parallel()

	const which, why = "one of -id, -reason and -all has to say what is to be sent again", "-why has to say why it is to be sent again"
	for _, tt := range []struct{ args, want string }{
		{"", "list or redrive? dead-letters -h tells more"},
		{"delete", `"delete" is neither list nor redrive; dead-letters -h tells more`},
		{"-v", `"-v" is neither list nor redrive; dead-letters -h tells more`},
		{"-h", flag.ErrHelp.Error()},
		{"list -h", flag.ErrHelp.Error()},
		{"list", errLoaded.Error()},
		{"list -id a -id b -reason x -v", errLoaded.Error()},
		{"list a", `unexpected argument "a"`},
		{"list -all", "flag provided but not defined: -all"},
		{"list -id=", `invalid value "" for flag -id: no event has an empty id`},
		{"redrive", which},
		{"redrive -why x", which},
		{"redrive -why x -all -id a", which},
		{"redrive -why x -reason a -id a", which},
		{"redrive -why x -all=false", which},
		{"redrive -all", why},
		{"redrive -all -why \u00a0", why},
		{"redrive -all -why \xff", why},
		{"redrive -all -why x -who \xff", "-who is no text"},
		{"redrive -why x -reason=", `invalid value "" for flag -reason: every reason contains an empty text`},
		{"redrive -v -why x -all", "flag provided but not defined: -v"},
		{"redrive -all -why x", errLoaded.Error()},
		{"redrive -id a -id b -why x -who me", errLoaded.Error()},
	} {
		t.Run(tt.args, func(t *testing.T) {
			t.Parallel()

			var args []string
			if tt.args != "" {
				args = strings.Split(tt.args, " ")
			}
			var out, log bytes.Buffer
			err := deadletters.Run(t.Context(), func() (deadletters.Config, error) { return deadletters.Config{}, errLoaded }, args, &out, &log)
			if errText(err) != tt.want || out.Len() > 0 {
				t.Errorf("error %q, want %q; stdout %q", errText(err), tt.want, &out)
			}
			if help := errors.Is(err, flag.ErrHelp); help != (log.Len() > 0) {
				t.Errorf("stderr %q", &log)
			}
		})
	}
}

func TestConfig(t *testing.T) {
	t.Parallel()

	valid := deadletters.Config{Config: store.Config{DatabaseURL: "postgres://x", MaxConns: 1},
		Cluster: kafkaclient.Cluster{Brokers: []string{"b:9092"}, Topic: "events"}}
	for _, tt := range []struct {
		name string
		edit func(*deadletters.Config)
		want string
	}{
		{"valid", func(*deadletters.Config) {}, ""},
		{"no brokers", func(c *deadletters.Config) { c.Brokers = nil }, "KAFKA_BROKERS: no host:port"},
		{"broker without a port", func(c *deadletters.Config) { c.Brokers = []string{"b:1", "b"} }, `KAFKA_BROKERS: "b" is no host:port`},
		{"no topic", func(c *deadletters.Config) { c.Topic = "" }, `SOURCES_EVENT_TOPIC: "" cannot be the name of a topic`},
		{"odd topic", func(c *deadletters.Config) { c.Topic = "a b" }, `SOURCES_EVENT_TOPIC: "a b" cannot be the name of a topic`},
		{"dead letters among the events", func(c *deadletters.Config) { c.DeadTopic = "events" }, `DEAD_TOPIC: "events" cannot be the name of the topic of dead letters`},
		{"no such folder", func(c *deadletters.Config) { c.AuthDir = "/none" }, "KAFKA_AUTH_DIR: open /none/protocol: no such file or directory"},
		{"no database", func(c *deadletters.Config) { c.DatabaseURL = "" }, "DATABASE_URL is not set, nor DATABASE_URL_FILE, a file that contains it"},
	} {
		cfg := valid
		tt.edit(&cfg)
		if got := errText(cfg.Validate()); got != tt.want {
			t.Errorf("%s: Validate() = %q, want %q", tt.name, got, tt.want)
		}
	}
}
