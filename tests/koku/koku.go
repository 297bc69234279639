// Package koku brings, for tests, a database as Koku's migrations leave it, and does in it what Koku does: makes
// tenants, sources and providers, and the rows that report processing leaves. The rest of the project knows Koku's
// tables as its own migrations make them; here they are as they are found.
package koku

import (
	"context"
	"crypto/rand"
	_ "embed"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/insights-onprem/cost-sources/shared/store/storetest"
)

//go:embed public.sql
var publicTables string

//go:embed functions.sql
var functions string

//go:embed template0.sql
var template string

const (
	// Role owns everything of Koku's. Nobody logs in as it.
	Role = "koku"
	// Template is the schema that its tenants are copied from.
	Template = "template0"
)

// Database is a database of the test's own as Koku leaves it, without any tenant. It is dropped when the test ends.
func Database(t testing.TB) (address string) {
	t.Helper()
	address = storetest.Empty(t)
	Load(t, address)
	return address
}

// Load makes what Koku's migrations make in an empty database, owned by Role. address has to be that of a user who
// may make roles.
func Load(t testing.TB, address string) {
	t.Helper()
	makeRole(t, address)
	conn := storetest.Connect(t, address)
	err := pgx.BeginFunc(t.Context(), conn, func(tx pgx.Tx) error {
		for _, sql := range []string{
			"GRANT CREATE ON DATABASE " + pgx.Identifier{conn.Config().Database}.Sanitize() + " TO " + Role,
			"GRANT CREATE, USAGE ON SCHEMA public TO " + Role,
			"SET LOCAL ROLE " + Role,
			publicTables,
			functions,
			"CREATE SCHEMA " + Template + "; SET LOCAL search_path = " + Template,
			template,
		} {
			if _, err := tx.Exec(t.Context(), sql); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatalf("make a database of Koku's: %v", err)
	}
}

// makeRole makes the role once for a server. Tests of other processes may be doing the same, and roles have no IF
// NOT EXISTS.
func makeRole(t testing.TB, address string) {
	t.Helper()
	storetest.Execute(t, address, `
		DO $$
		BEGIN
			CREATE ROLE `+Role+` NOLOGIN NOSUPERUSER;
		EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL;
		END
		$$`)
}

// Login makes a role that may log in, with the rights that statements give it (in which R stands for its name), and
// returns the address of the database for it. The role goes with the test.
func Login(t testing.TB, address string, statements ...string) (asRole string) {
	t.Helper()
	role, password := "test_"+strings.ToLower(rand.Text()), rand.Text()
	storetest.Execute(t, address, "CREATE ROLE "+role+" LOGIN PASSWORD '"+password+"'")
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), time.Minute)
		defer cancel()
		conn, err := pgx.Connect(ctx, address)
		if err != nil {
			t.Errorf("drop a test's role: %v", err)
			return
		}
		defer conn.Close(ctx)
		if _, err := conn.Exec(ctx, "DROP OWNED BY "+role+" CASCADE; DROP ROLE "+role); err != nil {
			t.Errorf("drop a test's role: %v", err)
		}
	})
	for _, sql := range statements {
		storetest.Execute(t, address, regexp.MustCompile(`\bR\b`).ReplaceAllString(sql, role))
	}
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	u.User = url.UserPassword(role, password)
	return u.String()
}

// Execute runs statements as Koku does: as Role.
func Execute(t testing.TB, address string, statements ...string) {
	t.Helper()
	storetest.Execute(t, address, "BEGIN; SET LOCAL ROLE "+Role+"; "+strings.Join(statements, "; ")+"; COMMIT")
}
