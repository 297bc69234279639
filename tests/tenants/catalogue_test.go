package tenants_test

import (
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/insights-onprem/cost-sources/migrations"
)

// catalogue measures what the tenants are to the server.
func (r *result) catalogue(w *world) {
	const mib = 1 << 20
	for _, f := range []struct {
		name, unit, sql string
		per             float64
	}{
		{"relations", "", "SELECT count(*) FROM pg_class", 1},
		{"system catalogue", "MiB", "SELECT sum(pg_total_relation_size(oid)) FROM pg_class WHERE relnamespace = 'pg_catalog'::regnamespace AND relkind = 'r'", mib},
		{"database", "MiB", "SELECT pg_database_size(current_database())", mib},
		{"files", "", "SELECT count(*) FROM pg_ls_dir('base/' || (SELECT oid FROM pg_database WHERE datname = current_database()))", 1},
		{"locks of a pg_dump of everything", "", "SELECT count(*) FROM pg_class WHERE relkind IN ('r', 'p') AND relnamespace <> 'information_schema'::regnamespace", 1},
	} {
		var n float64
		if err := w.sql.QueryRow(w.Context(), "SELECT ("+f.sql+")::float8").Scan(&n); err != nil {
			w.Fatalf("%s: %v", f.name, err)
		}
		r.add(f.name, n/f.per, f.unit, 0)
	}
}

// memory measures what a server's process takes for a connection that is new, that has written to a table of every
// tenant, and that has made some tenants.
func (r *result) memory(w *world, making int) {
	fresh := w.connect()
	r.add("memory of a new connection", used(w, fresh), "MiB", 0)
	for n := 1; n <= w.orgs; n++ {
		w.on(fresh, fmt.Sprintf(`INSERT INTO org%d.reporting_tenant_api_provider (uuid, name, type) SELECT gen_random_uuid(), '', '' WHERE false`, n))
	}
	r.add("memory of one that has written to every tenant", used(w, fresh), "MiB", 0)

	maker := w.connect()
	before := used(w, maker)
	for range making {
		schema := fmt.Sprintf("orgmade%d", w.clusters.Add(1))
		err := pgx.BeginFunc(w.Context(), maker, func(tx pgx.Tx) error {
			if _, err := tx.Exec(w.Context(), "INSERT INTO public.api_tenant (schema_name) VALUES ($1)", schema); err != nil {
				return err
			}
			return migrations.NewTenant(w.Context(), tx, schema)
		})
		if err != nil {
			w.Fatal(err)
		}
	}
	r.add("memory kept for each tenant that it has made", (used(w, maker)-before)/float64(making), "MiB", 0)
}

func (w *world) connect() *pgx.Conn {
	w.Helper()
	conn, err := pgx.Connect(w.Context(), w.url)
	if err != nil {
		w.Fatal(err)
	}
	w.Cleanup(func() { conn.Close(w.Context()) })
	return conn
}

func (w *world) on(conn *pgx.Conn, sql string) {
	w.Helper()
	if _, err := conn.Exec(w.Context(), sql); err != nil {
		w.Fatalf("%s: %v", sql, err)
	}
}

// used is what the process of a connection has taken, in MiB.
func used(w *world, conn *pgx.Conn) (mib float64) {
	w.Helper()
	err := conn.QueryRow(w.Context(), "SELECT sum(total_bytes)::float8 / 1048576 FROM pg_backend_memory_contexts").Scan(&mib)
	if err != nil {
		w.Fatal(err)
	}
	return mib
}
