package retire_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestRetire: the tenant goes, all else stays, and the dump has everything of it.
func TestRetire(t *testing.T) {
	t.Parallel()

	w := setup(t)
	w.spare("1")
	w.spare("2")
	w.provided("3")
	w.exec(`CREATE TABLE org1."Odd Name" (a int)`)
	w.exec(`CREATE VIEW org1.v AS SELECT * FROM org1.user_settings`)
	before, others := w.contents("org1"), append(w.contents("org2"), w.contents("org3")...)

	out, err := w.apply("-org", "1")
	line := regexp.MustCompile(`^retired  1  org1  \d\.\d MB  (.*/org1-\d{8}T\d{6}Z\.dump)\n1 retired, 0 kept\n$`).FindStringSubmatch(out)
	if err != nil || line == nil {
		t.Fatalf("%v\n%s", err, out)
	}
	dumps := w.dumps()
	if len(dumps) != 1 || filepath.Join(w.dir, dumps[0]) != line[1] {
		t.Errorf("the folder has %q", dumps)
	}
	if info, err := os.Stat(line[1]); err != nil || info.Mode() != 0o600 {
		t.Errorf("%v, mode %v", err, info.Mode())
	}
	if value[bool](w, `SELECT to_regnamespace('org1') IS NOT NULL OR EXISTS (SELECT FROM public.api_tenant WHERE schema_name = 'org1')`) {
		t.Error("the tenant is still there")
	}
	if !value[bool](w, `SELECT EXISTS (SELECT FROM public.api_customer WHERE org_id = '1' AND schema_name = 'org1')`) {
		t.Error("the customer is gone")
	}
	if diff := cmp.Diff(others, append(w.contents("org2"), w.contents("org3")...)); diff != "" {
		t.Errorf("other tenants (-before +after):\n%s", diff)
	}

	w.restore(line[1])
	w.whole("1", before)
	if status := w.post(w.add("1")); status != 204 {
		t.Errorf("a source of the restored tenant is answered %d", status)
	}
	if again, err := w.apply("-org", "2"); err != nil || !strings.Contains(again, "1 retired, 0 kept") {
		t.Errorf("%v\n%s", err, again)
	}
}

// restore does what the README says.
func (w *world) restore(dump string) {
	w.Helper()
	out, err := exec.CommandContext(w.Context(), filepath.Join(filepath.Dir(w.pgDump), "pg_restore"),
		"--exit-on-error", "--single-transaction", "--dbname="+w.address, dump).CombinedOutput()
	if err != nil {
		w.Fatalf("pg_restore: %v\n%s", err, out)
	}
	w.exec(`INSERT INTO public.api_tenant (schema_name) VALUES ('org1')`)
}

// TestNothing: without -apply, and where there is nothing to be retired, nothing happens.
func TestNothing(t *testing.T) {
	t.Parallel()

	w := setup(t)
	w.spare("1")
	before := w.contents("org1")
	if out, err := w.apply("-for", "2401h"); err != nil || out != "0 retired, 0 kept\n" {
		t.Errorf("%v\n%s", err, out)
	}
	if out, err := w.apply("-org", "2"); errText(err) != "1 kept" || out != "kept     2  -  it has no tenant\n0 retired, 1 kept\n" {
		t.Errorf("%v\n%s", err, out)
	}
	w.whole("1", before)
	if dumps := w.dumps(); dumps != nil {
		t.Errorf("the folder has %q", dumps)
	}
}

// TestOutside: what would go with the schema and is not in it keeps it, and is named.
func TestOutside(t *testing.T) {
	t.Parallel()

	w := setup(t)
	for _, tt := range []struct{ name, sql, undo, want string }{
		{"view", `CREATE VIEW public.v AS SELECT * FROM org1.user_settings`, `DROP VIEW public.v`, "rule _RETURN on view v"},
		{"foreign key", `CREATE TABLE public.f (id int CONSTRAINT refers REFERENCES org1.user_settings (id))`, `DROP TABLE public.f`, "constraint refers on table f"},
		{"column of a type", `CREATE TABLE public.f (c org1.user_settings)`, `DROP TABLE public.f`, "column c of table f"},
		{"default", `CREATE SEQUENCE org1.s; CREATE TABLE public.f (c int DEFAULT nextval('org1.s'))`, `DROP TABLE public.f; DROP SEQUENCE org1.s`, "default value for column c of table f"},
		{"partition", `CREATE TABLE public.f PARTITION OF org1.reporting_ocpusagelineitem_daily_summary FOR VALUES FROM ('2020-01-01') TO ('2020-02-01')`, `DROP TABLE public.f`, "table f"},
		{"child of a child", `CREATE VIEW public.v AS SELECT * FROM org1.user_settings; CREATE VIEW public.w AS SELECT * FROM public.v`, `DROP VIEW public.v CASCADE`, "rule _RETURN on view v"},
		{"trigger", `CREATE FUNCTION org1.t() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
			CREATE TRIGGER told AFTER INSERT ON public.api_user EXECUTE FUNCTION org1.t()`, `DROP FUNCTION org1.t() CASCADE`, "trigger told on table api_user"},
	} {
		if tt.name == "view" {
			w.spare("1")
		}
		w.exec(tt.sql)
		before := w.contents("org1")
		out, err := w.apply()
		if first, _, _ := strings.Cut(out, "\n"); errText(err) != "1 kept" ||
			!strings.HasPrefix(first, "kept     1  org1  outside of the schema this depends on it, and would be dropped too: ") || !strings.Contains(first, tt.want) {
			t.Errorf("%s: %v\n%s", tt.name, err, out)
		}
		w.whole("1", before)
		w.exec(tt.undo)
	}
	if dumps := w.dumps(); dumps != nil {
		t.Errorf("the folder has %q", dumps)
	}
	w.exec(`CREATE FUNCTION org1.t() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
		CREATE TRIGGER told AFTER INSERT ON org1.user_settings EXECUTE FUNCTION org1.t();
		CREATE VIEW org1.v AS SELECT * FROM org1.user_settings; CREATE DOMAIN org1.d AS int CHECK (value > 0);
		ALTER TABLE org1.user_settings ENABLE ROW LEVEL SECURITY; CREATE POLICY p ON org1.user_settings;
		CREATE STATISTICS org1.st ON id, data_retention_months FROM org1.tenant_settings;
		ALTER DEFAULT PRIVILEGES IN SCHEMA org1 GRANT SELECT ON TABLES TO PUBLIC`)
	if out, err := w.apply(); err != nil {
		t.Errorf("all of it inside: %v\n%s", err, out)
	}
}

