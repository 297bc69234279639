package tenants_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/insights-onprem/cost-sources/functions/provisioner/provision"
	"github.com/insights-onprem/cost-sources/migrations"
)

// A figure is a line of the table.
type figure struct {
	name, unit string
	bound      bool // it may be no more than 1.5 times what it is at the first size
	measure    func(*world) float64
}

// figures are measured in this order, for each size: making tenants comes first, so that it ends with the size.
func (w *world) figures() []figure {
	return []figure{
		{"a tenant and its first provider are made (event to its answer)", "ms", true, (*world).creation},
		{"GET /sources of one organization", "ms", true, (*world).list},
		{"a provider is made in a tenant that is there", "ms", true, (*world).provision},
		{"a provider is removed", "ms", true, (*world).removal},
		{"migrate, nothing to do, all tenants", "s", false, (*world).migrateNothing},
		{"migrate, one file, each tenant", "ms", true, (*world).migrateOne},
		{"catalogue of PostgreSQL", "MB", false, (*world).catalogue},
		{"relations", "", false, (*world).relations},
		{"database on disk, each tenant", "MB", false, (*world).size},
		{"memory of a new connection", "MB", false, func(w *world) float64 { return w.memory(nil) }},
		{fmt.Sprintf("memory of one that has read in %d tenants", w.samples), "MB", false, (*world).memoryRead},
		{fmt.Sprintf("memory of one that has made %d tenants", w.samples), "MB", false, (*world).memoryMade},
	}
}

// median is the one in the middle of what do took, in milliseconds. prepare is not counted.
func (w *world) median(prepare func() int64, do func(id int64)) float64 {
	w.Helper()
	took := make([]time.Duration, 0, w.samples)
	for range w.samples {
		id := prepare()
		began := time.Now()
		do(id)
		took = append(took, time.Since(began))
	}
	slices.Sort(took)
	return float64(took[len(took)/2].Microseconds()) / 1000
}

// any is one of the tenants.
func (w *world) any() int { return rand.IntN(w.tenants) }

func (w *world) creation() float64 {
	return w.median(func() int64 {
		id, err := w.register(org(w.tenants), org(w.tenants))
		if err != nil {
			w.Fatal(err)
		}
		w.tenants++
		return id
	}, func(id int64) { w.mustEvent(provision.TenantsPath, id) })
}

func (w *world) list() float64 {
	return w.median(func() int64 { return int64(w.any()) }, func(tenant int64) {
		c := w.api
		c.Org = org(int(tenant))
		c.Want(w, 200, "GET", "/sources", "")
	})
}

func (w *world) provision() float64 {
	return w.median(func() int64 { return w.add(w.any()) }, func(id int64) { w.mustEvent(provision.ProvidersPath, id) })
}

func (w *world) removal() float64 {
	return w.median(func() int64 {
		tenant := w.any()
		id := w.add(tenant)
		w.mustEvent(provision.ProvidersPath, id)
		c := w.api
		c.Org = org(tenant)
		c.Want(w, 204, "DELETE", fmt.Sprintf("/sources/%d", id), "")
		return id
	}, func(id int64) { w.mustEvent(provision.ProvidersPath, id) })
}

func (w *world) migrate() time.Duration {
	w.Helper()
	began := time.Now()
	if err := migrations.AllTenants(w.Context(), w.address, migrations.Options{}); err != nil {
		w.Fatal(err)
	}
	return time.Since(began)
}

func (w *world) migrateNothing() float64 { return w.migrate().Seconds() }

// migrateOne has the newest file run again in every tenant: it changes nothing where it has been run.
func (w *world) migrateOne() float64 {
	for n := range w.tenants {
		table := pgx.Identifier{"org" + org(n), "cost_sources_version"}.Sanitize()
		if _, err := w.sql.Exec(w.Context(), `DELETE FROM `+table+` WHERE version_id = (SELECT max(version_id) FROM `+table+`)`, pgx.QueryExecModeExec); err != nil {
			w.Fatal(err)
		}
	}
	return w.migrate().Seconds() * 1000 / float64(w.tenants)
}

func (w *world) catalogue() float64 {
	return value[float64](w, `SELECT sum(pg_total_relation_size(oid))::float8 / 1e6 FROM pg_class WHERE relnamespace = 'pg_catalog'::regnamespace AND relkind = 'r'`)
}

func (w *world) relations() float64 {
	return value[float64](w, `SELECT count(*)::float8 FROM pg_class`)
}

func (w *world) size() float64 {
	return value[float64](w, `SELECT pg_database_size(current_database())::float8 / 1e6`) / float64(w.tenants)
}

// memory is that of a connection after use.
func (w *world) memory(use func(conn *pgx.Conn) error) (megabytes float64) {
	w.Helper()
	conn, err := pgx.Connect(w.Context(), w.address)
	if err != nil {
		w.Fatal(err)
	}
	defer conn.Close(context.WithoutCancel(w.Context()))
	if use != nil {
		if err := use(conn); err != nil {
			w.Fatal(err)
		}
	}
	err = conn.QueryRow(w.Context(), `SELECT sum(total_bytes)::float8 / 1e6 FROM pg_backend_memory_contexts`).Scan(&megabytes)
	if err != nil {
		w.Fatal(err)
	}
	return megabytes
}

func (w *world) memoryRead() float64 {
	return w.memory(func(conn *pgx.Conn) error {
		for range w.samples {
			sql := `SELECT FROM ` + pgx.Identifier{"org" + org(w.any()), "reporting_tenant_api_provider"}.Sanitize() + ` WHERE uuid = gen_random_uuid()`
			if _, err := conn.Exec(w.Context(), sql, pgx.QueryExecModeExec); err != nil {
				return err
			}
		}
		return nil
	})
}

// memoryMade makes schemas that are no tenants', and drops them by another connection.
func (w *world) memoryMade() float64 {
	defer func() {
		for n := range w.samples {
			if _, err := w.sql.Exec(w.Context(), fmt.Sprintf(`DROP SCHEMA made_%d CASCADE`, n)); err != nil {
				w.Fatal(err)
			}
		}
	}()
	return w.memory(func(conn *pgx.Conn) error {
		for n := range w.samples {
			err := pgx.BeginFunc(w.Context(), conn, func(tx pgx.Tx) error { return migrations.NewTenant(w.Context(), tx, fmt.Sprintf("made_%d", n)) })
			if err != nil {
				return err
			}
		}
		return nil
	})
}
