package main

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/insights-onprem/cost-sources/shared/store/storetest"
)

// asCommand makes the test program be the command.
const asCommand = "TEST_AS_RETIRE_TENANTS"

func TestMain(m *testing.M) {
	if os.Getenv(asCommand) != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

// TestEnvironment: what is wrong is one line, and exit status 1.
func TestEnvironment(t *testing.T) {
	t.Parallel()

	for _, tt := range []struct {
		name   string
		env    []string
		args   string
		status int
		want   string // in stderr
	}{
		{"nothing set", nil, "", 1, "DATABASE_URL"},
		{"no address", []string{"DATABASE_URL=s3cret:// "}, "", 1, "DATABASE_URL: not the address of a PostgreSQL database"},
		{"database away", []string{"DATABASE_URL=postgres://u:s3cret@127.0.0.1:1/x"}, "", 1, "look for tenants to retire"},
		{"wrong flag before all that", nil, "-apply", 1, "-dump"},
		{"help", nil, "-help", 0, "-pg-dump"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()

			cmd := exec.CommandContext(t.Context(), os.Args[0], strings.Fields(tt.args)...)
			cmd.Env = append([]string{asCommand + "=1"}, tt.env...)
			stderr, status := start(t, cmd)()
			if status != tt.status || !strings.Contains(stderr, tt.want) || strings.Contains(stderr, "s3cret") ||
				tt.status == 1 && strings.Count(stderr, "\n") != 1 {
				t.Errorf("exit status %d, want %d, with one line and %q in\n%s", status, tt.status, tt.want, stderr)
			}
		})
	}
}

// start starts the command; wait returns how it ended.
func start(t *testing.T, cmd *exec.Cmd) (wait func() (stderr string, status int)) {
	t.Helper()
	var said strings.Builder
	cmd.Stderr = &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return func() (string, int) {
		err := cmd.Wait()
		if _, ok := errors.AsType[*exec.ExitError](err); err != nil && !ok {
			t.Fatal(err)
		}
		return said.String(), cmd.ProcessState.ExitCode()
	}
}

// TestSignal: SIGTERM while a dump is made ends the command in order, and leaves the tenant and an empty folder.
func TestSignal(t *testing.T) {
	t.Parallel()

	address, dir, programs := storetest.Database(t), t.TempDir(), t.TempDir()
	storetest.Execute(t, address, `CREATE SCHEMA org1`, `CREATE TABLE org1.t (a int)`,
		`INSERT INTO public.api_tenant (schema_name) VALUES ('org1')`,
		`INSERT INTO public.api_customer (date_created, date_updated, uuid, schema_name, org_id)
			VALUES (now(), now() - interval '1 year', gen_random_uuid(), 'org1', '1')`)
	begun := filepath.Join(t.TempDir(), "begun")
	if err := syscall.Mkfifo(begun, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"pg_dump", "pg_restore"} {
		syscall.ForkLock.RLock() // or a child that another test makes has the file open, which then cannot be run
		err := os.WriteFile(filepath.Join(programs, name), []byte("#!/bin/sh\necho >"+begun+"\nread -r line <"+begun+"\n"), 0o755)
		syscall.ForkLock.RUnlock()
		if err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-apply", "-dump", dir)
	cmd.Env = []string{asCommand + "=1", "DATABASE_URL=" + address, "PATH=" + programs}
	wait := start(t, cmd)
	go func() {
		if _, err := os.ReadFile(begun); err != nil {
			t.Error(err)
		}
		if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
			t.Error(err)
		}
	}()
	if stderr, status := wait(); status != 1 || !strings.Contains(stderr, "1 kept") {
		t.Errorf("exit status %d: %s", status, stderr)
	}
	storetest.Execute(t, address, `DROP TABLE org1.t`) // an error if there is none
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("%v, the folder has %v", err, left)
	}
}
