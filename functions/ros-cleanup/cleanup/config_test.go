package cleanup_test

import (
	"strings"
	"testing"
	"time"

	"github.com/insights-onprem/cost-sources/functions/ros-cleanup/cleanup"
)

func TestConfig(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		edit func(*cleanup.Config)
		want string // what the error begins with; empty for none
	}{
		{"complete", func(*cleanup.Config) {}, ""},
		{"no Kruize", func(c *cleanup.Config) { c.KruizeURL = "" }, ""},
		{"registry missing", func(c *cleanup.Config) { c.Database.DatabaseURL = "" }, "DATABASE_URL is not set"},
		{"ROS empty", func(c *cleanup.Config) { c.ROSDatabaseURL = "" }, "ROS_DATABASE_URL: "},
		{"ROS is no URL", func(c *cleanup.Config) { c.ROSDatabaseURL = "postgres://u:secret@host:port/ros" }, "ROS_DATABASE_URL: "},
		{"Kruize without scheme", func(c *cleanup.Config) { c.KruizeURL = "kruize:8080" }, "KRUIZE_URL: "},
		{"Kruize of another scheme", func(c *cleanup.Config) { c.KruizeURL = "ftp://kruize" }, "KRUIZE_URL: "},
		{"Kruize without host", func(c *cleanup.Config) { c.KruizeURL = "http:///secret" }, "KRUIZE_URL: "},
		{"Kruize is no URL", func(c *cleanup.Config) { c.KruizeURL = "http://secret%zz" }, "KRUIZE_URL: "},
		{"Kruize with query", func(c *cleanup.Config) { c.KruizeURL = "http://kruize?secret=1" }, "KRUIZE_URL: "},
		{"no time for Kruize", func(c *cleanup.Config) { c.KruizeTimeout = 0 }, "KRUIZE_TIMEOUT: "},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			cfg := cleanup.Config{ROSDatabaseURL: "postgres://u:secret@host/ros", KruizeURL: "https://kruize:8443/base", KruizeTimeout: time.Second}
			cfg.Database.DatabaseURL, cfg.Database.MaxConns = "postgres://host/registry", 1
			tt.edit(&cfg)
			var got string
			if err := cfg.Validate(); err != nil {
				got = err.Error()
			}
			if !strings.HasPrefix(got, tt.want) || (got == "") != (tt.want == "") || strings.Contains(got, "secret") {
				t.Errorf("Validate() = %q, want %q first and no secret", got, tt.want)
			}
		})
	}
}
