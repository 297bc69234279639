// Package retire shows the tenants of organizations that have had no source for long, and retires them: their
// schema goes into a dump of PostgreSQL's own, and then away. Nothing is dropped without a dump that has been
// checked, and an organization that registers a source again wins.
package retire

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/insights-onprem/cost-sources/shared/store"
)

// listWithin bounds the look for tenants, which reads the size of each.
const listWithin = 10 * time.Minute

// Run carries out the command that args give. What it found and did it writes to stdout, help to stderr. The error
// says in one line why the exit status has to be 1; it is flag.ErrHelp where only help was asked for. When ctx ends
// the tenant in work is rolled back or finished, and no other begun.
func Run(ctx context.Context, load func() (store.Config, error), args []string, stdout, stderr io.Writer) error {
	opts, err := parse(args, stderr)
	if err != nil {
		return err
	}
	cfg, err := load()
	if err != nil {
		return err
	}
	var to dumper
	if opts.apply {
		if to, err = newDumper(cfg, opts); err != nil {
			return err
		}
	}
	db, closeDB, err := store.Open(cfg)
	if err != nil {
		return err
	}
	defer closeDB()
	r := run{opts: opts, db: db, dumper: to, out: stdout}
	tenants, err := r.list(ctx)
	switch {
	case err != nil:
		return err
	case opts.apply:
		return r.retire(ctx, tenants)
	default:
		return r.print(tenants)
	}
}

// A run is the command under way.
type run struct {
	opts   options
	db     *store.Store
	dumper dumper
	out    io.Writer

	kept int // of those that were meant
}

// list returns the tenants that are meant and can be retired. What is in the way of others that were asked for by
// name is told.
func (r *run) list(ctx context.Context) (spare []store.SpareTenant, err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, listWithin, fmt.Errorf("not done in %v", listWithin))
	defer cancel()
	found, err := r.db.SpareTenants(ctx, r.opts.idle, r.opts.orgs...)
	if err != nil {
		return nil, err
	}
	known := map[string]bool{}
	for _, t := range found {
		known[t.OrgID] = true
		if t.Obstacle == "" {
			spare = append(spare, t)
			continue
		}
		r.keep(t.OrgID, t.Schema, t.Obstacle)
	}
	for _, org := range r.opts.orgs {
		if !known[org] {
			r.keep(org, "-", "it has no tenant")
		}
	}
	return spare, nil
}

// keep tells why a tenant stays.
func (r *run) keep(org, schema, why string) {
	r.kept++
	fmt.Fprintf(r.out, "kept     %s  %s  %s\n", org, schema, why)
}

// end is the error of a run that could not do all that was meant.
func (r *run) end() error {
	if r.kept > 0 {
		return fmt.Errorf("%d kept", r.kept)
	}
	return nil
}

// retire retires tenants one by one. One that has to stay keeps no other from being retired.
func (r *run) retire(ctx context.Context, tenants []store.SpareTenant) error {
	retired := 0
	for _, t := range tenants {
		if ctx.Err() != nil {
			return fmt.Errorf("stopped: %d of %d tenants retired", retired, len(tenants))
		}
		path, err := r.one(ctx, t)
		if err != nil {
			r.keep(t.OrgID, t.Schema, oneLine(err.Error()))
			continue
		}
		retired++
		fmt.Fprintf(r.out, "retired  %s  %s  %s  %s\n", t.OrgID, t.Schema, size(t.Bytes), path)
	}
	fmt.Fprintf(r.out, "%d retired, %d kept\n", retired, r.kept)
	return r.end()
}

// one retires a tenant, and returns where its dump is. No dump stays of a tenant that is still there; where nobody
// knows whether it is, the dump stays.
func (r *run) one(ctx context.Context, t store.SpareTenant) (path string, err error) {
	dropped, err := r.db.RetireTenant(ctx, t, r.opts.idle, func(ctx context.Context, tables []store.Table) (err error) {
		path, err = r.dumper.dump(ctx, t.Schema, tables)
		return err
	})
	switch {
	case err != nil && dropped:
		return path, fmt.Errorf("perhaps dropped, see whether it is there; the dump is %s: %w", path, err)
	case err != nil:
		return path, r.dumper.discard(path, err)
	}
	return path, nil
}
