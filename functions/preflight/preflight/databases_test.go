package preflight_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/insights-onprem/cost-sources/functions/preflight/preflight"
	"github.com/insights-onprem/cost-sources/functions/ros-cleanup/cleanup/rostest"
	"github.com/insights-onprem/cost-sources/migrations"
	"github.com/insights-onprem/cost-sources/shared/store"
)

func checkURL(t *testing.T, url string) []string {
	t.Helper()
	lines, _ := run(t, "check", about(func(cfg *preflight.Config) {
		cfg.Database = preflight.PartOf(preflight.Database{Config: store.Config{DatabaseURL: url, MaxConns: 4}}, nil)
	}))
	return lines
}

func checkROS(t *testing.T, url string) []string {
	t.Helper()
	lines, _ := run(t, "check", about(func(cfg *preflight.Config) { cfg.ROS = preflight.PartOf(preflight.ROS{URL: url}, nil) }))
	return lines
}

// One server for all, as it takes a while to start.
func TestDatabase(t *testing.T) {
	t.Parallel()

	s := newStrict(t)
	s.exec("CREATE ROLE cost LOGIN CREATEROLE PASSWORD '"+secret+"'", "CREATE ROLE reader LOGIN CREATEROLE PASSWORD '"+secret+"' CONNECTION LIMIT 7",
		"CREATE ROLE stranger LOGIN PASSWORD '"+secret+"'", "CREATE DATABASE cost OWNER cost", "CREATE DATABASE done OWNER cost", "CREATE DATABASE ros OWNER cost")
	t.Run("reached or not", func(t *testing.T) { s.testReach(t) })
	t.Run("rights", func(t *testing.T) { s.testRights(t) })
	t.Run("ROS", func(t *testing.T) { s.testROS(t) })
	t.Run("logins", func(t *testing.T) { s.testLogins(t) })
}

func (s strict) testReach(t *testing.T) {
	const name = "DATABASE_URL "
	tls := "sslmode=verify-full&sslrootcert=" + s.ca
	at := name + "PostgreSQL at " + s.addr + ": "
	nowhere, mute, plain := closed(t), silent(t), without(t)
	elsewhere := func(address string) string {
		return "postgres://cost:" + secret + "@" + address + "/cost?sslmode=disable"
	}
	for what, tt := range map[string]struct{ url, want string }{
		"in order":           {s.url("cost", secret, "cost", tls), "ok " + name + "PostgreSQL 16…"},
		"wrong password":     {s.url("cost", "wrong-"+secret, "cost", tls), "FAIL " + at + `it refuses the login (password authentication failed for user "cost"): check user and password in the Secret`},
		"unknown role":       {s.url("nobody", secret, "cost", tls), "FAIL " + at + `it refuses the login (password authentication failed for user "nobody"): check user and password in the Secret`},
		"role without place": {s.url("stranger", secret, "cost", tls), "FAIL " + at + "it refuses the login (pg_hba.conf rejects connection for host…"},
		"unknown database":   {s.url("cost", secret, "koku", tls), "FAIL " + at + `there is no such database (database "koku" does not exist): create it, or correct the address`},
		"unknown authority":  {s.url("cost", secret, "cost", "sslmode=verify-full"), "FAIL " + at + "its certificate is signed by an authority that is not known here: add …"},
		"other name":         {strings.Replace(s.url("cost", secret, "cost", tls), "127.0.0.1", "localhost", 1), "FAIL " + strings.Replace(at, "127.0.0.1", "localhost", 1) + "its certificate is not for localhost: use a name that is in the certificate"},
		"no TLS":             {"postgres://cost:" + secret + "@" + plain + "/cost?sslmode=require", "FAIL " + name + "PostgreSQL at " + plain + ": it does not offer TLS, which sslmode demands: have the server offer it, or change sslmode"},
		"closed port":        {elsewhere(nowhere), "FAIL " + name + "PostgreSQL at " + nowhere + ": nothing listens there (connection refused): check the port, and whether the service runs"},
		"no answer":          {elsewhere(mute), "FAIL " + name + "PostgreSQL at " + mute + ": no answer in time: check the address, and whether a network policy or a firewall is in between"},
		"wrong host name":    {elsewhere("db.invalid:5432"), "FAIL " + name + "PostgreSQL at db.invalid:5432: the name db.invalid …"},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			want(t, what, checkURL(t, tt.url), tt.want)
		})
	}
}

