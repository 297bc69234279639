package kafkaclient

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/IBM/sarama"
)

// The protocols and the mechanisms that a KafkaSink's Secret may name.
var (
	protocols  = []string{"PLAINTEXT", "SASL_PLAINTEXT", "SSL", "SASL_SSL"}
	mechanisms = []string{sarama.SASLTypePlaintext, sarama.SASLTypeSCRAMSHA256, sarama.SASLTypeSCRAMSHA512, sarama.SASLTypeOAuth}
)

// credentials are what the folder holds; each field is named as its file there, or nearly so.
type credentials struct {
	protocol, mechanism string
	user, password      string
	caCrt               string
	userCrt, userKey    string
	userSkip            string // "true" where TLS goes without a certificate of ours
	tokenURL            string // who issues the tokens of OAUTHBEARER; a file of ours, which Knative passes over
}

// readCredentials reads the folder, of which the empty name stands for one that says PLAINTEXT. Its errors name the
// variable and the file, and never what a secret file holds.
func readCredentials(dir string) (credentials, error) {
	c := credentials{protocol: "PLAINTEXT"}
	if dir == "" {
		return c, nil
	}
	for name, value := range map[string]*string{"protocol": &c.protocol, "sasl.mechanism": &c.mechanism, "user": &c.user,
		"password": &c.password, "ca.crt": &c.caCrt, "user.crt": &c.userCrt, "user.key": &c.userKey, "user.skip": &c.userSkip,
		"token.url": &c.tokenURL} {
		text, err := os.ReadFile(filepath.Join(dir, name))
		switch {
		case errors.Is(err, fs.ErrNotExist) && name != "protocol":
			continue
		case err != nil:
			return c, fmt.Errorf("KAFKA_AUTH_DIR: %w", err)
		}
		*value = string(text)
	}
	if err := c.validate(); err != nil {
		return c, fmt.Errorf("KAFKA_AUTH_DIR: %w", err)
	}
	return c, nil
}

func (c credentials) sasl() bool { return strings.HasPrefix(c.protocol, "SASL_") }

func (c credentials) tls() bool { return strings.HasSuffix(c.protocol, "SSL") }

// validate refuses what Knative would not take from the same Secret. It takes every file as it is, so that a line
// break at the end belongs to the value.
func (c credentials) validate() error {
	switch {
	case !slices.Contains(protocols, c.protocol):
		return fmt.Errorf("file protocol: %q is none of %v", c.protocol, protocols)
	case c.sasl() && !slices.Contains(mechanisms, c.mechanism):
		return fmt.Errorf("file sasl.mechanism: %q is none of %v", c.mechanism, mechanisms)
	case c.sasl() && (c.user == "" || c.password == ""):
		return errors.New("files user and password are both needed for " + c.protocol)
	case c.sasl() && c.mechanism == sarama.SASLTypeOAuth && !isURL(c.tokenURL):
		return errors.New("file token.url: OAUTHBEARER needs the http or https URL of who issues the tokens")
	case strings.ContainsAny(c.user, "\r\n"):
		return errors.New("file user: there is a line break in it")
	case strings.ContainsAny(c.password, "\"\r\n"):
		return errors.New(`file password: there is a line break or a " in it, which Knative cannot take`)
	case c.protocol == "SSL" && c.userSkip != "true" && (c.userCrt == "" || c.userKey == ""):
		return errors.New(`files user.crt and user.key are both needed for SSL, unless user.skip is "true"`)
	}
	return nil
}

// fits reports what a KafkaSource would do otherwise than these credentials say, where it is deployed for auth: it takes
// single keys of the Secret, and knows nothing of protocol and user.skip. Empty is any auth.
func (c credentials) fits(auth string) error {
	protocol, ok := map[string]string{"": c.protocol, "none": "PLAINTEXT", "sasl": "SASL_PLAINTEXT", "sasl-tls": "SASL_SSL", "tls": "SSL", "mtls": "SSL"}[auth]
	certified := c.userSkip != "true" && c.userCrt != ""
	switch {
	case !ok:
		return fmt.Errorf("%q is none of none, sasl, sasl-tls, tls, mtls", auth)
	case c.protocol != protocol:
		return fmt.Errorf("%s, but the Secret's protocol is %s: it has to be %s", auth, c.protocol, protocol)
	case auth != "" && c.tls() && c.caCrt == "":
		return fmt.Errorf("%s, but the Secret has no ca.crt, which a KafkaSource needs", auth)
	case auth == "tls" && certified:
		return errors.New(`tls, but the Secret has a certificate of ours, which a KafkaSource has with mtls only: choose that, or set user.skip to "true"`)
	case auth == "mtls" && !certified:
		return errors.New(`mtls, but the Secret has no user.crt, or its user.skip is "true"`)
	}
	return nil
}

// apply has config use the credentials.
func (c credentials) apply(config *sarama.Config) (err error) {
	if c.tls() {
		config.Net.TLS.Enable = true
		if config.Net.TLS.Config, err = c.tlsConfig(); err != nil {
			return fmt.Errorf("KAFKA_AUTH_DIR: %w", err)
		}
	}
	if !c.sasl() {
		return nil
	}
	config.Net.SASL.Enable = true
	config.Net.SASL.Mechanism = sarama.SASLMechanism(c.mechanism)
	if c.mechanism == sarama.SASLTypeOAuth {
		if config.Net.SASL.TokenProvider, err = c.bearer(); err != nil {
			return fmt.Errorf("KAFKA_AUTH_DIR: %w", err)
		}
		return nil
	}
	config.Net.SASL.User, config.Net.SASL.Password = c.user, c.password
	if hash, ok := scramHashes[c.mechanism]; ok {
		config.Net.SASL.SCRAMClientGeneratorFunc = func() sarama.SCRAMClient { return &scramLogin{hash: hash} }
	}
	return nil
}

func (c credentials) tlsConfig() (*tls.Config, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if c.caCrt != "" {
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM([]byte(c.caCrt)) {
			return nil, errors.New("file ca.crt: no certificate in PEM form")
		}
	}
	if c.userSkip == "true" || c.userCrt == "" && c.userKey == "" {
		return config, nil
	}
	ours, err := tls.X509KeyPair([]byte(c.userCrt), []byte(c.userKey))
	if err != nil {
		return nil, fmt.Errorf("files user.crt and user.key: %w", err) // which quotes neither
	}
	config.Certificates = []tls.Certificate{ours}
	return config, nil
}
