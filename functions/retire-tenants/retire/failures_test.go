package retire_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestDumpFails: without a whole dump nothing is dropped, and nothing of it stays in the folder. Others go on.
func TestDumpFails(t *testing.T) {
	t.Parallel()

	w := setup(t)
	w.spare("1")
	w.spare("2")
	before := w.contents("org1")
	pgDump := w.pgDump
	// Only the first one's is disturbed.
	const second = `case "$*" in *org2*) exec $real "$@";; esac
for a; do case "$a" in --file=*) file=${a#--file=};; esac; done
`
	for i, tt := range []struct{ name, script, want string }{
		{"exit status", `echo "pg_dump: error: no
room" >&2; exit 1`, "pg_dump: error: no room"},
		{"exit status after a whole dump", `$real "$@"; exit 3`, "pg_dump: exit status 3"},
		{"nothing written", `exit 0`, "pg_dump has written nothing"},
		{"no dump", `echo hello >"$file"`, "pg_restore: error: input file"},
		{"cut off", `$real "$@" && head -c 200 "$file" >"$file.2" && cat "$file.2" >"$file" && rm "$file.2"`, "pg_restore: "},
		{"another schema", `for a; do shift; case "$a" in --schema=*) a=--schema=public;; esac; set -- "$@" "$a"; done; exec $real "$@"`, "the dump does not hold SCHEMA - org1"},
		{"a table is missing", `exec $real --exclude-table=org1.user_settings "$@"`, "the dump does not hold TABLE org1 user_settings"},
		{"rows are missing", `exec $real --exclude-table-data=org1.user_settings "$@"`, "the dump does not hold TABLE DATA org1 user_settings"},
		{"no definitions", `exec $real --data-only "$@"`, "the dump does not hold SCHEMA - org1"},
		{"file taken away", `$real "$@"; rm "$file"`, "pg_restore: "},
	} {
		w.pgDump = pgDump
		w.program(second + tt.script)
		args := []string{"-org", "1"}
		wantEnd, wantErr := "0 retired, 1 kept\n", "1 kept"
		if i == 0 {
			args, wantEnd = nil, "1 retired, 1 kept\n"
		}
		out, err := w.apply(args...)
		if errText(err) != wantErr || !strings.HasPrefix(out, "kept     1  org1  "+tt.want) || !strings.HasSuffix(out, wantEnd) {
			t.Errorf("%s: %v\n%s", tt.name, err, out)
		}
		w.whole("1", before)
	}
	if dumps := w.dumps(); len(dumps) != 1 || !strings.HasPrefix(dumps[0], "org2-") {
		t.Errorf("the folder has %q", dumps)
	}
}

// TestMadeMeanwhile: a table that the dump cannot have.
func TestMadeMeanwhile(t *testing.T) {
	t.Parallel()

	w := setup(t)
	w.spare("1")
	begun, goOn := w.hold()
	go func() {
		begun()
		w.exec(`CREATE TABLE org1.new (a int)`)
		goOn()
	}()
	out, err := w.apply()
	if errText(err) != "1 kept" || !strings.Contains(out, "tables were made while it was dumped") {
		t.Errorf("%v\n%s", err, out)
	}
	if w.contents("org1") == nil || w.dumps() != nil {
		t.Errorf("the folder has %q", w.dumps())
	}
}

// TestLocked: who is at work on the tenant is not disturbed.
func TestLocked(t *testing.T) {
	t.Parallel()

	for _, tt := range []struct{ name, sql, want string }{
		{"written to", `INSERT INTO org1.user_settings (settings) VALUES ('{}')`, "lock the tables: somebody else is at work on it"},
		{"being made", `SELECT pg_advisory_xact_lock(hashtextextended('schema org1', 0))`, "wait for whoever makes the schema: somebody else is at work on it"},
		{"read", `SELECT * FROM org1.user_settings`, "drop the schema: somebody else is at work on it"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()

			w := setup(t)
			w.spare("1")
			before := w.contents("org1")
			tx, err := w.sql.Begin(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if _, err := tx.Exec(t.Context(), tt.sql); err != nil {
				t.Fatal(err)
			}
			out, err := w.apply()
			if errText(err) != "1 kept" || !strings.HasPrefix(out, "kept     1  org1  "+tt.want) {
				t.Errorf("%v\n%s", err, out)
			}
			if err := tx.Rollback(t.Context()); err != nil {
				t.Fatal(err)
			}
			w.whole("1", before)
			if dumps := w.dumps(); dumps != nil {
				t.Errorf("the folder has %q", dumps)
			}
		})
	}
}

// TestRefused: what cannot end in a dump is refused before the database is looked at.
func TestRefused(t *testing.T) {
	t.Parallel()

	w := setup(t)
	w.spare("1")
	before := w.contents("org1")
	file := filepath.Join(w.dir, "file")
	alone := filepath.Join(t.TempDir(), "pg_dump") // without a pg_restore beside it
	for _, path := range []string{file, alone} {
		if err := os.WriteFile(path, nil, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	address := w.address
	for _, tt := range []struct{ name, address, dir, pgDump, want string }{
		{"no folder", address, filepath.Join(w.dir, "none"), w.pgDump, "-dump: the folder has to be there and to be writable: "},
		{"a file", address, file, w.pgDump, "-dump: the folder has to be there and to be writable: "},
		{"not writable, for root either", address, "/proc", w.pgDump, "-dump: the folder has to be there and to be writable: "},
		{"no pg_dump", address, w.dir, filepath.Join(w.dir, "none"), "-pg-dump: PostgreSQL's pg_dump is needed, not older than the server: "},
		{"no pg_restore", address, w.dir, alone, "-pg-dump: pg_restore has to be beside pg_dump"},
		{"no URL", "host=127.0.0.1 password=s3cret", w.dir, w.pgDump, "DATABASE_URL: pg_dump gets the address too"},
		{"a key's password", address + "&sslpassword=s3cret", w.dir, w.pgDump, "DATABASE_URL: sslpassword cannot be kept secret"},
	} {
		w.address = tt.address
		out, err := w.run("-apply", "-dump", tt.dir, "-pg-dump", tt.pgDump)
		if out != "" || !strings.HasPrefix(errText(err), tt.want) || strings.Contains(errText(err), "s3cret") {
			t.Errorf("%s: %v\n%s", tt.name, err, out)
		}
	}
	w.address = address
	w.whole("1", before)
}
