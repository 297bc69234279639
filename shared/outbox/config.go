package outbox

import (
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	cloudevents "github.com/cloudevents/sdk-go/v2"
)

// Config is what a SinkBinding injects: where events go, what is to be set on them, who vouches for the sink.
type Config struct {
	Sink      string    `envconfig:"K_SINK" required:"true"`
	Overrides Overrides `envconfig:"K_CE_OVERRIDES"`
	CACerts   Roots     `envconfig:"K_CA_CERTS"`
}

// Validate reports the first variable that cannot be.
func (c Config) Validate() error {
	u, err := url.Parse(c.Sink)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return errors.New("K_SINK: not an http or https URL")
	}
	if c.CACerts.err != nil {
		return fmt.Errorf("K_CA_CERTS: %w", c.CACerts.err)
	}
	return nil
}

// Overrides are what a SinkBinding wants to have set on each event.
type Overrides struct {
	Extensions map[string]string `json:"extensions"`
}

// Decode reads the JSON that a SinkBinding injects, which may be empty. It refuses what no event can have, of which
// every single one would be parked, and what would take from all events what they are told apart and ordered by.
func (o *Overrides) Decode(text string) error {
	if text == "" {
		return nil
	}
	if err := json.Unmarshal([]byte(text), o); err != nil {
		return err
	}
	for name, value := range o.Extensions {
		if err := checkExtension(name, value); err != nil {
			return fmt.Errorf("extension %q: %w", name, err)
		}
	}
	return nil
}

// ours are the attributes that our events have beside those of every CloudEvent (contract section 4).
var ours = []string{"partitionkey", "sequence", "orgid", "traceparent", "repair"}

func checkExtension(name, value string) error {
	attributes := cloudevents.EventContextV1{}
	if err := attributes.SetExtension(name, value); err != nil { // also where it is an attribute of every CloudEvent
		return err
	}
	switch {
	case slices.Contains(ours, strings.ToLower(name)):
		return errors.New("the events have it already")
	case !utf8.ValidString(value) || strings.ContainsFunc(value, unicode.IsControl):
		return errors.New("a control character, which no HTTP header can have")
	}
	return nil
}

// Roots are certificate authorities that are trusted besides those of the system.
type Roots struct {
	pool *x509.CertPool // nil for those of the system alone
	err  error          // Validate tells it: envconfig would repeat the whole text
}

// Decode reads certificates in PEM, of which there may be none.
func (r *Roots) Decode(text string) error {
	if text == "" {
		return nil
	}
	if r.pool, r.err = x509.SystemCertPool(); r.err == nil {
		r.err = addCerts(r.pool, text)
	}
	return nil
}

// addCerts differs from the pool's own AppendCertsFromPEM in that none may be broken: one that is passed over
// would be missed only when the sink shows it.
func addCerts(pool *x509.CertPool, text string) error {
	rest := []byte(text)
	for added := 0; ; added++ {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			if added == 0 || strings.Contains(string(rest), "-----BEGIN") {
				return errors.New("not certificates in PEM")
			}
			return nil
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return fmt.Errorf("certificate %d: %w", added+1, err)
		}
		pool.AddCert(cert)
	}
}
