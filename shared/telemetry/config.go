package telemetry

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"go.opentelemetry.io/otel/sdk/metric"
)

// timeout is how long one request to the collector may take, unless a variable says otherwise.
const timeout = 10 * time.Second

// A signal is one of the two kinds of what is sent.
type signal struct{ name, path string }

var (
	traces  = signal{"TRACES", "/v1/traces"}
	metrics = signal{"METRICS", "/v1/metrics"}
)

// setting is what a variable of the exporter says, of the signal itself or else of all. An empty one is as
// good as none.
func (s signal) setting(name string) (variable, value string) {
	for _, variable := range []string{"OTEL_EXPORTER_OTLP_" + s.name + "_" + name, "OTEL_EXPORTER_OTLP_" + name} {
		if value := os.Getenv(variable); value != "" {
			return variable, value
		}
	}
	return "", ""
}

// client is nil where the signal is off.
func (s signal) client() (*client, error) {
	exporter := os.Getenv("OTEL_" + s.name + "_EXPORTER")
	variable, endpoint := s.setting("ENDPOINT")
	if endpoint == "" || exporter == "none" || strings.EqualFold(os.Getenv("OTEL_SDK_DISABLED"), "true") {
		return nil, nil
	}
	if exporter != "" && exporter != "otlp" {
		return nil, fmt.Errorf("OTEL_%s_EXPORTER: only otlp and none are supported", s.name)
	}
	if u, err := url.Parse(endpoint); err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, fmt.Errorf("%s: not an http or https URL", variable)
	}
	if !strings.Contains(variable, s.name) { // that of all signals is where the paths of each begin
		endpoint = strings.TrimSuffix(endpoint, "/") + s.path
	}
	if variable, protocol := s.setting("PROTOCOL"); protocol != "" && protocol != "http/protobuf" {
		return nil, fmt.Errorf("%s: only http/protobuf is supported", variable)
	}
	c := &client{url: endpoint, http: &http.Client{}}
	return c, errors.Join(s.header(c), s.compression(c), s.limit(c), s.transport(c))
}

// header reads key=value,key=value with the values percent-encoded. What is wrong with them is not repeated,
// as there are keys to the collector among them.
func (s signal) header(c *client) error {
	c.header = http.Header{"Content-Type": {"application/x-protobuf"}}
	variable, text := s.setting("HEADERS")
	if text == "" {
		return nil
	}
	for pair := range strings.SplitSeq(text, ",") {
		name, encoded, ok := strings.Cut(pair, "=")
		value, err := url.PathUnescape(strings.TrimSpace(encoded))
		if !ok || err != nil {
			return fmt.Errorf("%s: not of the form key=value,key=value", variable)
		}
		c.header.Set(strings.TrimSpace(name), value)
	}
	return nil
}

func (s signal) compression(c *client) error {
	variable, value := s.setting("COMPRESSION")
	if value != "" && value != "none" && value != "gzip" {
		return fmt.Errorf("%s: only gzip and none are supported", variable)
	}
	if c.zipped = value == "gzip"; c.zipped {
		c.header.Set("Content-Encoding", "gzip")
	}
	return nil
}

func (s signal) limit(c *client) error {
	c.http.Timeout = timeout
	variable, value := s.setting("TIMEOUT")
	if value == "" {
		return nil
	}
	ms, err := strconv.Atoi(value)
	if err != nil || ms <= 0 {
		return fmt.Errorf("%s: not a number of milliseconds", variable)
	}
	c.http.Timeout = time.Duration(ms) * time.Millisecond
	return nil
}

// transport knows the collector's authority, and shows it a certificate, where variables name files of them.
func (s signal) transport(c *client) error {
	secure := &tls.Config{}
	if variable, file := s.setting("CERTIFICATE"); file != "" {
		text, err := os.ReadFile(file)
		if err != nil {
			return fmt.Errorf("%s: %w", variable, err)
		}
		secure.RootCAs = x509.NewCertPool()
		if !secure.RootCAs.AppendCertsFromPEM(text) {
			return fmt.Errorf("%s: no certificate in PEM", variable)
		}
	}
	if variable, file := s.setting("CLIENT_CERTIFICATE"); file != "" {
		_, key := s.setting("CLIENT_KEY")
		pair, err := tls.LoadX509KeyPair(file, key)
		if err != nil {
			return fmt.Errorf("%s: %w", variable, err)
		}
		secure.Certificates = []tls.Certificate{pair}
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.TLSClientConfig = secure
	c.http.Transport = transport
	return nil
}

// temporality says whether sums and histograms are told since the process began, or since they were last told.
func temporality() (metric.TemporalitySelector, error) {
	const variable = "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE"
	switch strings.ToLower(os.Getenv(variable)) {
	case "", "cumulative":
		return metric.CumulativeTemporalitySelector, nil
	case "delta":
		return metric.DeltaTemporalitySelector, nil
	case "lowmemory":
		return metric.LowMemoryTemporalitySelector, nil
	default:
		return nil, errors.New(variable + ": only cumulative, delta and lowmemory are supported")
	}
}