// newestVersion is that of the tables which this release makes.
func newestVersion(t *testing.T, url string) int64 {
	t.Helper()
	state, err := migrations.Status(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	return state.PublicNewest
}

func (s strict) testRights(t *testing.T) {
	const name, options = "DATABASE_URL ", "sslmode=require"
	fresh, done := s.url("cost", secret, "cost", options), s.url("cost", secret, "done", options)
	where := func(database, role string) string {
		return "PostgreSQL 16… at " + s.addr + ", database " + database + ", role " + role + ", with TLS; "
	}
	check := func(what, url string, wanted ...string) {
		t.Helper()
		lines := checkURL(t, url)
		for i := range lines { // the server's patch level is not ours to know
			if before, after, found := strings.Cut(lines[i], " at "+s.addr); found && strings.HasPrefix(before, "ok") {
				lines[i] = before[:strings.Index(before, "16")+2] + "… at " + s.addr + after
			}
		}
		want(t, what, lines, wanted...)
	}
	newest := newestVersion(t, fresh)
	check("fresh", fresh, "ok "+name+where("cost", "cost")+fmt.Sprintf("tables at version 0 of %d; ", newest)+"Koku's tables are for migrate to make")
	if err := migrations.Public(t.Context(), done); err != nil {
		t.Fatal(err)
	}
	check("migrated", done, "ok "+name+where("done", "cost")+fmt.Sprintf("tables at version %d of %[1]d; ", newest)+"Koku's tables are ours")
	s.in(s.super("done"), "CREATE TABLE django_migrations ()")
	check("with Koku", done, "ok "+name+where("done", "cost")+fmt.Sprintf("tables at version %d of %[1]d; ", newest)+"Koku's own tables are there")
	s.in(s.super("done"), fmt.Sprintf("UPDATE sources.schema_version SET version_id = %d WHERE version_id = %d", newest+1, newest))
	check("newer", done, "warn "+name+fmt.Sprintf("the tables are at version %d, of a newer release than this one, which knows %d", newest+1, newest),
		"ok "+name+where("done", "cost")+fmt.Sprintf("tables at version %d of %d; ", newest+1, newest)+"Koku's own tables are there")

	reader := s.url("reader", secret, "cost", options)
	check("fresh, without rights", reader,
		"FAIL "+name+`role reader may not create schemas, as migrate and every new organization need: GRANT CREATE ON DATABASE "cost" TO "reader";`,
		"FAIL "+name+`role reader may not create tables in schema public, where migrate is to make public.api_customer, public.api_tenant, …`)
	if err := migrations.Public(t.Context(), reader); err == nil {
		t.Error("migrate works without the rights that are asked for")
	}
	s.in(s.super("done"), "GRANT USAGE ON SCHEMA sources TO reader", "GRANT SELECT ON ALL TABLES IN SCHEMA sources, public TO reader",
		"GRANT ALL ON ALL TABLES IN SCHEMA public TO reader", "GRANT ALL ON ALL TABLES IN SCHEMA sources TO reader")
	if err := migrations.Public(t.Context(), s.url("reader", secret, "done", options)); err == nil || !strings.Contains(err.Error(), `GRANT "cost" TO "reader"`) {
		t.Errorf("migrate with all rights on the tables, but not those of their owner: %v", err)
	}
	s.in(s.super("done"), "REVOKE DELETE ON api_provider FROM reader", "GRANT CREATE ON DATABASE done TO reader")
	check("without a grant", s.url("reader", secret, "done", options),
		"FAIL "+name+`role reader may not do what the functions do; as the tables' owner: GRANT DELETE ON public.api_provider TO "reader";`,
		"warn "+name+"the tables are at version …")
	s.in(s.super("done"), "REVOKE USAGE ON SCHEMA sources FROM reader")
	check("without the schema", s.url("reader", secret, "done", options), "FAIL "+name+"PostgreSQL 16…")
	s.testConnections(t, s.url("reader", secret, "done", options), done)
	s.exec("ALTER DATABASE done SET default_transaction_read_only = on")
	check("read-only", done, "FAIL "+name+"PostgreSQL at "+s.addr+" lets nothing be written to database done: use the address of the primary, …")
	s.exec("ALTER DATABASE done RESET default_transaction_read_only")
}

// testConnections has max_connections = 100, of which 3 are the superuser's.
func (s strict) testConnections(t *testing.T, bounded, free string) {
	s.in(s.super("done"), "GRANT USAGE ON SCHEMA sources TO reader", "GRANT DELETE ON api_provider TO reader", "UPDATE sources.schema_version SET version_id = version_id - 1 WHERE version_id = (SELECT max(version_id) FROM sources.schema_version)")
	const name = "DATABASE_URL_FILE "
	for _, tt := range []struct {
		url    string
		needed int
		want   string
	}{
		{free, 97, ""},
		{free, 98, "warn " + name + "max_connections allows 97 connections, and the functions may open 98 (CONNECTIONS_NEEDED): raise it, or lower max-scale or DATABASE_MAX_CONNS"},
		{bounded, 7, ""},
		{bounded, 8, "warn " + name + "the role's CONNECTION LIMIT allows 7 connections, and the functions may open 8 (CONNECTIONS_NEEDED)…"},
	} {
		file := filepath.Join(t.TempDir(), "url")
		if err := os.WriteFile(file, []byte(tt.url+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		lines, err := run(t, "check", about(func(cfg *preflight.Config) {
			cfg.Database.Err = nil
			cfg.Database.Value = preflight.Database{Config: store.Config{DatabaseURLFile: file, MaxConns: 4}, ConnectionsNeeded: tt.needed}
		}))
		wanted := []string{"ok " + name + "…"}
		if tt.want != "" {
			wanted = append(wanted, tt.want)
		}
		want(t, tt.url, lines, wanted...)
		if err == nil || err.Error() != "5 wrong, see the lines that begin with FAIL" {
			t.Errorf("error %v: a warning counts, or a failure does not", err) // the other parts are the five
		}
	}
}

func (s strict) testROS(t *testing.T) {
	const name = "ROS_DATABASE_URL "
	url := s.url("cost", secret, "ros", "sslmode=require")
	want(t, "without tables", checkROS(t, url), "FAIL "+name+"PostgreSQL 16…")
	if lines := checkROS(t, url); len(lines) != 1 || !strings.HasSuffix(lines[0], ": ROS has not made its tables rh_accounts, workload_metrics, "+
		"historical_recommendation_sets, historical_namespace_recommendation_sets, namespace_recommendation_sets, recommendation_sets, clusters, workloads"+
		": is it the right database, and is ROS deployed?") {
		t.Errorf("without tables: %q", lines)
	}
	if err := rostest.Load(t.Context(), s.super("ros")); err != nil {
		t.Fatal(err)
	}
	s.in(s.super("ros"), "GRANT SELECT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO cost")
	if lines := checkROS(t, url); len(lines) != 1 || !strings.HasPrefix(lines[0], "ok "+name) || !strings.HasSuffix(lines[0], "database ros, role cost, with TLS; the tables of ROS are there") {
		t.Errorf("in order: %q", lines)
	}
	s.in(s.super("ros"), "REVOKE UPDATE ON clusters FROM cost", "REVOKE DELETE ON recommendation_sets FROM cost")
	want(t, "without grants", checkROS(t, url), "FAIL "+name+`role cost may not do what the functions do; as the tables' owner: `+
		`GRANT DELETE ON recommendation_sets TO "cost"; GRANT UPDATE ON clusters TO "cost";`)
}
