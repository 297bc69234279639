package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/insights-onprem/cost-sources/migrations"
	"github.com/insights-onprem/cost-sources/shared/store/storetest"
	"github.com/insights-onprem/cost-sources/tests/process"
)

func TestMain(m *testing.M) { process.Main(m, main) }

// migrated runs migrate and returns its standard output; it has to succeed.
func migrated(t *testing.T, env []string, args ...string) string {
	t.Helper()
	c := process.NewCommand(t.Context(), env, args...)
	if status := c.Status(t); status != 0 {
		t.Fatalf("migrate %q: exit status %d\n%s", args, status, &c.Errs)
	}
	return c.Out.String()
}

// behind makes tenants that are at no version yet: their schemas hold nothing but a record that says so.
func behind(t *testing.T, address string, schemas ...string) {
	t.Helper()
	err := pgx.BeginFunc(t.Context(), storetest.Connect(t, address), func(tx pgx.Tx) error {
		return migrations.NewTenant(t.Context(), tx, "model")
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, schema := range schemas {
		storetest.Execute(t, address, "CREATE SCHEMA "+schema,
			"INSERT INTO public.api_tenant (schema_name) VALUES ('"+schema+"')",
			"CREATE TABLE "+schema+".cost_sources_version (LIKE model.cost_sources_version INCLUDING ALL)",
			"INSERT INTO "+schema+".cost_sources_version (version_id, is_applied) VALUES (0, true)")
	}
	storetest.Execute(t, address, "DROP SCHEMA model CASCADE")
}

func TestMigrate(t *testing.T) {
	t.Parallel()

	address := storetest.Empty(t)
	env := []string{"DATABASE_URL=" + address}
	before := migrated(t, env, "--status")
	if !strings.HasPrefix(before, "public: version 0 of ") || !strings.HasSuffix(before, " 0 behind\n") {
		t.Errorf("status of an empty database = %q", before)
	}
	migrated(t, env)
	behind(t, address, "org1", "org2", "org3")
	tenants(t, env, 0, 3)
	migrated(t, env, "--workers", "2")
	tenants(t, env, 3, 0)
}

// TestForeign: ids that other producers may give are not ours to give any more, however often it is said.
func TestForeign(t *testing.T) {
	t.Parallel()

	address := storetest.Empty(t)
	env := []string{"DATABASE_URL=" + address}
	for range 2 {
		migrated(t, env, "--foreign")
	}
	lifted, err := storetest.Store(t, "interop", address).IDsLifted(t.Context())
	if err != nil || !lifted {
		t.Errorf("IDsLifted = %v, %v", lifted, err)
	}
}

// tenants checks what the status says of them.
func tenants(t *testing.T, env []string, newest, behind int) {
	t.Helper()
	got := migrated(t, env, "--status")
	if !strings.Contains(got, fmt.Sprintf("tenants: %d at ", newest)) || !strings.HasSuffix(got, fmt.Sprintf(", %d behind\n", behind)) {
		t.Errorf("status = %q, want %d tenants at the newest version and %d behind", got, newest, behind)
	}
}

func TestBadTenant(t *testing.T) {
	t.Parallel()

	address := storetest.Database(t)
	env := []string{"DATABASE_URL=" + address}
	behind(t, address, "org1", "org2", "org3")
	storetest.Execute(t, address, "CREATE TABLE org2.user_settings (in_the_way integer)")

	c := process.NewCommand(t.Context(), env)
	if status := c.Status(t); status != 1 {
		t.Errorf("exit status %d, want 1", status)
	}
	_, end, _ := strings.Cut(c.Errs.String(), "migrate: another run is needed:\n")
	if strings.Count(end, "\n") != 1 || !strings.HasPrefix(end, "tenant org2: ") || !strings.Contains(end, `relation "user_settings" already exists`) {
		t.Errorf("at the end it says %q, want one line on org2", end)
	}
	tenants(t, env, 2, 1)

	storetest.Execute(t, address, "DROP TABLE org2.user_settings")
	migrated(t, env)
	tenants(t, env, 3, 0)
}

func TestDatabaseURLFile(t *testing.T) {
	t.Parallel()

	path := filepath.Join(t.TempDir(), "url")
	if err := os.WriteFile(path, []byte(storetest.Empty(t)+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	migrated(t, []string{"DATABASE_URL_FILE=" + path})
}

func TestWrongCalls(t *testing.T) {
	t.Parallel()

	empty := filepath.Join(t.TempDir(), "empty")
	if err := os.WriteFile(empty, []byte("\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	const fine = "DATABASE_URL=postgres://127.0.0.1/db"
	tests := []struct {
		name string
		env  []string
		args []string
		want string // in the one line on standard error
	}{
		{"nothing set", nil, nil, "DATABASE_URL is not set"},
		{"set but blank", []string{"DATABASE_URL= "}, nil, "DATABASE_URL:"},
		{"both set", []string{fine, "DATABASE_URL_FILE=" + empty}, nil, "DATABASE_URL and DATABASE_URL_FILE are both set"},
		{"not an address", []string{"DATABASE_URL=postgres://me:secret@%%"}, nil, "DATABASE_URL: not the address"},
		{"no such file", []string{"DATABASE_URL_FILE=/does/not/exist"}, nil, "DATABASE_URL_FILE: open /does/not/exist"},
		{"an empty file", []string{"DATABASE_URL_FILE=" + empty}, nil, "DATABASE_URL_FILE: not the address"},
		{"no address of ROS", []string{fine, "ROS_DATABASE_URL=postgres://me:secret@%%"}, nil, "ROS_DATABASE_URL: neither"},
		{"no workers", []string{fine}, []string{"--workers", "0"}, "--workers"},
		{"an unknown flag", []string{fine}, []string{"--all"}, "-all"},
		{"an argument", []string{fine}, []string{"up"}, `"up"`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			process.NewCommand(t.Context(), tt.env, tt.args...).Want(t, 1, tt.want)
		})
	}
}

// A tenant's migration waits for somebody who may be making one of its tables, so the signal finds it in the middle.
func TestSignal(t *testing.T) {
	t.Parallel()

	address := storetest.Database(t)
	env := []string{"DATABASE_URL=" + address}
	behind(t, address, "org1")
	holder, err := storetest.Connect(t, address).Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := holder.Exec(t.Context(), "CREATE TABLE org1.user_settings (in_the_way integer)"); err != nil {
		t.Fatal(err)
	}

	c := process.NewCommand(t.Context(), env)
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	waitForWaiter(t, address)
	if err := c.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if status := c.Status(t); status != 1 || !strings.Contains(c.Errs.String(), "stopped after 0 of 1 tenants") {
		t.Errorf("after SIGTERM exit status %d, standard error %q; want 1, and that it was stopped", status, &c.Errs)
	}
	if err := holder.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	migrated(t, env)
}

// waitForWaiter returns when somebody waits for a lock in the database.
func waitForWaiter(t *testing.T, address string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	conn := storetest.Connect(t, address)
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	for {
		var waiting bool
		err := conn.QueryRow(ctx, `
			SELECT EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock')`).
			Scan(&waiting)
		if err != nil {
			t.Fatal(err)
		}
		if waiting {
			return
		}
		<-ticker.C
	}
}

func TestBar(t *testing.T) {
	t.Parallel()

	var terminal bytes.Buffer
	report, end := bar(&terminal)
	report(migrations.Progress{Total: 2})
	report(migrations.Progress{Done: 1, Total: 2, Schema: "org1"})
	report(migrations.Progress{Done: 2, Total: 2, Schema: "org2"})
	end()
	if got := terminal.String(); !strings.Contains(got, "0/2") || !strings.Contains(got, "2/2") || !strings.HasSuffix(got, "\n") {
		t.Errorf("the bar drew %q, want from 0/2 to 2/2 and an end of the line", got)
	}

	terminal.Reset()
	report, end = bar(&terminal)
	report(migrations.Progress{})
	end()
	if got := terminal.String(); got != "" {
		t.Errorf("without tenants the bar drew %q", got)
	}
}
