package migrations

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"sync"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"
)

// Tenants lists the schemas that are ours to migrate, in the order of their names: those that hold our record of
// versions and are registered in public.api_tenant. Without that table there are none.
func Tenants(ctx context.Context, databaseURL string) ([]string, error) {
	conn, err := pgx.Connect(ctx, databaseURL)
	if err != nil {
		return nil, fmt.Errorf("list tenants: %w", err)
	}
	defer conn.Close(context.WithoutCancel(ctx))
	return tenants(ctx, conn)
}

func tenants(ctx context.Context, conn *pgx.Conn) ([]string, error) {
	var registered bool
	err := conn.QueryRow(ctx, "SELECT to_regclass('public.api_tenant') IS NOT NULL").Scan(&registered)
	if err != nil || !registered {
		return nil, wrap("look for public.api_tenant", err)
	}
	rows, _ := conn.Query(ctx, `
		SELECT n.nspname::text
		FROM pg_class c
		JOIN pg_namespace n ON n.oid = c.relnamespace
		JOIN public.api_tenant t ON t.schema_name::text = n.nspname::text
		WHERE c.relname = $1 AND c.relkind = 'r'
		ORDER BY n.nspname`,
		tenantVersions) // its error comes out of Collect
	schemas, err := pgx.CollectRows(rows, pgx.RowTo[string])
	return schemas, wrap("list tenants", err)
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
	Done, Total int
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
	schemas, err := Tenants(ctx, databaseURL)
	if err != nil {
		return err
	}
	r := run{total: len(schemas), progress: opts.Progress}
	r.report(Progress{})
	var workers errgroup.Group
	workers.SetLimit(cmp.Or(opts.Workers, 4))
	for _, schema := range schemas {
		if ctx.Err() != nil {
			break
		}
		workers.Go(func() error {
			r.finish(ctx, schema, tenant(ctx, databaseURL, schema, files))
			return nil // or errgroup would keep the first error only
		})
	}
	_ = workers.Wait()
	return r.err(ctx)
}

func tenant(ctx context.Context, databaseURL, schema string, files fs.FS) error {
	db, err := open(databaseURL, schema)
	if err != nil {
		return err
	}
	defer db.Close()
	return up(ctx, db, schema, tenantVersions, files)
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
