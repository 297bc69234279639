package bench_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/insights-onprem/cost-sources/functions/ros-cleanup/cleanup/rostest"
	"github.com/insights-onprem/cost-sources/migrations"
	"github.com/insights-onprem/cost-sources/shared/sources"
	"github.com/insights-onprem/cost-sources/shared/store/storetest"
	"github.com/insights-onprem/cost-sources/tests/process"
)

// A world is what the functions stand on, and what was measured of them.
type world struct {
	testing.TB
	settings
	server *storetest.Server
	sql    map[string]*pgxpool.Pool // by database
	next   map[string]int64         // by database, the id of the next source that is put into it
	bin    string                   // folder of the functions, built as they are deployed
	sink   string                   // takes every event, and keeps none
	rows   []row
}

// main is the database that is measured but for its growth.
const main = "main"

func newWorld(t testing.TB, s settings) *world {
	t.Helper()
	w := &world{TB: t, settings: s, sql: map[string]*pgxpool.Pool{}, next: map[string]int64{}}
	// On a disk, and synced, as PostgreSQL is installed.
	var err error
	w.server, err = storetest.Start(t.Context(), storetest.ServerConfig{DataDir: storetest.Folder(t), Parameters: map[string]string{
		"max_connections": "300", "shared_buffers": "512MB", "track_commit_timestamp": "on",
		"logging_collector": "on", "log_destination": "jsonlog", "log_filename": "bench.log",
		"log_rotation_age": "0", "log_rotation_size": "0", "log_parameter_max_length": "-1",
		"log_min_messages": "log", "log_checkpoints": "off",
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := w.server.Stop(); err != nil {
			t.Error(err)
		}
	})
	w.build()
	w.sink = w.serve(http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) { rw.WriteHeader(http.StatusAccepted) }))
	w.database(main)
	w.seed(main, "listed", w.listed)
	w.tenant(main, "provided")
	return w
}

// build builds the functions and, to compare them with, the least server there is.
func (w *world) build() {
	w.Helper()
	var err error
	if w.bin, err = os.MkdirTemp("", "cost-sources-bench-"); err != nil {
		w.Fatal(err)
	}
	w.Cleanup(func() { _ = os.RemoveAll(w.bin) }) // a folder left behind is no reason to fail
	output, err := exec.CommandContext(w.Context(), "make", "-C", "../..", "build", "BIN="+w.bin, "ALSO=./tests/e2e/empty").CombinedOutput()
	if err != nil {
		w.Fatalf("make build: %v: %s", err, output)
	}
}

func (w *world) serve(h http.Handler) (url string) {
	srv := httptest.NewServer(h)
	w.Cleanup(srv.Close)
	return srv.URL
}

// database makes a database with all tables, those of ROS too: pgbench speaks to one at a time.
func (w *world) database(name string) {
	w.Helper()
	err := w.server.CreateDatabase(w.Context(), name)
	if err == nil {
		err = errors.Join(storetest.Migrate(w.Context(), w.server.URL(name)), rostest.Load(w.Context(), w.server.URL(name)))
	}
	if err != nil {
		w.Fatal(err)
	}
	w.sql[name] = storetest.Pool(w, w.server.URL(name))
	w.next[name] = 1_000_000_001
	w.execute(name, `SELECT setval(pg_get_serial_sequence('sources.source', 'id'), 2000000000)`) // also of ten digits
}

// execute runs statements.
func (w *world) execute(db, sql string, args ...any) {
	w.Helper()
	if _, err := w.sql[db].Exec(w.Context(), sql, args...); err != nil {
		w.Fatalf("%s: %v", sql, err)
	}
}

// seed puts ready sources of an organization into a database, with all that belongs to them, and returns the id of the
// first. Their ids, of ten digits, follow each other, and stand in all that is unique to them: a text about one of them
// is one about another when its id is exchanged.
func (w *world) seed(db, org string, n int) (first int64) {
	w.Helper()
	w.tenant(db, org)
	first = w.pending(db, org, n)
	w.execute(db, `
		INSERT INTO public.api_providerbillingsource (uuid, data_source)
		SELECT gen_random_uuid(), '{}' WHERE NOT EXISTS (SELECT FROM public.api_providerbillingsource)`)
	for _, sql := range []string{
		`INSERT INTO public.api_providerauthentication (uuid, credentials)
			SELECT uuid, credentials FROM sources.source WHERE org_id = $1 AND id >= $2`,
		`INSERT INTO public.api_provider (uuid, name, type, setup_complete, created_timestamp, active, authentication_id,
				billing_source_id, customer_id, paused, additional_context)
			SELECT s.uuid, s.name, s.source_type, false, now(), true, a.id,
				(SELECT min(id) FROM public.api_providerbillingsource), c.id, s.paused, '{}'
			FROM sources.source s JOIN public.api_customer c ON c.org_id = s.org_id
			JOIN public.api_providerauthentication a ON a.uuid = s.uuid
			WHERE s.org_id = $1 AND s.id >= $2`,
		`INSERT INTO public.reporting_common_costusagereportmanifest
				(assembly_id, billing_period_start_datetime, num_total_files, provider_id, creation_datetime, completed_datetime, state)
			SELECT s.id, date_trunc('month', now(), 'UTC'), 1, s.uuid, now(), now(), '{}'
			FROM sources.source s WHERE s.org_id = $1 AND s.id >= $2`,
		`INSERT INTO org` + org + `.reporting_tenant_api_provider (uuid, name, type, provider_id)
			SELECT uuid, name, source_type, uuid FROM sources.source WHERE org_id = $1 AND id >= $2`,
		`UPDATE public.api_sources i SET koku_uuid = s.uuid, provider_id = s.uuid
			FROM sources.source s WHERE s.id = i.source_id AND s.org_id = $1 AND s.id >= $2`,
		`UPDATE sources.source SET observed_generation = generation, state = 'ready', attempts = 1
			WHERE org_id = $1 AND id >= $2`,
	} {
		w.execute(db, sql, org, first)
	}
	w.execute(db, `VACUUM ANALYZE`)
	return first
}

