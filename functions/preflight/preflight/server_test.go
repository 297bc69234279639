package preflight_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/insights-onprem/cost-sources/shared/store/storetest"
	"github.com/insights-onprem/cost-sources/tests/certificates"
)

// A strict server is a PostgreSQL that wants passwords, offers TLS, and has no place for the role stranger.
type strict struct {
	t    *testing.T
	addr string
	ca   string // the file with its authority
	root *pgx.Conn
}

func newStrict(t *testing.T) strict {
	t.Helper()
	authority := certificates.New(t)
	cert, key := authority.Issue("127.0.0.1")
	folder := readable(t, map[string]string{"ca.pem": authority.PEM, "cert.pem": cert, "key.pem": key,
		"hba": "host all postgres 127.0.0.1/32 trust\nhost all stranger 127.0.0.1/32 reject\nhost all all 127.0.0.1/32 scram-sha-256\n"})
	server, err := storetest.Start(t.Context(), storetest.ServerConfig{Parameters: map[string]string{
		"fsync": "off", "hba_file": filepath.Join(folder, "hba"), "ssl": "on",
		"ssl_cert_file": filepath.Join(folder, "cert.pem"), "ssl_key_file": filepath.Join(folder, "key.pem")}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Stop(); err != nil {
			t.Error(err)
		}
	})
	root, err := pgx.Connect(t.Context(), server.URL("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { root.Close(context.WithoutCancel(t.Context())) })
	at := net.JoinHostPort(root.Config().Host, strconv.Itoa(int(root.Config().Port)))
	return strict{t, at, filepath.Join(folder, "ca.pem"), root}
}

// readable writes files into a folder that the account of the server can read, and nobody else where it is root's
// tests that run.
func readable(t *testing.T, files map[string]string) string {
	t.Helper()
	folder, err := os.MkdirTemp("", "preflight-*")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(folder) })
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if os.Geteuid() != 0 {
		return folder
	}
	nobody, err := user.Lookup("nobody")
	if err != nil {
		t.Fatal(err)
	}
	uid, _ := strconv.Atoi(nobody.Uid)
	for name := range files {
		if err := os.Chown(filepath.Join(folder, name), uid, -1); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chown(folder, uid, -1); err != nil {
		t.Fatal(err)
	}
	return folder
}

// exec runs statements as the superuser.
func (s strict) exec(statements ...string) {
	s.t.Helper()
	for _, sql := range statements {
		if _, err := s.root.Exec(s.t.Context(), sql); err != nil {
			s.t.Fatalf("%s: %v", sql, err)
		}
	}
}

// in runs statements in a database as a role.
func (s strict) in(url string, statements ...string) {
	s.t.Helper()
	conn, err := pgx.Connect(s.t.Context(), url)
	if err != nil {
		s.t.Fatal(err)
	}
	defer conn.Close(context.WithoutCancel(s.t.Context()))
	if _, err := conn.Exec(s.t.Context(), strings.Join(statements, ";"), pgx.QueryExecModeSimpleProtocol); err != nil {
		s.t.Fatal(err)
	}
}

// url is that of a database for a role with a password, over TLS as the options say.
func (s strict) url(role, password, database, options string) string {
	return fmt.Sprintf("postgres://%s:%s@%s/%s?%s", role, password, s.addr, database, options)
}

// super is the superuser's.
func (s strict) super(database string) string {
	return fmt.Sprintf("postgres://postgres@%s/%s?sslmode=disable", s.addr, database)
}

// without is the address of something that says, as a PostgreSQL without TLS does, that it has none.
func without(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			const request = 8 // bytes that ask for TLS
			_, _ = io.CopyN(io.Discard, conn, request)
			_, _ = conn.Write([]byte("N"))
			_ = conn.Close()
		}
	}()
	return listener.Addr().String()
}
