package retire_test

import (
	"bytes"
	"context"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	cehttp "github.com/cloudevents/sdk-go/v2/protocol/http"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/insights-onprem/cost-sources/functions/provisioner/provision"
	"github.com/insights-onprem/cost-sources/functions/retire-tenants/retire"
	"github.com/insights-onprem/cost-sources/shared/events"
	"github.com/insights-onprem/cost-sources/shared/sources"
	"github.com/insights-onprem/cost-sources/shared/store"
	"github.com/insights-onprem/cost-sources/shared/store/storetest"
)

// patience is for what does come, on a machine that has other work to do.
const patience = 2 * time.Minute

// A world is a database, the provisioner over HTTP, and a folder for dumps.
type world struct {
	*testing.T
	address     string
	sql         *pgxpool.Pool
	api         *store.Store // what makes changes
	provisioner string       // where it listens
	dir         string       // of the dumps
	pgDump      string
}

func setup(t *testing.T) *world {
	t.Helper()
	w := &world{T: t, address: storetest.Database(t), dir: t.TempDir(), pgDump: storetest.Program(t, "pg_dump")}
	w.sql, w.api = storetest.Pool(t, w.address), storetest.Store(t, "sources", w.address)
	srv := httptest.NewServer(provision.New(provision.Config{}, storetest.Store(t, "provisioner", w.address)))
	t.Cleanup(srv.Close)
	w.provisioner = srv.URL
	return w
}

// add registers a source.
func (w *world) add(org string) sources.Source {
	w.Helper()
	draft := sources.Source{OrgID: org, Name: "name"}
	draft.SetCluster("cluster of " + org)
	var src sources.Source
	err := w.api.For(org).InTx(w.Context(), func(tx *store.Store) (err error) {
		if src, err = tx.CreateSource(w.Context(), draft); err != nil {
			return err
		}
		src.Attach()
		return tx.SaveSource(w.Context(), &src, events.SourceCreated, events.ApplicationCreated)
	})
	if err != nil {
		w.Fatal(err)
	}
	return src
}

// remove deletes a source.
func (w *world) remove(src sources.Source) {
	w.Helper()
	err := w.api.For(src.OrgID).InTx(w.Context(), func(tx *store.Store) (err error) {
		if src, err = tx.LockSource(w.Context(), src.OrgID, sources.Ref{ID: src.ID}); err != nil {
			return err
		}
		src.MarkDeleted(time.Now())
		return tx.SaveSource(w.Context(), &src, events.ApplicationDeleted, events.SourceDeleted)
	})
	if err != nil {
		w.Fatal(err)
	}
}

// post has the provisioner look at a source, both ways, and returns the worse answer.
func (w *world) post(src sources.Source) (status int) {
	w.Helper()
	e, err := events.SourceUpdated(w.Context(), src)
	if err != nil {
		w.Error(err)
		return 0
	}
	for _, path := range []string{provision.ProvidersPath, provision.TenantsPath} {
		request, err := cehttp.NewHTTPRequestFromEvent(w.Context(), w.provisioner+path, e)
		if err != nil {
			w.Error(err)
			return 0
		}
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			w.Error(err)
			return 0
		}
		response.Body.Close()
		status = max(status, response.StatusCode)
	}
	return status
}

// provided is a source with its provider.
func (w *world) provided(org string) sources.Source {
	w.Helper()
	src := w.add(org)
	if status := w.post(src); status != http.StatusNoContent || !w.hasProvider(src) {
		w.Fatalf("the provisioner answers %d", status)
	}
	return src
}

func (w *world) hasProvider(src sources.Source) bool {
	w.Helper()
	const find = `SELECT EXISTS (SELECT FROM public.api_sources a JOIN public.api_provider p ON p.uuid = a.provider_id WHERE a.source_uuid = $1)`
	return value[bool](w, find, src.UUID) &&
		value[bool](w, `SELECT EXISTS (SELECT FROM org`+src.OrgID+`.reporting_tenant_api_provider WHERE uuid = $1)`, src.UUID)
}

// spare is an organization whose one source was deleted 100 days ago, with some rows in its tenant.
func (w *world) spare(org string) {
	w.Helper()
	src := w.provided(org)
	w.remove(src)
	if status := w.post(src); status != http.StatusNoContent {
		w.Fatalf("the provisioner answers %d", status)
	}
	schema := "org" + org
	w.exec(`DELETE FROM sources.outbox WHERE source_id = $1`, src.ID)
	w.exec(`UPDATE sources.source SET ros_cleaned_at = now(), ros_rechecked_at = now(),
		updated_at = now() - interval '100 days', deleted_at = now() - interval '100 days' WHERE id = $1`, src.ID)
	w.exec(`UPDATE public.api_customer SET date_updated = now() - interval '100 days' WHERE org_id = $1`, org)
	w.exec(`INSERT INTO ` + schema + `.user_settings (settings) SELECT jsonb_build_object('n', n) FROM generate_series(1, 20) n`)
	w.exec(`INSERT INTO ` + schema + `.reporting_ocptags_values (uuid, key, value, cluster_ids, cluster_aliases, namespaces)
		VALUES (gen_random_uuid(), E'a\tb', 'naïve', '{c1}', '{}', '{"a,b"}')`)
}

func (w *world) exec(sql string, args ...any) {
	w.Helper()
	if _, err := w.sql.Exec(w.Context(), sql, args...); err != nil {
		w.Fatalf("%s: %v", sql, err)
	}
}

