// Package pgbouncer puts a PgBouncer in transaction mode in front of a test's database, as many
// installations do: what a connection's session holds is then lost, or met by somebody else, after each
// transaction.
package pgbouncer

import (
	"bytes"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/insights-onprem/cost-sources/shared/store/storetest"
)

// PoolSize is how many connections to the database each pooler has at most.
const PoolSize = 5

// Front starts a pooler that ends with the test, and returns the address of the same database through it.
// Without the program the test fails.
func Front(t testing.TB, databaseURL string) string {
	t.Helper()
	program, err := exec.LookPath("pgbouncer")
	if err != nil {
		program = "/usr/sbin/pgbouncer" // which is in the PATH of root only
	}
	if _, err := os.Stat(program); err != nil {
		t.Fatalf("no pgbouncer to test with; install it with: apt-get install --no-install-recommends pgbouncer")
	}
	target, err := pgx.ParseConfig(databaseURL)
	if err != nil {
		t.Fatal(err)
	}
	for range 5 {
		port := storetest.FreePort(t)
		address := fmt.Sprintf("postgres://%s@127.0.0.1:%d/%s?sslmode=disable", url.PathEscape(target.User), port, url.PathEscape(target.Database))
		said, ok := run(t, program, configuration(target, port), address)
		if ok {
			return address
		}
		if !strings.Contains(said, "in use") { // somebody may have been faster
			t.Fatalf("pgbouncer ended at once:\n%s", said)
		}
	}
	t.Fatal("pgbouncer finds no port")
	return ""
}

// configuration takes every client for the database's own user, in the address' role if it names one. Each transaction gets the connection that
// was unused for longest, so that hardly two of one client meet on the same. A database that was away is
// looked for again after a second.
func configuration(target *pgx.ConnConfig, port int) string {
	password := "" // an empty one would be an error
	if target.Password != "" {
		password = "password='" + strings.ReplaceAll(target.Password, "'", "''") + "'"
	}
	role := "" // which is no parameter that a pooler passes on
	if name := target.RuntimeParams["role"]; name != "" {
		role = "connect_query='SET ROLE " + name + "'"
	}
	return fmt.Sprintf(`[databases]
%s = host=%s port=%d dbname=%s user=%s %s %s
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = %d
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = %d
server_round_robin = 1
server_login_retry = 1
max_client_conn = 500
`, target.Database, target.Host, target.Port, target.Database, target.User, password, role, port, PoolSize)
}

// run starts the program and reports whether it serves; if not, what it said before it ended.
func run(t testing.TB, program, config, address string) (said string, ok bool) {
	t.Helper()
	file := filepath.Join(storetest.Folder(t), "pgbouncer.ini")
	cmd := exec.Command(program, file)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: nobody(t)}
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	if id := cmd.SysProcAttr.Credential; id != nil {
		if err := os.Chown(file, int(id.Uid), int(id.Gid)); err != nil {
			t.Fatal(err)
		}
	}
	output := &log{}
	cmd.Stdout, cmd.Stderr = output, output
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		_ = cmd.Wait() // what was wrong it said
		close(ended)
	}()
	t.Cleanup(func() { end(t, cmd, ended, output) })
	ok = serves(t, address, ended)
	return output.String(), ok
}

// end ends the program at once: its clients have gone by now.
func end(t testing.TB, cmd *exec.Cmd, ended chan struct{}, output *log) {
	_ = cmd.Process.Signal(syscall.SIGTERM) // it may have ended already
	select {
	case <-ended:
	case <-time.After(30 * time.Second):
		_ = cmd.Process.Kill()
		t.Error("pgbouncer has not ended half a minute after SIGTERM")
	}
	if t.Failed() {
		t.Logf("pgbouncer said:\n%s", output)
	}
}

// serves waits until a query comes through, and is false where the program ends instead.
func serves(t testing.TB, address string, ended chan struct{}) bool {
	t.Helper()
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	deadline := time.After(time.Minute)
	for {
		err := ask(t, address)
		if err == nil {
			select {
			case <-ended: // it was somebody else who answered
				return false
			default:
				return true
			}
		}
		select {
		case <-ended:
			return false
		case <-deadline:
			t.Fatalf("pgbouncer does not serve after a minute: %v", err)
		case <-ticker.C:
		}
	}
}

func ask(t testing.TB, address string) error {
	conn, err := pgx.Connect(t.Context(), address)
	if err != nil {
		return err
	}
	defer conn.Close(t.Context())
	_, err = conn.Exec(t.Context(), "SELECT 1", pgx.QueryExecModeSimpleProtocol)
	return err
}

// nobody is who the program runs as for root, whom it refuses; nil for everybody else.
func nobody(t testing.TB) *syscall.Credential {
	t.Helper()
	if os.Geteuid() != 0 {
		return nil
	}
	account, err := user.Lookup("nobody")
	if err != nil {
		t.Fatal(err)
	}
	uid, errUID := strconv.ParseUint(account.Uid, 10, 32)
	gid, errGID := strconv.ParseUint(account.Gid, 10, 32)
	if errUID != nil || errGID != nil {
		t.Fatalf("user nobody has the ids %q and %q", account.Uid, account.Gid)
	}
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
}

// A log is what a program says.
type log struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}
