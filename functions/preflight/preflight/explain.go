package preflight

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"syscall"

	"github.com/IBM/sarama"
)

// explain says why an address could not be reached or would not have us, and what to do. What is not known here it
// repeats, but without the URL, which may hold a password.
func explain(err error) string {
	if text := explainName(err); text != "" {
		return text
	}
	if text := explainTLS(err); text != "" {
		return text
	}
	if text := explainKafka(err); text != "" {
		return text
	}
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return "nothing listens there (connection refused): check the port, and whether the service runs"
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH):
		return "there is no way there from here: check the address, and the network policies"
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded), isTimeout(err):
		return "no answer in time: check the address, and whether a network policy or a firewall is in between"
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return "it hung up without a word: check the port, and whether TLS or a login is wanted there, or not"
	}
	if failed, ok := errors.AsType[*url.Error](err); ok {
		return failed.Err.Error()
	}
	return err.Error()
}

func isTimeout(err error) bool {
	failed, ok := errors.AsType[net.Error](err)
	return ok && failed.Timeout()
}

func explainName(err error) string {
	failed, ok := errors.AsType[*net.DNSError](err)
	switch {
	case !ok:
		return ""
	case failed.IsNotFound:
		return fmt.Sprintf("the name %s does not resolve here: check its spelling; a Service of another namespace is NAME.NAMESPACE.svc", failed.Name)
	default:
		return fmt.Sprintf("the name %s could not be looked up: DNS does not answer", failed.Name)
	}
}

// unknownAuthority says where each kind of peer's authority goes.
const unknownAuthority = "its certificate is signed by an authority that is not known here: add the authority's certificate, " +
	"as sslrootcert of the database's address, ca.crt of Kafka's Secret, or for all others SSL_CERT_FILE; in a cluster " +
	"the ConfigMap cost-sources-ca and PRIVATE_CA=true"

func explainTLS(err error) string {
	if _, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		return unknownAuthority
	}
	if failed, ok := errors.AsType[x509.HostnameError](err); ok {
		return fmt.Sprintf("its certificate is not for %s: use a name that is in the certificate", failed.Host)
	}
	if failed, ok := errors.AsType[x509.CertificateInvalidError](err); ok {
		return "its certificate is not valid: " + failed.Error()
	}
	if _, ok := errors.AsType[tls.RecordHeaderError](err); ok {
		return "it does not speak TLS: check the port, or do without TLS"
	}
	if alert, ok := errors.AsType[tls.AlertError](err); ok {
		return "it refuses our TLS: " + alert.Error()
	}
	return ""
}

func explainKafka(err error) string {
	switch {
	case errors.Is(err, sarama.ErrSASLAuthenticationFailed):
		return "Kafka refuses the login: check the user, the password and sasl.mechanism in the Secret that KAFKA_AUTH_DIR is mounted from"
	case errors.Is(err, sarama.ErrUnsupportedSASLMechanism):
		return "Kafka does not take this sasl.mechanism: choose one that the listener has, in the Secret that KAFKA_AUTH_DIR is mounted from"
	case errors.Is(err, sarama.ErrTopicAuthorizationFailed), errors.Is(err, sarama.ErrClusterAuthorizationFailed):
		return "Kafka does not let this user do that: give the user the right by an ACL"
	}
	return ""
}
