package storetest_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/insights-onprem/cost-sources/shared/store/storetest"
)

// ownerVariable makes the test program the owner of a server in the folder that it names, for tests that kill one.
const ownerVariable = "STORETEST_OWNER_OF"

func TestMain(m *testing.M) {
	if dir, ok := os.LookupEnv(ownerVariable); ok {
		own(dir)
	}
	os.Exit(m.Run())
}

// own starts a server, says its address, and waits to be killed.
func own(dir string) {
	s, err := storetest.Start(context.Background(), storetest.ServerConfig{DataDir: dir})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println(s.URL("postgres"))
	select {}
}

// startOwner runs own in a process of its own and returns that and the server's address.
func startOwner(t *testing.T, dir string) (*exec.Cmd, string) {
	t.Helper()
	owner := exec.Command(os.Args[0])
	owner.Env = append(os.Environ(), ownerVariable+"="+dir)
	owner.Stderr = os.Stderr
	out, err := owner.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := owner.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { kill(owner) })
	address, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatalf("the owner started no server: %v", err)
	}
	return owner, strings.TrimSpace(address)
}

// kill is SIGKILL: the process has no chance to stop its server.
func kill(cmd *exec.Cmd) {
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
}

func start(t *testing.T, cfg storetest.ServerConfig) *storetest.Server {
	t.Helper()
	s, err := storetest.Start(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Stop(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func query(t *testing.T, address, sql string) (value string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.WithoutCancel(t.Context()))
	if err := conn.QueryRow(t.Context(), sql).Scan(&value); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	return value
}

func execute(t *testing.T, address, sql string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.WithoutCancel(t.Context()))
	if _, err := conn.Exec(t.Context(), sql); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}

func TestServerKeepsItsData(t *testing.T) {
	t.Parallel()

	cfg := storetest.ServerConfig{DataDir: filepath.Join(storetest.Folder(t), "not", "there", "yet")}
	first := start(t, cfg)
	for range 2 { // the second time it is there
		if err := first.CreateDatabase(t.Context(), "kept"); err != nil {
			t.Fatal(err)
		}
	}
	execute(t, first.URL("kept"), "CREATE TABLE note AS SELECT 'still here' AS text")
	if err := first.Stop(); err != nil {
		t.Fatal(err)
	}

	second := start(t, cfg)
	if got := query(t, second.URL("kept"), "SELECT text FROM note"); got != "still here" {
		t.Errorf("after a restart the note says %q", got)
	}
}

func TestServerSettings(t *testing.T) {
	t.Parallel()

	s := start(t, storetest.ServerConfig{Parameters: map[string]string{
		"application_name": "with 'quotes' and spaces",
		"listen_addresses": "*",
	}})
	for sql, want := range map[string]string{
		"SHOW application_name":        "with 'quotes' and spaces",
		"SHOW listen_addresses":        "127.0.0.1",
		"SHOW unix_socket_directories": "",
		"SHOW fsync":                   "on",
		"SHOW server_encoding":         "UTF8",
		"SELECT datctype FROM pg_database WHERE datname = 'template1'": "C.UTF-8",
	} {
		if got := query(t, s.URL("postgres"), sql); got != want {
			t.Errorf("%s = %q, want %q", sql, got, want)
		}
	}
}

func TestServerForOthers(t *testing.T) {
	t.Parallel()

	for _, dataDir := range []string{"", storetest.Folder(t)} {
		address := start(t, storetest.ServerConfig{Host: "127.0.0.2", DataDir: dataDir}).URL("postgres")
		for sql, want := range map[string]string{
			"SELECT host(inet_server_addr())": "127.0.0.2",
			"SHOW listen_addresses":           "127.0.0.2",
			"SELECT string_agg(address || ' ' || auth_method, ',') FROM pg_hba_file_rules": "all trust",
		} {
			if got := query(t, address, sql); got != want {
				t.Errorf("%s = %q, want %q", sql, got, want)
			}
		}
	}
}

func TestTemporaryServerLeavesNothing(t *testing.T) {
	t.Parallel()

	s := start(t, storetest.ServerConfig{})
	data := query(t, s.URL("postgres"), "SHOW data_directory")
	if err := s.Stop(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Dir(data)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("stat of the temporary folder after Stop = %v, want that it is gone", err)
	}
}

func TestServerEndsWithItsOwner(t *testing.T) {
	t.Parallel()

	dir := storetest.Folder(t)
	owner, address := startOwner(t, dir)
	execute(t, address, "CREATE TABLE note AS SELECT 'still here' AS text")
	kill(owner)

	// The killed owner's server is still about to end. That this one starts at all shows that the other does end.
	s := start(t, storetest.ServerConfig{DataDir: dir})
	if got := query(t, s.URL("postgres"), "SELECT text FROM note"); got != "still here" {
		t.Errorf("after the kill the note says %q", got)
	}
}

func TestTemporaryServerEndsWithItsOwner(t *testing.T) {
	t.Parallel()

	owner, address := startOwner(t, "")
	dir := filepath.Dir(query(t, address, "SHOW data_directory"))
	kill(owner)
	if !gone(t.Context(), dir) {
		t.Errorf("%s is still there after its owner was killed", dir)
	}
}

// gone waits until a file is no longer there.
func gone(ctx context.Context, path string) bool {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	for {
		if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
			return true
		}
		select {
		case <-ctx.Done():
			return false
		case <-ticker.C:
		}
	}
}