// pending puts sources without a provider into a database, as POST leaves them, and returns the id of the first.
func (w *world) pending(db, org string, n int) (first int64) {
	w.Helper()
	first = w.next[db]
	w.next[db] += int64(n)
	last := w.next[db] - 1
	w.execute(db, `
		INSERT INTO sources.source (id, uuid, org_id, account_number, name, source_type, cluster_id, credentials, generation,
			sequence, state, next_attempt_at, ros_cleaned_at, ros_rechecked_at)
		SELECT n, ('00000000-0000-7000-8000-00' || n)::uuid, $1, 'account', 'cluster ' || n, 'OCP', 'cluster-' || n,
			jsonb_build_object('cluster_id', 'cluster-' || n), 1, 2, 'pending', now() + interval '1 day', NULL, NULL
		FROM generate_series($2::bigint, $3::bigint) n`, org, first, last)
	w.execute(db, `
		INSERT INTO sources.application (id, org_id, source_id, application_type_id)
		SELECT n, $1, n, 0 FROM generate_series($2::bigint, $3::bigint) n`, org, first, last)
	w.execute(db, `
		INSERT INTO public.api_sources (source_id, source_uuid, name, "offset", account_id, source_type, authentication,
			billing_source, pending_delete, pending_update, out_of_order_delete, status, paused, additional_context, org_id, updated_timestamp)
		SELECT id, uuid, name, id, account_number, source_type, jsonb_build_object('credentials', credentials), '{}',
			false, false, false, '{}', paused, '{}', org_id, now()
		FROM sources.source WHERE org_id = $1 AND id BETWEEN $2 AND $3`, org, first, last)
	return first
}

// tenant makes the tenant of an organization.
func (w *world) tenant(db, org string) {
	w.Helper()
	if err := storetest.Store(w, "provisioner", w.server.URL(db)).EnsureTenant(w.Context(), sources.Source{OrgID: org}, migrations.NewTenant); err != nil {
		w.Fatal(err)
	}
}

// A running function, or the server that it is compared with.
type running struct {
	*process.Process
	url string
}

// start starts a function on a database, with as many connections as there are requests at once, and returns when it
// answers. The caller ends it.
func (w *world) start(function, databaseURL string, env ...string) running {
	w.Helper()
	r := w.launch(function, databaseURL, env...)
	if err := r.Ready(w.Context(), r.url); err != nil {
		w.Fatal(err)
	}
	return r
}

// launch is start without the wait.
func (w *world) launch(function, databaseURL string, env ...string) running {
	w.Helper()
	port := storetest.FreePort(w)
	p, err := process.Start(w.bin, function, append([]string{fmt.Sprintf("PORT=%d", port), "LOG_LEVEL=warn", "DATABASE_URL=" + databaseURL,
		fmt.Sprintf("DATABASE_MAX_CONNS=%d", atOnce), "K_SINK=" + w.sink, "AUTH_MODE=identity", "ALLOW_DIRECT_IDENTITY=true",
		"RBAC_URL=off", "GOGC=400", "GOMEMLIMIT=200MiB", "ROS_DATABASE_URL=" + withoutRole(databaseURL)}, env...)...)
	if err != nil {
		w.Fatal(err)
	}
	return running{Process: p, url: fmt.Sprintf("http://127.0.0.1:%d", port)}
}

// withoutRole is an address for ROS, whose tables are beside the registry here, but none of the functions' roles'.
func withoutRole(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		panic(err) // the server's addresses are URLs
	}
	query := u.Query()
	query.Del("role")
	u.RawQuery = query.Encode()
	return u.String()
}

// serving is start until the world ends, on a database in the function's own role.
func (w *world) serving(function, db string, env ...string) running {
	w.Helper()
	r := w.start(function, storetest.As(function, w.server.URL(db)), env...)
	w.Cleanup(func() { w.end(r) })
	return r
}

func (w *world) end(r running) {
	w.Helper()
	if err := r.End(); err != nil {
		w.Error(err)
	}
}
