package kafkaclient_test

import (
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/IBM/sarama"

	"github.com/insights-onprem/cost-sources/shared/kafkaclient"
	"github.com/insights-onprem/cost-sources/tests/certificates"
	"github.com/insights-onprem/cost-sources/tests/kafka"
)

// One broker for all: it takes some seconds to start.
func TestLogin(t *testing.T) {
	t.Parallel()

	broker := kafka.NewSecured(t)
	topic := kafka.Topic(t, []string{broker.Plain}, "events", 1)
	t.Run("accepted", func(t *testing.T) {
		for _, tt := range []struct{ broker, protocol, mechanism, security string }{
			{broker.Plain, "PLAINTEXT", "", "PLAINTEXT"},
			{broker.SASLPlaintext, "SASL_PLAINTEXT", "PLAIN", "SASL_PLAINTEXT with PLAIN"},
			{broker.SASLPlaintext, "SASL_PLAINTEXT", "SCRAM-SHA-256", "SASL_PLAINTEXT with SCRAM-SHA-256"},
			{broker.SASLSSL, "SASL_SSL", "PLAIN", "SASL_SSL with PLAIN"},
			{broker.SASLSSL, "SASL_SSL", "SCRAM-SHA-256", "SASL_SSL with SCRAM-SHA-256"},
			{broker.SASLSSL, "SASL_SSL", "SCRAM-SHA-512", "SASL_SSL with SCRAM-SHA-512"},
			{broker.SSL, "SSL", "", "SSL"},
		} {
			cluster := kafkaclient.Cluster{Brokers: []string{tt.broker}, Topic: topic, AuthDir: broker.Secret(t, tt.protocol, tt.mechanism, kafka.Password)}
			if err := write(cluster); err != nil {
				t.Errorf("%s: %v", tt.security, err)
			}
			if got := cluster.Security(); got != tt.security {
				t.Errorf("Security() = %q, want %q", got, tt.security)
			}
		}
	})
	t.Run("tokens", func(t *testing.T) { tokens(t, broker, topic) })
	t.Run("refused", func(t *testing.T) {
		stranger := broker
		stranger.CA = certificates.New(t).PEM
		unknown := broker
		unknown.ClientCert, unknown.ClientKey = certificates.New(t).Issue("stranger")
		wrong := "wrong-" + rand.Text()
		for name, tt := range map[string]struct {
			broker string
			secret string
			want   string
		}{
			"wrong password for PLAIN":  {broker.SASLSSL, broker.Secret(t, "SASL_SSL", "PLAIN", wrong), "SASL Authentication failed"},
			"wrong password for SCRAM":  {broker.SASLSSL, broker.Secret(t, "SASL_SSL", "SCRAM-SHA-512", wrong), "SASL Authentication failed"},
			"another authority":         {broker.SASLSSL, stranger.Secret(t, "SASL_SSL", "PLAIN", kafka.Password), "certificate signed by unknown authority"},
			"a certificate of another":  {broker.SSL, unknown.Secret(t, "SSL", "", ""), "KAFKA_BROKERS: "},
			"no TLS where it is needed": {broker.SASLSSL, broker.Secret(t, "SASL_PLAINTEXT", "PLAIN", kafka.Password), "KAFKA_BROKERS: "},
		} {
			err := write(kafkaclient.Cluster{Brokers: []string{tt.broker}, Topic: topic, AuthDir: tt.secret})
			if err == nil || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), wrong) || strings.Contains(err.Error(), kafka.Password) {
				t.Errorf("%s: error %v, want one with %q and without the password", name, err, tt.want)
			}
		}
	})
}

