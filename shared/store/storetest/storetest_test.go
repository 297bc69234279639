package storetest_test

import (
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/insights-onprem/cost-sources/shared/store/storetest"
)

const tablesOfOurs = "SELECT count(*)::text FROM pg_tables WHERE schemaname IN ('public', 'sources')"

func TestDatabase(t *testing.T) {
	t.Parallel()

	one, other := storetest.Database(t), storetest.Database(t)
	if one == other {
		t.Errorf("both databases are %s", one)
	}
	execute(t, one, "INSERT INTO public.api_tenant (schema_name) VALUES ('org1')")
	if got := query(t, other, "SELECT count(*)::text FROM public.api_tenant"); got != "0" {
		t.Errorf("the other database has %s rows, want 0", got)
	}
}

func TestEmpty(t *testing.T) {
	t.Parallel()

	if got := query(t, storetest.Empty(t), tablesOfOurs); got != "0" {
		t.Errorf("%s tables, want 0", got)
	}
}

func TestDatabaseIsDropped(t *testing.T) {
	t.Parallel()

	var address string
	t.Run("the test", func(t *testing.T) { address = storetest.Database(t) })
	server, name := split(address)
	got := query(t, server+"/postgres?sslmode=disable", "SELECT count(*)::text FROM pg_database WHERE datname = '"+name+"'")
	if got != "0" {
		t.Errorf("%s databases %s after the test, want 0", got, name)
	}
}

// split takes an address apart into the server and the database.
func split(address string) (server, database string) {
	slash := strings.LastIndex(address, "/")
	database, _, _ = strings.Cut(address[slash+1:], "?")
	return address[:slash], database
}

// Not parallel, because of the environment; so it ends before those that are begin.
func TestDatabaseOnAnotherServer(t *testing.T) {
	s := start(t, storetest.ServerConfig{})
	t.Setenv("TEST_DATABASE_URL", s.URL("postgres"))

	t.Run("the test", func(t *testing.T) {
		address := storetest.Database(t)
		gotServer, _ := split(address)
		if wantServer, _ := split(s.URL("postgres")); gotServer != wantServer {
			t.Errorf("the database is on %s, want %s", gotServer, wantServer)
		}
		if got := query(t, address, tablesOfOurs); got == "0" {
			t.Error("the database has no tables")
		}
	})
	if got := query(t, s.URL("postgres"), "SELECT string_agg(datname, ' ' ORDER BY datname) FROM pg_database"); got != "postgres template0 template1" {
		t.Errorf("the test left the server with %s", got)
	}
}

// A failing is a test of which one wants to see how it fails.
type failing struct {
	testing.TB
	reason string
}

func (f *failing) Fatalf(format string, args ...any) {
	f.reason = fmt.Sprintf(format, args...)
	runtime.Goexit()
}

func TestNoServerFailsTheTest(t *testing.T) {
	for name, address := range map[string]string{
		"nobody listens": "postgres://127.0.0.1:1/postgres",
		"not a URL":      "host=127.0.0.1",
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("TEST_DATABASE_URL", address)
			f := &failing{TB: t}
			done := make(chan struct{})
			go func() {
				defer close(done)
				storetest.Database(f)
			}()
			<-done
			if f.reason == "" {
				t.Error("Database went on without a server")
			}
		})
	}
}
