package main

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/insights-onprem/cost-sources/shared/store/storetest"
	"github.com/insights-onprem/cost-sources/tests/process"
)

func TestMain(m *testing.M) { process.Main(m, main) }

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
		{"no address", []string{"DATABASE_URL=secret:// "}, "", 1, "DATABASE_URL: not the address of a PostgreSQL database"},
		{"database away", []string{"DATABASE_URL=postgres://u:secret@127.0.0.1:1/x"}, "", 1, "look for tenants to retire"},
		{"wrong flag before all that", nil, "-apply", 1, "-dump"},
		{"help", nil, "-help", 0, "-pg-dump"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()

			process.NewCommand(t.Context(), tt.env, strings.Fields(tt.args)...).Want(t, tt.status, tt.want)
		})
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
	c := process.NewCommand(t.Context(), []string{"DATABASE_URL=" + address, "PATH=" + programs}, "-apply", "-dump", dir)
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		if _, err := os.ReadFile(begun); err != nil {
			t.Error(err)
		}
		if err := c.Process.Signal(syscall.SIGTERM); err != nil {
			t.Error(err)
		}
	}()
	if status := c.Status(t); status != 1 || !strings.Contains(c.Errs.String(), "1 kept") {
		t.Errorf("exit status %d: %s", status, &c.Errs)
	}
	storetest.Execute(t, address, `DROP TABLE org1.t`) // an error if there is none
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("%v, the folder has %v", err, left)
	}
}