func TestDataInUse(t *testing.T) {
	t.Parallel()

	dir := storetest.Folder(t)
	first := start(t, storetest.ServerConfig{DataDir: dir})
	_, err := storetest.Start(t.Context(), storetest.ServerConfig{DataDir: dir})
	oneLine(t, err, "its data is in use by another server")
	query(t, first.URL("postgres"), "SELECT 'undisturbed'")
}

func TestPortInUse(t *testing.T) {
	t.Parallel()

	first := start(t, storetest.ServerConfig{})
	cfg, err := pgx.ParseConfig(first.URL("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	_, err = storetest.Start(t.Context(), storetest.ServerConfig{Port: int(cfg.Port)})
	oneLine(t, err, "its port is taken")
	query(t, first.URL("postgres"), "SELECT 'undisturbed'")
}

func oneLine(t *testing.T, err error, want string) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
		t.Errorf("Start = %v, want one line with %q", err, want)
	}
}

// For root a folder of root's own is out of reach, as the server does not run as root. Anybody else is the server.
func TestPrivateFolder(t *testing.T) {
	t.Parallel()

	private := storetest.Folder(t)
	if err := os.Chmod(private, 0o700); err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(private, "data")
	s, err := storetest.Start(t.Context(), storetest.ServerConfig{DataDir: dir})
	if os.Geteuid() == 0 {
		want := fmt.Sprintf("the PostgreSQL server runs as user nobody and cannot reach %s: %s is not searchable by others; "+
			"set DATA_DIR to a folder it can reach", dir, private)
		if err == nil || err.Error() != want {
			t.Errorf("Start = %v, want %q", err, want)
		}
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Stop(); err != nil {
		t.Error(err)
	}
}

func TestStartSaysWhatTheServerSaid(t *testing.T) {
	t.Parallel()

	_, err := storetest.Start(t.Context(), storetest.ServerConfig{Parameters: map[string]string{"fsync": "perhaps"}})
	if err == nil || !strings.Contains(err.Error(), `parameter "fsync" requires a Boolean value`) {
		t.Errorf("Start with a wrong setting = %v, want the server's complaint", err)
	}
}

func TestStopTwice(t *testing.T) {
	t.Parallel()

	s := start(t, storetest.ServerConfig{})
	for range 2 {
		if err := s.Stop(); err != nil {
			t.Error(err)
		}
	}
}

func TestKilledServerKeepsWhatWasCommitted(t *testing.T) {
	t.Parallel()

	cfg := storetest.ServerConfig{DataDir: storetest.Folder(t)}
	s := start(t, cfg)
	execute(t, s.URL("postgres"), "CREATE TABLE note AS SELECT 'committed' AS text")
	client := storetest.Connect(t, s.URL("postgres"))
	if _, err := client.Exec(t.Context(), "BEGIN; INSERT INTO note VALUES ('open')"); err != nil {
		t.Fatal(err)
	}
	if err := s.Kill(); err != nil {
		t.Fatal(err)
	}
	if _, err := client.Exec(t.Context(), "COMMIT"); err == nil {
		t.Error("a client of a killed server commits")
	}
	s = start(t, cfg)
	if got := query(t, s.URL("postgres"), "SELECT string_agg(text, ' ') FROM note"); got != "committed" {
		t.Errorf("after the kill the notes are %q", got)
	}
}

// Writers do not stop for a kill, nor do they wait for the server to be back.
func TestServerIsKilledOverAndOver(t *testing.T) {
	t.Parallel()

	const rounds, writers = 20, 4
	cfg := storetest.ServerConfig{DataDir: storetest.Folder(t), Port: freePort(t), Parameters: map[string]string{"fsync": "off"}}
	s := start(t, cfg)
	address := s.URL("postgres")
	execute(t, address, "CREATE TABLE note (id bigserial)")
	ctx, cancel := context.WithCancel(t.Context())
	written := make(chan int)
	for range writers {
		go func() { written <- write(ctx, address) }()
	}
	for range rounds {
		if err := s.Kill(); err != nil {
			t.Fatal(err)
		}
		s = start(t, cfg)
		execute(t, address, "INSERT INTO note DEFAULT VALUES")
	}
	cancel()
	acknowledged := rounds
	for range writers {
		acknowledged += <-written
	}
	if got := count(t, address); got < acknowledged || got > acknowledged+(rounds+1)*writers {
		t.Errorf("%d rows, want the %d acknowledged and at most one for each writer and kill", got, acknowledged)
	}
}

// write inserts rows until ctx is over, on a new connection after each error, and returns how many were acknowledged.
func write(ctx context.Context, address string) (acknowledged int) {
	for ctx.Err() == nil {
		conn, err := pgx.Connect(ctx, address)
		for err == nil {
			if _, err = conn.Exec(ctx, "INSERT INTO note DEFAULT VALUES"); err == nil {
				acknowledged++
			}
		}
		if conn != nil {
			conn.Close(context.WithoutCancel(ctx))
		}
	}
	return acknowledged
}

func count(t *testing.T, address string) int {
	t.Helper()
	n, err := strconv.Atoi(query(t, address, "SELECT count(*)::text FROM note"))
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// freePort is one that a server has just had.
func freePort(t *testing.T) int {
	t.Helper()
	s := start(t, storetest.ServerConfig{})
	cfg, err := pgx.ParseConfig(s.URL("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Stop(); err != nil {
		t.Fatal(err)
	}
	return int(cfg.Port)
}

func TestKilledTemporaryServerLeavesNothing(t *testing.T) {
	t.Parallel()

	s := start(t, storetest.ServerConfig{})
	dir := filepath.Dir(query(t, s.URL("postgres"), "SHOW data_directory"))
	if err := s.Kill(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("stat of the temporary folder after Kill = %v, want that it is gone", err)
	}
}

func TestStopAndKillTogether(t *testing.T) {
	t.Parallel()

	for name, ends := range map[string]func(*storetest.Server) []func() error{
		"kill first": func(s *storetest.Server) []func() error { return []func() error{s.Kill, s.Kill, s.Stop} },
		"stop first": func(s *storetest.Server) []func() error { return []func() error{s.Stop, s.Kill} },
	} {
		t.Run(name, func(t *testing.T) {
			for _, end := range ends(start(t, storetest.ServerConfig{})) {
				if err := end(); err != nil {
					t.Error(err)
				}
			}
		})
	}
}