func value[T any](w *world, sql string, args ...any) (v T) {
	w.Helper()
	if err := w.sql.QueryRow(w.Context(), sql, args...).Scan(&v); err != nil {
		w.Fatalf("%s: %v", sql, err)
	}
	return v
}

// run is the command.
func (w *world) run(args ...string) (stdout string, err error) {
	w.Helper()
	return w.runWith(w.Context(), args...)
}

func (w *world) runWith(ctx context.Context, args ...string) (stdout string, err error) {
	w.Helper()
	var out, said bytes.Buffer
	cfg := store.Config{DatabaseURL: w.address, MaxConns: 2}
	err = retire.Run(ctx, func() (store.Config, error) { return cfg, nil }, args, &out, &said)
	if said.Len() > 0 {
		w.Errorf("stderr: %s", &said)
	}
	return out.String(), err
}

func (w *world) apply(args ...string) (stdout string, err error) {
	w.Helper()
	return w.run(append([]string{"-apply", "-dump", w.dir, "-pg-dump", w.pgDump}, args...)...)
}

// program has pg_dump be a shell script, which finds PostgreSQL's own in $real.
func (w *world) program(script string) {
	w.Helper()
	dir := w.TempDir()
	for name, text := range map[string]string{
		"pg_dump":    "real=" + w.pgDump + "\n" + script,
		"pg_restore": `exec ` + filepath.Join(filepath.Dir(w.pgDump), "pg_restore") + ` "$@"`,
	} {
		syscall.ForkLock.RLock() // or a child that another test makes has the file open, which then cannot be run
		err := os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\n"+text+"\n"), 0o755)
		syscall.ForkLock.RUnlock()
		if err != nil {
			w.Fatal(err)
		}
	}
	w.pgDump = filepath.Join(dir, "pg_dump")
}

// hold has pg_dump wait before it begins: until begun returns it has not come so far, and goes on after goOn.
func (w *world) hold() (begun, goOn func()) {
	w.Helper()
	at, on := filepath.Join(w.TempDir(), "at"), filepath.Join(w.TempDir(), "on")
	for _, path := range []string{at, on} {
		if err := syscall.Mkfifo(path, 0o600); err != nil {
			w.Fatal(err)
		}
	}
	w.program("echo >" + at + "\nread -r line <" + on + "\nexec $real \"$@\"")
	return func() {
			if _, err := os.ReadFile(at); err != nil {
				w.Error(err)
			}
		}, func() {
			if err := os.WriteFile(on, []byte("\n"), 0); err != nil {
				w.Error(err)
			}
		}
}

// await waits until a query says true.
func (w *world) await(sql string, args ...any) {
	w.Helper()
	patient := time.After(patience)
	for !value[bool](w, sql, args...) {
		select {
		case <-patient:
			w.Fatalf("not true in %v: %s", patience, sql)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// waiting is true when somebody in the test's database waits for a lock.
const waiting = `SELECT EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock')`

// dropWaits is true when a drop does.
const dropWaits = `SELECT EXISTS (SELECT FROM pg_stat_activity
	WHERE datname = current_database() AND wait_event_type = 'Lock' AND query LIKE 'DROP SCHEMA%')`

// dumps are the files in the folder.
func (w *world) dumps() (names []string) {
	w.Helper()
	entries, err := os.ReadDir(w.dir)
	if err != nil {
		w.Fatal(err)
	}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// contents are all rows, constraints, indexes and owners of a schema.
func (w *world) contents(schema string) []string {
	w.Helper()
	rows := value[string](w, `
		SELECT coalesce(string_agg(format('SELECT %L || to_jsonb(t)::text FROM %s t', c.oid::regclass::text || ' ', c.oid::regclass), ' UNION ALL '), '')
		FROM pg_class c WHERE relnamespace = to_regnamespace($1) AND relkind = 'r'`, schema)
	if rows == "" {
		return nil
	}
	return value[[]string](w, `
		SELECT array_agg(x ORDER BY x) FROM (`+rows+`
			UNION ALL SELECT conrelid::regclass || ' ' || pg_get_constraintdef(oid) FROM pg_constraint WHERE connamespace = $1::regnamespace
			UNION ALL SELECT pg_get_indexdef(indexrelid) FROM pg_index JOIN pg_class c ON c.oid = indexrelid WHERE relnamespace = $1::regnamespace
			UNION ALL SELECT oid::regclass || ' ' || relkind::text || ' ' || relowner::regrole || ' ' || coalesce(relacl::text, '') FROM pg_class WHERE relnamespace = $1::regnamespace
			UNION ALL SELECT nspname || ' ' || nspowner::regrole || coalesce(nspacl::text, '') FROM pg_namespace WHERE oid = $1::regnamespace
		) all_of_it (x)`, schema)
}

// whole fails the test unless the tenant is registered and as it was.
func (w *world) whole(org string, before []string) {
	w.Helper()
	if !value[bool](w, `SELECT EXISTS (SELECT FROM public.api_tenant WHERE schema_name = 'org' || $1)`, org) {
		w.Errorf("the tenant of %s is not registered", org)
	}
	if after := w.contents("org" + org); strings.Join(after, "\n") != strings.Join(before, "\n") {
		w.Errorf("the tenant of %s has %d things instead of %d, or others", org, len(after), len(before))
	}
}

func errText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
