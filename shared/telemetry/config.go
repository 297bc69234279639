package telemetry

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"strings"
)

// A signal is one of the two kinds of what is sent.
type signal string

const (
	traces  signal = "TRACES"
	metrics signal = "METRICS"
)

// setting is what a variable of the exporter says, of the signal itself or else of all. An empty one is as
// good as none.
func (s signal) setting(name string) (variable, value string) {
	for _, variable := range []string{"OTEL_EXPORTER_OTLP_" + string(s) + "_" + name, "OTEL_EXPORTER_OTLP_" + name} {
		if value := strings.TrimSpace(os.Getenv(variable)); value != "" {
			return variable, value
		}
	}
	return "", ""
}

// values are those that variables of the exporters can have: with any other they would go on as if there were none.
var values = []struct{ name, pattern, want string }{
	{"PROTOCOL", `^http/protobuf$`, "only http/protobuf is supported"},
	{"HEADERS", "^([\\w!#$%&'*+.^`|~ -]+=([^%,]|%[[:xdigit:]]{2})*(,|$))+$", "not of the form key=value,key=value"},
	{"COMPRESSION", `^(gzip|none)$`, "only gzip and none are supported"},
	{"TIMEOUT", `^[1-9][0-9]{0,8}$`, "not a number of milliseconds"},
	{"TEMPORALITY_PREFERENCE", `(?i)^(cumulative|delta|lowmemory)$`, "only cumulative, delta and lowmemory are supported"},
}

// on reports whether the signal is to be sent. Its error names the variable that is wrong, and does not repeat
// what it says, as there are keys to the collector among them.
func (s signal) on() (bool, error) {
	exporter := os.Getenv("OTEL_" + string(s) + "_EXPORTER")
	variable, endpoint := s.setting("ENDPOINT")
	if endpoint == "" || exporter == "none" || strings.EqualFold(os.Getenv("OTEL_SDK_DISABLED"), "true") {
		return false, nil
	}
	if exporter != "" && exporter != "otlp" {
		return false, fmt.Errorf("OTEL_%s_EXPORTER: only otlp and none are supported", s)
	}
	if u, err := url.Parse(endpoint); err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return false, fmt.Errorf("%s: not an http or https URL", variable)
	}
	for _, v := range values {
		variable, value := s.setting(v.name)
		if value != "" && !regexp.MustCompile(v.pattern).MatchString(value) {
			return false, fmt.Errorf("%s: %s", variable, v.want)
		}
	}
	return true, nil
}

// wrong is an error of the exporter, whose variables do not go together.
func (s signal) wrong(err error) error {
	variable, _ := s.setting("ENDPOINT")
	return fmt.Errorf("%s: %w", variable, err)
}

// proxy is the one for a request to the collector, and where no redirect gets past: what it leads to need not be
// a collector, and there are keys among the headers. A client of our own would need no such trick, but the
// exporters would not tell it what the variables say of TLS and of the time that a request may take.
func proxy(r *http.Request) (*url.URL, error) {
	if r.Response != nil { // it led to r
		return nil, errors.New("a redirect, which is not followed")
	}
	return http.ProxyFromEnvironment(r)
}