// tokens: OAUTHBEARER is with a token that the issuer gives for the user and the password.
func tokens(t *testing.T, broker kafka.Secured, topic string) {
	issued := 0
	issuer := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		user, password, _ := r.BasicAuth()
		if user != kafka.User || password != kafka.Password || r.FormValue("grant_type") != "client_credentials" {
			http.Error(w, password, http.StatusUnauthorized)
			return
		}
		issued++
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"access_token": %q, "token_type": "Bearer", "expires_in": 3600}`, kafka.Token(user))
	}))
	t.Cleanup(issuer.Close)
	secret := func(password, url string) string {
		return kafka.Folder(t, map[string]string{"protocol": "SASL_PLAINTEXT", "sasl.mechanism": "OAUTHBEARER",
			"user": kafka.User, "password": password, "token.url": url})
	}
	cluster := kafkaclient.Cluster{Brokers: []string{broker.SASLPlaintext}, Topic: topic, AuthDir: secret(kafka.Password, issuer.URL)}
	if err := write(cluster); err != nil || issued != 1 {
		t.Errorf("with a token: %v, and %d were issued, want one for all connections", err, issued)
	}
	for name, tt := range map[string]struct{ dir, want string }{
		"a wrong secret":        {secret("wrong-password", issuer.URL), "file token.url: the issuer answers 401"},
		"no issuer to be found": {secret("wrong-password", "http://127.0.0.1:1"), "file token.url: "},
	} {
		cluster.AuthDir = tt.dir
		if err := write(cluster); err == nil || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "wrong-password") {
			t.Errorf("%s: error %v, want one with %q and without the password", name, err, tt.want)
		}
	}
}

// write writes a record as a program of ours would.
func write(cluster kafkaclient.Cluster) error {
	config, err := cluster.Sarama("tests")
	if err != nil {
		return err
	}
	config.Metadata.Retry.Max = 0
	config.Producer.Return.Successes = true
	client, err := cluster.Connect(cluster.Topic, config)
	if err != nil {
		return err
	}
	producer, err := sarama.NewSyncProducerFromClient(client)
	if err != nil {
		return errors.Join(err, client.Close())
	}
	_, _, err = producer.SendMessage(&sarama.ProducerMessage{Topic: cluster.Topic, Value: sarama.StringEncoder("x")})
	return errors.Join(err, producer.Close(), client.Close())
}

// TestSecret: what Knative would refuse is refused, and never shown.
func TestSecret(t *testing.T) {
	t.Parallel()

	const password = "not-to-be-seen"
	cert, key := certificates.New(t).Issue("client")
	login := func(change map[string]string) map[string]string {
		files := map[string]string{"protocol": "SASL_SSL", "sasl.mechanism": "PLAIN", "user": "cost", "password": password}
		for name, text := range change {
			files[name] = text
		}
		return files
	}
	for name, tt := range map[string]struct {
		files map[string]string
		want  string
	}{
		"in order":                     {login(nil), ""},
		"no TLS":                       {map[string]string{"protocol": "PLAINTEXT"}, ""},
		"TLS alone":                    {map[string]string{"protocol": "SSL", "user.skip": "true"}, ""},
		"TLS with a certificate":       {map[string]string{"protocol": "SSL", "user.crt": cert, "user.key": key}, ""},
		"nothing":                      {nil, "protocol: no such file or directory"},
		"a line break":                 {login(map[string]string{"protocol": "SASL_SSL\n"}), `file protocol: "SASL_SSL\n" is none of [PLAINTEXT SASL_PLAINTEXT SSL SASL_SSL]`},
		"another mechanism":            {login(map[string]string{"sasl.mechanism": "GSSAPI"}), `file sasl.mechanism: "GSSAPI" is none of [PLAIN SCRAM-SHA-256 SCRAM-SHA-512 OAUTHBEARER]`},
		"no issuer":                    {login(map[string]string{"sasl.mechanism": "OAUTHBEARER"}), "file token.url: OAUTHBEARER needs the http or https URL of who issues the tokens"},
		"an issuer":                    {login(map[string]string{"sasl.mechanism": "OAUTHBEARER", "token.url": "https://issuer/token"}), ""},
		"no password":                  {login(map[string]string{"password": ""}), "files user and password are both needed for SASL_SSL"},
		"user with a line break":       {login(map[string]string{"user": "cost\n"}), "file user: there is a line break in it"},
		"password with a line break":   {login(map[string]string{"password": password + "\n"}), "file password: there is a line break or a \" in it, which Knative cannot take"},
		"password with a quotation":    {login(map[string]string{"password": password + `"`}), "file password: there is a line break or a \" in it, which Knative cannot take"},
		"no certificate":               {map[string]string{"protocol": "SSL"}, `files user.crt and user.key are both needed for SSL, unless user.skip is "true"`},
		"a certificate that is none":   {map[string]string{"protocol": "SSL", "user.crt": password, "user.key": key}, "files user.crt and user.key: tls: failed to find any PEM data in certificate input"},
		"a key that is none":           {map[string]string{"protocol": "SSL", "user.crt": cert, "user.key": password}, "files user.crt and user.key: tls: failed to find any PEM data in key input"},
		"an authority that is not one": {login(map[string]string{"ca.crt": password}), "file ca.crt: no certificate in PEM form"},
	} {
		cluster := kafkaclient.Cluster{Brokers: []string{"b:9092"}, Topic: "events", AuthDir: kafka.Folder(t, tt.files)}
		got := ""
		if err := cluster.Validate(); err != nil {
			got = err.Error()
		}
		if (tt.want == "") != (got == "") || !strings.HasSuffix(got, tt.want) || got != "" && !strings.HasPrefix(got, "KAFKA_AUTH_DIR: ") || strings.Contains(got, password) {
			t.Errorf("%s: Validate() = %q, want one that ends with %q", name, got, tt.want)
		}
	}
}
