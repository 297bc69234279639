package kafka

import (
	"encoding/base64"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/IBM/sarama"

	"github.com/insights-onprem/cost-sources/shared/store/storetest"
	"github.com/insights-onprem/cost-sources/tests/certificates"
)

// Who may log in at a [Secured] broker, all with the same password.
const (
	User     = "cost"  // who may do everything, as may everybody without a login
	Guest    = "guest" // who may do nothing until there is an ACL, and is known to PLAIN only
	Password = "kafka-password-of-tests"
)

// A Secured broker is Apache Kafka that asks for TLS and for a login, each at an address of its own. It makes topics
// that are only mentioned, as no broker of an installation should.
type Secured struct {
	Plain         string // neither
	SASLPlaintext string // a login: PLAIN, SCRAM-SHA-256, SCRAM-SHA-512, or OAUTHBEARER with a Token
	SASLSSL       string // the same, over TLS
	SSL           string // TLS with a certificate of the client's
	Lost          string // neither; but it says that it is to be reached where it cannot be: LostAt

	CA, ClientCert, ClientKey string // in PEM form
}

// LostAt is what a broker that is asked at Lost takes for its address.
const LostAt = "kafka-0.invalid:9092"

// NewSecured starts a broker that ends with the test. Where the environment asks for other brokers than an Apache
// Kafka of the test's own, the test is skipped.
func NewSecured(t testing.TB) Secured {
	t.Helper()
	if os.Getenv("KAFKA") != "" || os.Getenv("KAFKA_BROKERS") != "" {
		t.Skip(ErrEmbedded)
	}
	folder := t.TempDir()
	j, err := newJava(folder)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(j.close)
	ports, err := storetest.FreePorts(4)
	if err != nil {
		t.Fatal(err)
	}
	at := func(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }
	s := Secured{Plain: j.addr(), SASLPlaintext: at(ports[0]), SASLSSL: at(ports[1]), SSL: at(ports[2]), Lost: at(ports[3])}
	s.configure(t, j)
	if err := j.start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := administer([]string{s.Plain}, letIn); err != nil {
		t.Fatal(err)
	}
	return s
}

// configure adds to what the node is configured with; of a property that is there twice the last counts.
func (s *Secured) configure(t testing.TB, j *java) {
	t.Helper()
	authority := certificates.New(t)
	cert, key := authority.Issue("127.0.0.1")
	s.CA = authority.PEM
	s.ClientCert, s.ClientKey = authority.Issue("client")
	trusted, keys := filepath.Join(j.folder, "ca.pem"), filepath.Join(j.folder, "keys.pem")
	clients := fmt.Sprintf("PLAINTEXT://%s,SASL_PLAINTEXT://%s,SASL_SSL://%s,SSL://%s", s.Plain, s.SASLPlaintext, s.SASLSSL, s.SSL)
	more := fmt.Sprintf(`
listeners=%[1]s,LOST://%[2]s,CONTROLLER://127.0.0.1:%[3]d
advertised.listeners=%[1]s,LOST://%[4]s
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,SASL_PLAINTEXT:SASL_PLAINTEXT,SASL_SSL:SASL_SSL,SSL:SSL,LOST:PLAINTEXT,CONTROLLER:PLAINTEXT
ssl.keystore.type=PEM
ssl.keystore.location=%[5]s
ssl.truststore.type=PEM
ssl.truststore.location=%[6]s
listener.name.ssl.ssl.client.auth=required
sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256,SCRAM-SHA-512,OAUTHBEARER
auto.create.topics.enable=true
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
super.users=User:ANONYMOUS;User:%[7]s;User:CN=client
`, clients, s.Lost, j.controllerPort, LostAt, keys, trusted, User) + logins("sasl_plaintext") + logins("sasl_ssl")
	for file, text := range map[string]string{trusted: s.CA, keys: key + cert, j.config(): more} {
		if err := appendTo(file, text); err != nil {
			t.Fatal(err)
		}
	}
}

// logins is who may log in at a listener. Those of SCRAM are kept by Kafka itself.
func logins(listener string) string {
	const module = "org.apache.kafka.common.security."
	text := fmt.Sprintf("listener.name.%s.plain.sasl.jaas.config=%splain.PlainLoginModule required user_%s=%q user_%s=%[4]q;\n",
		listener, module, User, Password, Guest)
	for _, mechanism := range []string{"scram-sha-256", "scram-sha-512"} {
		text += fmt.Sprintf("listener.name.%s.%s.sasl.jaas.config=%sscram.ScramLoginModule required;\n", listener, mechanism, module)
	}
	return text + fmt.Sprintf("listener.name.%s.oauthbearer.sasl.jaas.config=%soauthbearer.OAuthBearerLoginModule required;\n", listener, module)
}

// Token is what a broker that is told of no issuer takes for OAUTHBEARER: a token that nobody has signed.
func Token(user string) string {
	part := base64.RawURLEncoding.EncodeToString
	now := time.Now().Unix()
	return part([]byte(`{"alg":"none"}`)) + "." + part(fmt.Appendf(nil, `{"sub":%q,"iat":%d,"exp":%d}`, user, now, now+3600)) + "."
}

// letIn has Kafka know the user for SCRAM. It takes a user once in each request.
func letIn(_ sarama.Client, admin sarama.ClusterAdmin) error {
	for _, mechanism := range []sarama.ScramMechanismType{sarama.SCRAM_MECHANISM_SHA_256, sarama.SCRAM_MECHANISM_SHA_512} {
		results, err := admin.UpsertUserScramCredentials([]sarama.AlterUserScramCredentialsUpsert{{
			Name: User, Mechanism: mechanism, Iterations: 4096, Salt: []byte("salt of tests"), Password: []byte(Password)}})
		if err != nil {
			return err
		}
		for _, result := range results {
			if result.ErrorCode != sarama.ErrNoError {
				return fmt.Errorf("letting %s in: %w", result.User, result.ErrorCode)
			}
		}
	}
	return nil
}

func appendTo(path, text string) error {
	file, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	if _, err := file.WriteString(text); err != nil {
		return err
	}
	return file.Close()
}

// Secret writes a folder as a mounted Secret is, of a KafkaSink's shape, with the given protocol and, for the User,
// login, and returns its path. What is not needed for the protocol is not in it.
func (s Secured) Secret(t testing.TB, protocol, mechanism, password string) string {
	t.Helper()
	files := map[string]string{"protocol": protocol}
	if strings.HasPrefix(protocol, "SASL_") {
		files["sasl.mechanism"], files["user"], files["password"] = mechanism, User, password
	}
	if strings.HasSuffix(protocol, "SSL") {
		files["ca.crt"] = s.CA
	}
	if protocol == "SSL" {
		files["user.crt"], files["user.key"] = s.ClientCert, s.ClientKey
	}
	return Folder(t, files)
}

// Folder writes files into a folder for one test.
func Folder(t testing.TB, files map[string]string) string {
	t.Helper()
	folder := t.TempDir()
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return folder
}