// TestSecret: the password is in no command line and no error, and pg_dump has it.
func TestSecret(t *testing.T) {
	t.Parallel()

	const secret, escaped = "s3cr%t/ä", "s3cr%25t%2F%C3%A4"
	for _, form := range []func(address string) string{
		func(address string) string { return strings.Replace(address, "postgres@", "postgres:"+escaped+"@", 1) },
		func(address string) string { return address + "&pool_max_conns=3&role=postgres&password=" + escaped },
	} {
		w := setup(t)
		w.spare("1")
		said := filepath.Join(t.TempDir(), "said")
		w.program(`printf '%s\n' "$@" >` + said + `; printf '%s' "$PGPASSWORD" >` + said + `.password; exec $real "$@"`)
		w.address = form(w.address)
		if out, err := w.apply(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		args, errArgs := os.ReadFile(said)
		password, errPassword := os.ReadFile(said + ".password")
		if errArgs != nil || errPassword != nil || strings.Contains(string(args), "s3cr") || string(password) != secret {
			t.Errorf("%v %v, password %q, command line\n%s", errArgs, errPassword, password, args)
		}
		w.address = strings.Replace(w.address, "127.0.0.1:", "127.0.0.1:1", 1)
		if _, err := w.apply(); err == nil || strings.Contains(err.Error(), "s3cr") {
			t.Errorf("without a server: %v", err)
		}
	}
}

// TestStopped: a tenant in work when the command is stopped is as it was, and no other is begun.
func TestStopped(t *testing.T) {
	t.Parallel()

	w := setup(t)
	w.spare("1")
	w.spare("2")
	before := w.contents("org1")
	begun, _ := w.hold()
	ctx, stop := context.WithCancel(t.Context())
	go func() {
		begun()
		stop()
	}()
	out, err := w.runWith(ctx, "-apply", "-dump", w.dir, "-pg-dump", w.pgDump)
	if errText(err) != "stopped: 0 of 2 tenants retired" || !strings.Contains(out, "org1") || !strings.Contains(out, "context canceled") {
		t.Errorf("%v\n%s", err, out)
	}
	w.whole("1", before)
	if dumps := w.dumps(); dumps != nil {
		t.Errorf("the folder has %q", dumps)
	}
	w.await(`SELECT NOT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND database = (SELECT oid FROM pg_database WHERE datname = current_database()))`)
}

// TestStoppedAtTheEnd: a drop that has begun is finished, and no other tenant begun.
func TestStoppedAtTheEnd(t *testing.T) {
	t.Parallel()

	w := setup(t)
	w.spare("1")
	w.spare("2")
	before := w.contents("org2")
	reader, err := w.sql.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := reader.Exec(t.Context(), `SELECT FROM org1.user_settings`); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	go func() {
		w.await(dropWaits)
		stop()
		if err := reader.Rollback(t.Context()); err != nil {
			t.Error(err)
		}
	}()
	out, err := w.runWith(ctx, "-apply", "-dump", w.dir, "-pg-dump", w.pgDump)
	if errText(err) != "stopped: 1 of 2 tenants retired" || !strings.HasPrefix(out, "retired  1  org1") || w.hasTenant("1") {
		t.Errorf("%v\n%s", err, out)
	}
	w.whole("2", before)
	if dumps := w.dumps(); len(dumps) != 1 {
		t.Errorf("the folder has %q", dumps)
	}
}

// TestOddName: a schema of Koku's may have any name, which is not taken for a pattern of names or for a path.
func TestOddName(t *testing.T) {
	t.Parallel()

	w := setup(t)
	const schema = `acct-A.b*"C/ d`
	w.exec(`CREATE SCHEMA "acct-A.b*""C/ d"`)
	w.exec(`CREATE TABLE "acct-A.b*""C/ d"."t .x*" (a int)`)
	w.exec(`INSERT INTO public.api_tenant (schema_name) VALUES ($1)`, schema)
	w.exec(`INSERT INTO public.api_customer (date_created, date_updated, uuid, schema_name, org_id)
		VALUES (now(), now() - interval '1 year', gen_random_uuid(), $1, 'A.b')`, schema)
	out, err := w.apply()
	if err != nil || !strings.HasPrefix(out, "retired  A.b  "+schema) || value[bool](w, `SELECT EXISTS (SELECT FROM pg_namespace WHERE nspname = $1)`, schema) {
		t.Errorf("%v\n%s", err, out)
	}
	if dumps := w.dumps(); len(dumps) != 1 || !strings.HasPrefix(dumps[0], "acct-A.b%2A%22C%2F%20d-") {
		t.Errorf("the folder has %q", dumps)
	}
}
