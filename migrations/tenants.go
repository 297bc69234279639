package migrations

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"sync"
	"time"

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
	Done, Total int    // before the first, Done are those that had nothing to do
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
// another run does only what is left: tenants at the newest version cost it next to nothing. Runs at the same time share
// the tenants between them. When ctx ends no further tenant is begun; those in work are finished, or rolled back to
// their last whole file if that takes longer than finishWithin, and the error has the cause of that as well.
func AllTenants(ctx context.Context, databaseURL string, opts Options) error {
	return allTenants(ctx, databaseURL, opts, tenantFiles())
}

// finishWithin is how long a tenant in work is waited for when a run is to end: less than the 30 seconds that a pod has.
const finishWithin = 20 * time.Second

func allTenants(ctx context.Context, databaseURL string, opts Options, files fs.FS) error {
	behind, total, err := tenantsBehind(ctx, databaseURL, files)
	if err != nil {
		return err
	}
	r := run{done: total - len(behind), total: total, progress: opts.Progress}
	r.report(Progress{})
	working, end := lasting(ctx, finishWithin)
	defer end()
	var workers errgroup.Group
	workers.SetLimit(cmp.Or(opts.Workers, 4))
	for _, schema := range behind {
		if ctx.Err() != nil {
			break
		}
		workers.Go(func() error {
			if ctx.Err() == nil { // it may have waited for a worker to be free
				r.finish(working, schema, tenant(working, databaseURL, schema, files))
			}
			return nil // or errgroup would keep the first error only
		})
	}
	_ = workers.Wait()
	return r.err(ctx)
}

// tenantsBehind lists the tenants that have a migration to run, and counts all.
func tenantsBehind(ctx context.Context, databaseURL string, files fs.FS) (behind []string, total int, err error) {
	conn, err := pgx.Connect(ctx, databaseURL)
	if err != nil {
		return nil, 0, fmt.Errorf("list tenants: %w", err)
	}
	defer conn.Close(context.WithoutCancel(ctx))
	schemas, err := tenants(ctx, conn)
	if err != nil {
		return nil, 0, err
	}
	target, err := newest(files)
	if err != nil {
		return nil, 0, err
	}
	versions, err := tenantVersionsOf(ctx, conn, schemas)
	behind = slices.DeleteFunc(slices.Clone(schemas), func(schema string) bool { return versions[schema] >= target })
	return behind, len(schemas), err
}

// lasting is a context that ends some time after ctx.
func lasting(ctx context.Context, after time.Duration) (context.Context, context.CancelFunc) {
	longer, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() { time.AfterFunc(after, cancel) })
	return longer, func() {
		stop()
		cancel()
	}
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
