package storetest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// A server whose owner was killed is still shutting down when the next one comes for the same data.
const busyPatience = 15 * time.Second

// ServerConfig says what server to start. The zero value is one for a short while, on any free port.
type ServerConfig struct {
	// DataDir is a folder for the server alone. It is filled on first use and kept. Empty stands for a temporary
	// one, which goes when the server does.
	DataDir string

	// Host is the one address of this machine where the server listens, and lets in whoever can reach it. Empty stands
	// for 127.0.0.1.
	Host string

	// Port is where it listens there; 0 stands for any free one.
	Port int

	// Parameters are settings of PostgreSQL's, for instance fsync=off where the data is of no value.
	Parameters map[string]string
}

// A Server is a PostgreSQL 16 of our own. Its superuser postgres needs no password.
type Server struct {
	addr  string // host:port
	dir   dataDir
	child *supervised

	ending sync.Once
	end    error // how the ending went
}

// loopback is where a server listens that nobody but this machine is to reach.
const loopback = "127.0.0.1"

// Fetch fetches the programs of a server, unless they are there, for a Start that is to do without the network.
func Fetch(ctx context.Context) error {
	_, err := binaries(ctx)
	return err
}

// Start starts a server and returns when it can be connected to. The programs are fetched the first time. The server
// ends with this process, however that ends, and does not take part in signals from the terminal. For root it runs as
// the user nobody, who must be able to reach DataDir.
//
// An error leaves nothing running. It is one line, unless it is the server itself that says why it did not start.
func Start(ctx context.Context, cfg ServerConfig) (*Server, error) {
	bin, err := binaries(ctx)
	if err != nil {
		return nil, err
	}
	acct, err := serverAccount()
	if err != nil {
		return nil, err
	}
	patience := time.After(busyPatience)
	ticker := time.NewTicker(200 * time.Millisecond)
	defer ticker.Stop()
	for {
		s, err := startOnce(ctx, acct, bin, cfg)
		if !errors.Is(err, errBusy) && !(errors.Is(err, errPortTaken) && cfg.Port == 0) {
			return s, err
		}
		select {
		case <-ctx.Done():
			return nil, err
		case <-patience:
			return nil, err
		case <-ticker.C:
		}
	}
}

// The two ways to fail that may be over soon: a former server may still be ending, and there are other ports.
var (
	errBusy      = errors.New("its data is in use by another server")
	errPortTaken = errors.New("its port is taken")
)

func startOnce(ctx context.Context, acct account, bin string, cfg ServerConfig) (*Server, error) {
	cfg.Host = cmp.Or(cfg.Host, loopback)
	if cfg.Port == 0 {
		free, err := FreePortsAt(cfg.Host, 1)
		if err != nil {
			return nil, err
		}
		cfg.Port = free[0] // somebody may be faster than the server, which then says so
	}
	dir, err := openDataDir(ctx, acct, cfg.DataDir)
	if err != nil {
		return nil, err
	}
	if err := dir.initialize(ctx, acct, bin); err != nil {
		return nil, err
	}
	if err := dir.letIn(cfg.Host); err != nil {
		return nil, errors.Join(err, dir.discard())
	}
	child, err := launch(acct, bin, dir, commandLine(bin, dir, cfg))
	if err != nil {
		return nil, errors.Join(fmt.Errorf("start PostgreSQL: %w", err), dir.discard())
	}
	s := &Server{addr: net.JoinHostPort(cfg.Host, strconv.Itoa(cfg.Port)), dir: dir, child: child}
	if err := s.ready(ctx); err != nil {
		return nil, errors.Join(err, s.Stop())
	}
	return s, nil
}

// ready waits until the server answers or has ended.
func (s *Server) ready(ctx context.Context) error {
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	for {
		if s.answers(ctx) {
			return nil
		}
		select {
		case <-s.child.exited:
			return s.failure()
		case <-ctx.Done():
			return fmt.Errorf("wait for PostgreSQL on %s: %w", s.addr, context.Cause(ctx))
		case <-ticker.C:
		}
	}
}

// answers is true only if it is our server that answers: another may have the port, and ours be about to end because
// of that.
func (s *Server) answers(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second) // the other may be no PostgreSQL, and say nothing
	defer cancel()
	conn, err := pgx.Connect(ctx, s.URL("postgres"))
	if err != nil {
		return false
	}
	defer conn.Close(ctx)
	var data string
	err = conn.QueryRow(ctx, "SELECT current_setting('data_directory')").Scan(&data)
	return err == nil && data == s.dir.data()
}

// failure makes an error of what the server said before it ended.
func (s *Server) failure() error {
	said, err := s.child.said()
	if err != nil {
		return fmt.Errorf("read why PostgreSQL did not start: %w", err)
	}
	for text, reason := range map[string]error{
		`lock file "postmaster.pid" already exists`: errBusy,
		"pre-existing shared memory block":          errBusy,
		"Address already in use":                    errPortTaken,
	} {
		if strings.Contains(string(said), text) {
			return fmt.Errorf("start PostgreSQL in %s on %s: %w", s.dir.root, s.addr, reason)
		}
	}
	return fmt.Errorf("start PostgreSQL in %s on %s: it ended at once: %s", s.dir.root, s.addr, tail(said))
}

// tail is the last that a program said, enough to see what was wrong.
func tail(output []byte) string {
	const enough = 2000
	return strings.TrimSpace(string(output[max(0, len(output)-enough):]))
}

// URL returns the address of a database on the server, which need not exist yet.
func (s *Server) URL(database string) string {
	return fmt.Sprintf("postgres://postgres@%s/%s?sslmode=disable", s.addr, url.PathEscape(database))
}

// CreateDatabase makes an empty database. That it is there already is no error.
func (s *Server) CreateDatabase(ctx context.Context, name string) error {
	err := execute(ctx, s.URL("postgres"), "CREATE DATABASE "+pgx.Identifier{name}.Sanitize())
	const duplicateDatabase = "42P04"
	if pgErr, ok := errors.AsType[*pgconn.PgError](err); ok && pgErr.Code == duplicateDatabase {
		return nil
	}
	if err != nil {
		return fmt.Errorf("create database %q: %w", name, err)
	}
	return nil
}

// Stop shuts the server down, breaking off what its clients do, and returns when it has ended. Of several calls of
// Stop and Kill the first counts; the others return what it did.
func (s *Server) Stop() error { return s.endBy(s.child.stop) }

// Kill ends the server at once, as a crash would, and returns when it is gone. What was committed is in a kept DataDir
// and is there again after a Start with the same configuration; a temporary folder goes.
func (s *Server) Kill() error { return s.endBy(s.child.kill) }

func (s *Server) endBy(how func() error) error {
	s.ending.Do(func() {
		// The supervisor removes a temporary folder too, but not what is still written after a kill.
		s.end = errors.Join(how(), s.dir.discard())
	})
	return s.end
}
