// Package storetest brings a PostgreSQL server, for tests and for trying things out. Database gives a test a database
// of its own; Start runs a server whose data may also be kept.
package storetest

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/url"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/insights-onprem/cost-sources/migrations"
)

// Database returns the address of a database for this test alone, with all tables of public and sources, and drops it
// when the test is over. It is on the server that TEST_DATABASE_URL names (as a URL, of a user who may make
// databases), or else on one that the tests of this process share. Without a server the test fails.
func Database(t testing.TB) string {
	t.Helper()
	if external() != "" {
		address := Empty(t)
		if err := Migrate(t.Context(), address); err != nil {
			t.Fatalf("make the tables for a test: %v", err)
		}
		return address
	}
	template, err := sharedTemplate()
	if err != nil {
		t.Fatalf("no database to test with: %v", err)
	}
	address := create(t, " TEMPLATE "+template)
	// What a role may do in a database is copied with it, but not what it may do with the database.
	const grant = `DO $$ BEGIN EXECUTE format('GRANT CREATE ON DATABASE %I TO cost_sources_provisioner', current_database()); END $$`
	if err := execute(t.Context(), address, grant); err != nil {
		t.Fatal(err)
	}
	return address
}

// Migrate makes all tables that are there once, and the functions' roles with their rights in them.
func Migrate(ctx context.Context, address string) error {
	if err := migrations.Public(ctx, address); err != nil {
		return err
	}
	return migrations.Roles(ctx, address)
}

// As is the address of a database for a function, by the name of its folder: with the role that it has when it is
// deployed, and no right beyond that role's. Without a function it is that of who migrates, as which operators' commands
// are run.
func As(function, address string) string {
	if function == "" {
		return address
	}
	u, err := url.Parse(address)
	if err != nil {
		panic(err) // Database's addresses are URLs
	}
	query := u.Query()
	query.Set("role", migrations.Role(function))
	u.RawQuery = query.Encode()
	return u.String()
}

// Folder makes a folder on a disk that the server's user can reach, which t.TempDir's is not where it is root's tests that
// run: for a server that is to be started again where it was. It goes with the test.
func Folder(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "cost-sources-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

// Empty is Database without any tables.
func Empty(t testing.TB) string {
	t.Helper()
	return create(t, "")
}

func create(t testing.TB, options string) string {
	t.Helper()
	server, err := serverURL()
	if err != nil {
		t.Fatalf("no server to test with: %v", err)
	}
	name := "test_" + strings.ToLower(rand.Text())
	address, err := withDatabase(server, name)
	if err != nil {
		t.Fatalf("TEST_DATABASE_URL: %v", err)
	}
	if err := execute(t.Context(), server, "CREATE DATABASE "+name+options); err != nil {
		t.Fatalf("make a database for a test: %v", err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), time.Minute)
		defer cancel()
		if err := execute(ctx, server, "DROP DATABASE "+name+" WITH (FORCE)"); err != nil {
			t.Errorf("drop a test's database: %v", err)
		}
	})
	return address
}

func external() string { return os.Getenv("TEST_DATABASE_URL") }

func serverURL() (string, error) {
	if address := external(); address != "" {
		return address, nil
	}
	s, err := sharedServer()
	if err != nil {
		return "", err
	}
	return s.URL("postgres"), nil
}

// sharedServer is one for all tests of the process, because starting one takes much longer than most tests. No test
// is the last to know of, so nobody stops it: it ends with the process.
var sharedServer = sync.OnceValues(func() (*Server, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute) // it may have to be fetched
	defer cancel()
	return Start(ctx, ServerConfig{Parameters: map[string]string{
		"fsync":              "off",
		"full_page_writes":   "off",
		"synchronous_commit": "off",
		"autovacuum":         "off",
		"max_connections":    "300",
	}})
})

// sharedTemplate is a database to copy, which takes half as long as making the tables each time. Only our own server
// has one: on another it would be left behind.
var sharedTemplate = sync.OnceValues(func() (name string, err error) {
	const template = "template_public"
	ctx := context.Background()
	s, err := sharedServer()
	if err != nil {
		return "", err
	}
	if err := s.CreateDatabase(ctx, template); err != nil {
		return "", err
	}
	return template, Migrate(ctx, s.URL(template))
})

// execute runs one statement. It does without pgx's types: to set those up takes longer than all the rest.
func execute(ctx context.Context, address, sql string) error {
	conn, err := pgconn.Connect(ctx, address)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	_, err = conn.Exec(ctx, sql).ReadAll()
	return err
}

// withDatabase returns a server's address with another database in it.
func withDatabase(server, database string) (string, error) {
	u, err := url.Parse(server)
	if err != nil || u.Scheme != "postgres" && u.Scheme != "postgresql" {
		return "", fmt.Errorf("not of the form postgres://user@host/database")
	}
	u.Path = "/" + database
	return u.String(), nil
}
