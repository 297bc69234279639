package outbox_test

import (
	"encoding/pem"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/insights-onprem/cost-sources/shared/outbox"
)

// decode is what a function reads of K_CA_CERTS.
func decode(t *testing.T, text string) outbox.Roots {
	t.Helper()
	var roots outbox.Roots
	if err := roots.Decode(text); err != nil {
		t.Fatal(err)
	}
	return roots
}

// certOf is what proves that a sink is the one it says.
func certOf(s *httptest.Server) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw}))
}

func TestCACerts(t *testing.T) {
	t.Parallel()

	api, relay := stores(t)
	s := &sink{arrived: make(chan string, 10), answer: accept}
	s.Server = httptest.NewUnstartedServer(s)
	s.Config.ErrorLog = log.New(io.Discard, "", 0) // it tells of handshakes that are meant to fail
	s.StartTLS()
	t.Cleanup(s.Close)
	for name, tt := range map[string]struct {
		certs string
		want  bool
	}{
		"with the sink's authority": {certOf(s.Server), true},
		"with it among others":      {"a comment\n" + certOf(s.Server) + certOf(s.Server) + "another\n", true},
		"with the system's alone":   {"", false},
	} {
		t.Run(name, func(t *testing.T) {
			src := addSource(t, api, 1)
			d := outbox.New(outbox.Config{Sink: s.URL, CACerts: decode(t, tt.certs)}, relay)
			err := d.Send(t.Context(), []int64{src.ID})
			stop(t, d)
			if (err == nil) != tt.want || len(s.arrived) == 1 != tt.want {
				t.Errorf("Send() = %v with %d events at the sink, want them there: %v", err, len(s.arrived), tt.want)
			}
			if err != nil && !strings.Contains(err.Error(), "certificate") {
				t.Errorf("Send() = %v, want the certificate to be the reason", err)
			}
			for len(s.arrived) > 0 {
				<-s.arrived
			}
		})
	}
}

// TestBrokenCACerts: what a SinkBinding cannot mean is told in one line, without the text itself.
func TestBrokenCACerts(t *testing.T) {
	t.Parallel()

	srv := httptest.NewTLSServer(http.NotFoundHandler())
	t.Cleanup(srv.Close)
	good := certOf(srv)
	for name, text := range map[string]string{
		"no PEM":         "certificate",
		"no certificate": "-----BEGIN CERTIFICATE-----\nTm9ib2R5\n-----END CERTIFICATE-----\n",
		"cut off":        good[:len(good)/2],
		"the second is":  good + good[:len(good)/2],
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := outbox.Config{Sink: "https://sink", CACerts: decode(t, text)}.Validate()
			if err == nil || !strings.HasPrefix(err.Error(), "K_CA_CERTS: ") || strings.Contains(err.Error(), "\n") {
				t.Errorf("Validate() = %v, want one line about K_CA_CERTS", err)
			}
		})
	}
	if err := (outbox.Config{Sink: "https://sink", CACerts: decode(t, good)}).Validate(); err != nil {
		t.Errorf("Validate() = %v, want nil for a certificate", err)
	}
}

// TestToken: the token is the one that is in the file by now.
func TestToken(t *testing.T) {
	t.Parallel()

	api, relay := stores(t)
	s := newSink(t, accept)
	path := filepath.Join(t.TempDir(), "token")
	d := outbox.New(outbox.Config{Sink: s.URL}, relay)
	t.Cleanup(func() { stop(t, d) })
	d.ReadTokenFrom(path)
	send := func() (string, error) {
		t.Helper()
		err := d.Send(t.Context(), []int64{addSource(t, api, 1).ID})
		requests := s.requests()
		return requests[len(requests)-1].Header.Get("Authorization"), err
	}
	if got, err := send(); got != "" || err != nil {
		t.Errorf("without a file %q is sent, %v; want no header", got, err)
	}
	for _, token := range []string{"first", "second\n"} {
		if err := os.WriteFile(path, []byte(token), 0o600); err != nil {
			t.Fatal(err)
		}
		if got, err := send(); got != "Bearer "+strings.TrimSpace(token) || err != nil {
			t.Errorf("with %q in the file %q is sent, %v", token, got, err)
		}
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(path, 0o700); err != nil { // there, and not to be read
		t.Fatal(err)
	}
	before := len(s.requests())
	if _, err := send(); err == nil || !strings.Contains(err.Error(), "token") || len(s.requests()) != before {
		t.Errorf("Send() = %v with %d requests, want an error about the token and none", err, len(s.requests())-before)
	}
	if isEmpty(t, relay) {
		t.Error("the event is not kept for the next try")
	}
}
