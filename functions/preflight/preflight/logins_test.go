package preflight_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/insights-onprem/cost-sources/functions/preflight/preflight"
	"github.com/insights-onprem/cost-sources/migrations"
	"github.com/insights-onprem/cost-sources/shared/store"
)

// testLogins: a role that is no superuser makes the functions' roles, or is told who may; with a login for each, every
// one of them is tried.
func (s strict) testLogins(t *testing.T) {
	const name, options = "DATABASE_LOGINS ", "sslmode=require"
	owner := s.url("owner", secret, "logins", options)
	s.exec("CREATE ROLE owner LOGIN PASSWORD '"+secret+"'", "CREATE DATABASE logins OWNER owner")
	if err := migrations.Public(t.Context(), owner); err != nil {
		t.Fatal(err)
	}
	lines := strings.Join(checkURL(t, owner), "\n")
	if !strings.Contains(lines, "warn DATABASE_URL the functions have no roles of their own, and this one may not make any") ||
		!strings.Contains(lines, "CREATE ROLE cost_sources_sources; CREATE ROLE cost_sources_applications; ") {
		t.Errorf("without the right to make roles:\n%s", lines)
	}
	s.exec("ALTER ROLE owner CREATEROLE")
	for range 2 { // as each release does
		if err := migrations.Roles(t.Context(), owner); err != nil {
			t.Fatal(err)
		}
	}
	folder := t.TempDir()
	write := func(key, role string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(folder, key), []byte(s.url(role, secret, "logins", options)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s.exec("ALTER ROLE owner CONNECTION LIMIT 20") // which is not the functions'
	write("url", "owner")
	for _, function := range []string{"sources", "applications", "provisioner", "ros-cleanup", "relay"} {
		s.exec("ALTER ROLE " + migrations.Role(function) + " LOGIN PASSWORD '" + secret + "'")
		write(function, migrations.Role(function))
	}
	interop := false
	check := func(what string, wanted ...string) {
		t.Helper()
		value := preflight.Database{Config: store.Config{DatabaseURLFile: filepath.Join(folder, "url"), MaxConns: 1}, Logins: "each", Interop: interop, ConnectionsNeeded: 48}
		if err := value.Validate(); err != nil {
			t.Fatal(err)
		}
		var found []string
		lines, _ := run(t, "check", about(func(cfg *preflight.Config) { cfg.Database = preflight.PartOf(value, nil) }))
		for _, line := range lines {
			if strings.Contains(line, name) || strings.Contains(line, "CONNECTION LIMIT") {
				found = append(found, line)
			}
		}
		want(t, what, found, wanted...)
	}
	check("all there", "ok "+name+"each function comes in with a role of its own")
	interop = true
	check("but for interop", "FAIL "+name+"the Secret has no address for interop under that key")
	interop = false
	write("relay", "owner")
	s.exec("CREATE ROLE other LOGIN PASSWORD '" + secret + "'")
	write("provisioner", "other")
	if err := os.Remove(filepath.Join(folder, "applications")); err != nil {
		t.Fatal(err)
	}
	check("not all there", "FAIL "+name+"the Secret has no address for applications under that key",
		"FAIL "+name+`provisioner comes in as other, which is not its role: GRANT cost_sources_provisioner TO "other";`,
		"warn "+name+"relay comes in as owner, who owns the tables: row-level security does not hold it")
	write("applications", migrations.Role("applications"))
	write("provisioner", migrations.Role("provisioner"))
	s.exec("CREATE DATABASE astray")
	if err := os.WriteFile(filepath.Join(folder, "relay"), []byte(s.url(migrations.Role("relay"), secret, "astray", options)), 0o600); err != nil {
		t.Fatal(err)
	}
	check("astray", "FAIL "+name+"relay comes to database astray at "+s.addr+", which is not that of DATABASE_URL_FILE: correct its address")
	for logins, url := range map[string]store.Config{
		"all": {DatabaseURLFile: filepath.Join(folder, "url"), MaxConns: 1}, "each": {DatabaseURL: owner, MaxConns: 1},
	} {
		err := preflight.Database{Config: url, Logins: logins}.Validate()
		if err == nil || !strings.HasPrefix(err.Error(), "DATABASE_LOGINS: ") {
			t.Errorf("DATABASE_LOGINS=%s: %v", logins, err)
		}
	}
}
