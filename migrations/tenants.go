package migrations

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"sync"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"
)

// Tenants lists the schemas that are ours to migrate, in the order of their names: those that hold our record of
// versions and are registered in public.api_tenant. Without that table there are none.
func Tenants(ctx context.Context, databaseURL string) ([]string, error) {
	found, err := listTenants(ctx, databaseURL)
	names := make([]string, 0, len(found))
	for _, t := range found {
		names = append(names, t.Schema)
	}
	return names, err
}

// A tenant is a schema of ours.
type tenant struct {
	Schema string
	Owner  string // the role that its tables belong to, new ones too
	At     int64  // the version that it has
}

func listTenants(ctx context.Context, databaseURL string) ([]tenant, error) {
	conn, err := pgx.Connect(ctx, databaseURL)
	if err != nil {
		return nil, fmt.Errorf("list tenants: %w", err)
	}
	defer conn.Close(context.WithoutCancel(ctx))
	return tenants(ctx, conn)
}

func tenants(ctx context.Context, conn *pgx.Conn) ([]tenant, error) {
	var registered bool
	err := conn.QueryRow(ctx, "SELECT to_regclass('public.api_tenant') IS NOT NULL").Scan(&registered)
	if err != nil || !registered {
		return nil, wrap("look for public.api_tenant", err)
	}
	rows, _ := conn.Query(ctx, `
		SELECT n.nspname::text, pg_get_userbyid(n.nspowner)::text, 0::bigint
		FROM pg_class c
		JOIN pg_namespace n ON n.oid = c.relnamespace
		JOIN public.api_tenant t ON t.schema_name::text = n.nspname::text
		WHERE c.relname = $1 AND c.relkind = 'r'
		ORDER BY n.nspname`,
		tenantVersions) // its error comes out of Collect
	found, err := pgx.CollectRows(rows, pgx.RowToStructByPos[tenant])
	return found, wrap("list tenants", err)
}

// readAtOnce is how many tenants' records one connection reads: it keeps what it learns of each table for as long as
// it lives, which would be a hundred megabytes for ten thousand.
const readAtOnce = 500

// withVersions finds out which version each tenant has. An error leaves some of them at 0.
func withVersions(ctx context.Context, databaseURL string, all []tenant) (err error) {
	for part := range slices.Chunk(all, readAtOnce) {
		err = errors.Join(err, readVersions(ctx, databaseURL, part))
	}
	return wrap("read the versions of tenants", err)
}

func readVersions(ctx context.Context, databaseURL string, part []tenant) error {
	conn, err := pgx.Connect(ctx, databaseURL)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	selects := make([]string, 0, len(part))
	for i, t := range part {
		selects = append(selects, fmt.Sprintf("SELECT %d, coalesce(max(version_id), 0) FROM %s WHERE is_applied",
			i, pgx.Identifier{t.Schema, tenantVersions}.Sanitize()))
	}
	rows, err := conn.Query(ctx, strings.Join(selects, " UNION ALL "), pgx.QueryExecModeExec)
	if err != nil {
		return err
	}
	var i int
	var version int64
	_, err = pgx.ForEachRow(rows, []any{&i, &version}, func() error {
		part[i].At = version
		return nil
	})
	return err
}

func wrap(tried string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", tried, err)
}

// Options say how AllTenants goes about it. The zero value is good.
type Options struct {
	Workers  int            // how many tenants at once, each with a connection of its own; 4 if 0
	Progress func(Progress) // is told before the first tenant and after each; never twice at the same time; may be nil
}

// Progress is how far AllTenants has come.
type Progress struct {
	Done, Total int    // tenants; those that had nothing to run are done before the first
	Schema      string // of the tenant just finished, empty before the first
	Err         error  // what it failed with, a *TenantError, or nil
}

// A TenantError says which tenant could not be migrated, and why.
type TenantError struct {
	Schema string
	Err    error
}

// Error names the tenant first.
func (e *TenantError) Error() string { return fmt.Sprintf("tenant %s: %v", e.Schema, e.Err) }

// Unwrap returns the cause.
func (e *TenantError) Unwrap() error { return e.Err }

// AllTenants brings every tenant of ours to the newest version. One that cannot be migrated does not stop the others:
// the error joins a *TenantError for each of those, in the order of their names. What was done stays done, so that
// another run does only what is left. Runs at the same time share the tenants between them. When ctx ends, the
// tenants in work are rolled back to their last whole file, and the error has the cause of that as well.
func AllTenants(ctx context.Context, databaseURL string, opts Options) error {
	return allTenants(ctx, databaseURL, opts, tenantFiles())
}

func allTenants(ctx context.Context, databaseURL string, opts Options, files fs.FS) error {
	all, err := listTenants(ctx, databaseURL)
	if err != nil {
		return err
	}
	// Where the versions of some cannot be read, those are at 0: then goose says which of them it is.
	if err := withVersions(ctx, databaseURL, all); err != nil && ctx.Err() != nil {
		return err
	}
	newest, err := newest(files)
	if err != nil {
		return err
	}
	behind := slices.DeleteFunc(slices.Clone(all), func(t tenant) bool { return t.At >= newest })
	r := run{total: len(all), done: len(all) - len(behind), progress: opts.Progress}
	r.report(Progress{})
	var workers errgroup.Group
	workers.SetLimit(cmp.Or(opts.Workers, 4))
	for _, t := range behind {
		if ctx.Err() != nil {
			break
		}
		workers.Go(func() error {
			r.finish(ctx, t.Schema, t.migrate(ctx, databaseURL, files))
			return nil // or errgroup would keep the first error only
		})
	}
	_ = workers.Wait()
	return r.err(ctx)
}

// migrate runs the files that the tenant does not have, as the role that owns it: what they make is its too.
func (t tenant) migrate(ctx context.Context, databaseURL string, files fs.FS) error {
	db, err := open(databaseURL, t.Schema, t.Owner)
	if err != nil {
		return err
	}
	defer db.Close()
	return up(ctx, db, t.Schema, tenantVersions, files)
}

// A run counts what became of the tenants.
type run struct {
	total    int
	progress func(Progress)

	mu     sync.Mutex
	done   int
	failed []*TenantError
}

func (r *run) finish(ctx context.Context, schema string, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err != nil && ctx.Err() != nil {
		return // broken off, which says nothing about the tenant
	}
	r.done++
	p := Progress{Schema: schema}
	if err != nil {
		failure := &TenantError{Schema: schema, Err: err}
		r.failed = append(r.failed, failure)
		p.Err = failure
	}
	r.report(p)
}

func (r *run) report(p Progress) {
	if r.progress != nil {
		p.Done, p.Total = r.done, r.total
		r.progress(p)
	}
}

func (r *run) err(ctx context.Context) error {
	slices.SortFunc(r.failed, func(a, b *TenantError) int { return cmp.Compare(a.Schema, b.Schema) })
	errs := make([]error, 0, len(r.failed)+1)
	for _, failure := range r.failed {
		errs = append(errs, failure)
	}
	if r.done < r.total {
		errs = append(errs, fmt.Errorf("stopped after %d of %d tenants: %w", r.done, r.total, context.Cause(ctx)))
	}
	return errors.Join(errs...)
}
