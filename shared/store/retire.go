package store

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/insights-onprem/cost-sources/shared/sources"
)

// The bounds of RetireTenant: of all that can be given up, a dump that takes hours among it, and of what is
// finished once it has begun.
const (
	retireWithin = 6 * time.Hour
	dropWithin   = 5 * time.Minute
)

// A SpareTenant is the tenant of an organization that may have no use for it any more.
type SpareTenant struct {
	OrgID, Schema string
	Since         time.Time // the last that the registry and Koku's customer know of the organization
	Ours          bool      // made from our files, and not by Koku
	Obstacle      string    // why it cannot be retired, for a person; empty if it can
	Relations     int64     // tables, views and sequences
	Bytes         int64     // on disk, with indexes
}

// spareTenants reads the tenants of organizations and what is in the way of retiring them: $1 are seconds that they
// have to be without a source. The registry is grouped once, as it has no index that leads to the rows of a gone
// organization; the relations of a schema are found through pg_depend, as pg_class, which may have millions of
// rows, has none by schema.
const spareTenants = `
	WITH registry AS (
		SELECT s.org_id,
			bool_or(s.deleted_at IS NULL) AS living,
			bool_or(s.observed_generation < s.generation OR s.provider_detached_at IS NOT NULL OR s.provider_removed_at IS NULL
				OR s.ros_cleaned_at IS NULL OR s.ros_rechecked_at IS NULL) AS undone,
			bool_or(EXISTS (SELECT FROM sources.outbox o WHERE o.source_id = s.id)) AS telling,
			max(greatest(s.updated_at, s.deleted_at)) AS last
		FROM sources.source s GROUP BY s.org_id
	), tenant AS (
		SELECT c.id, c.org_id, c.schema_name, n.oid AS schema, greatest(c.date_updated, r.last) AS since,
			r.living, r.undone, r.telling
		FROM public.api_customer c
		JOIN public.api_tenant t ON t.schema_name = c.schema_name
		JOIN pg_namespace n ON n.nspname = c.schema_name
		LEFT JOIN registry r ON r.org_id = c.org_id
		WHERE c.org_id IS NOT NULL AND c.schema_name NOT IN ('public', 'sources') AND c.schema_name !~ '^pg_'
	), judged AS MATERIALIZED (
		SELECT t.org_id, t.schema_name, t.schema, t.since, CASE
			WHEN t.living THEN 'it has a source'
			WHEN t.undone THEN 'not everything of a deleted source is removed yet'
			WHEN t.telling THEN 'events of a deleted source are in the outbox'
			WHEN EXISTS (SELECT FROM public.api_sources a WHERE a.org_id = t.org_id) THEN 'public.api_sources has a source of it'
			WHEN EXISTS (SELECT FROM public.api_provider p WHERE p.customer_id = t.id) THEN 'it has a provider'
			WHEN t.since > now() - make_interval(secs => $1) THEN 'it has not been without a source for long enough'
			ELSE '' END AS obstacle
		FROM tenant t
	)
	SELECT j.org_id, j.schema_name, j.since, to_regclass(format('%I.cost_sources_version', j.schema_name)) IS NOT NULL,
		j.obstacle, held.relations, held.bytes
	FROM judged j CROSS JOIN LATERAL (
		SELECT count(*) AS relations,
			coalesce(sum(pg_total_relation_size(k.oid)) FILTER (WHERE k.relkind IN ('r', 'm', 'S')), 0)::bigint AS bytes
		FROM pg_depend d JOIN pg_class k ON k.oid = d.objid
		WHERE j.obstacle = '' AND d.refclassid = 'pg_namespace'::regclass AND d.refobjid = j.schema
			AND d.classid = 'pg_class'::regclass AND k.relkind IN ('r', 'p', 'f', 'v', 'm', 'S')) held`

// SpareTenants lists the tenants that can be retired, oldest first: those of organizations that have had no source
// for longer than idle, also none of somebody else's, and of which all that was deleted is completely removed. With
// orgs it lists the tenants of these instead, and says of each what is in the way.
func (s *Store) SpareTenants(ctx context.Context, idle time.Duration, orgs ...string) (found []SpareTenant, err error) {
	err = pgx.BeginFunc(ctx, s.db, func(tx pgx.Tx) error {
		in := &Store{db: tx}
		if err := in.seeAll(ctx); err != nil {
			return err
		}
		found, err = in.spare(ctx, idle, orgs)
		return err
	})
	return found, attempted("look for tenants to retire", err)
}

func (s *Store) spare(ctx context.Context, idle time.Duration, orgs []string) ([]SpareTenant, error) {
	return all(ctx, s, pgx.RowToStructByPos[SpareTenant], spareTenants+`
		WHERE CASE WHEN cardinality($2::text[]) = 0 THEN j.obstacle = '' ELSE j.org_id = ANY ($2) END
		ORDER BY j.since, j.org_id`, idle.Seconds(), append([]string{}, orgs...))
}

// seeAll makes it an error where a policy would hide rows of the registry: to a role that does not own it every
// organization would look as if it had no source. It also bounds each waiting for a lock.
func (s *Store) seeAll(ctx context.Context) error {
	return s.exec(ctx, `SELECT set_config('row_security', 'off', true), set_config('lock_timeout', '5s', true)`)
}

// RetireTenant drops the schema of t and forgets the tenant, after dump has written the tables given to where they
// stay. Nobody else writes to them from before the dump to the end; reading them is possible until the drop. Whether
// t can be retired is looked at again before and after the dump. The customer stays.
//
// All of it is one transaction: an error means that the tenant is as it was, unless dropped says that the end of the
// transaction is not known. When ctx ends the transaction is rolled back, or finished once the drop has begun.
func (s *Store) RetireTenant(ctx context.Context, t SpareTenant, idle time.Duration,
	dump func(ctx context.Context, tables []Table) error) (dropped bool, err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, retireWithin, fmt.Errorf("not done in %v", retireWithin))
	defer cancel()
	whole, cancelWhole := context.WithTimeout(context.WithoutCancel(ctx), retireWithin+dropWithin)
	defer cancelWhole()
	err = pgx.BeginFunc(whole, s.db, func(tx pgx.Tx) error {
		r := retirement{&Store{db: tx}, t, idle}
		tables, err := r.freeze(ctx)
		if err != nil {
			return err
		}
		if err := dump(ctx, tables); err != nil {
			return err
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		final, cancel := context.WithTimeout(whole, dropWithin)
		defer cancel()
		err = r.drop(final, tables)
		dropped = err == nil
		return err
	})
	return dropped, err
}

// A retirement is one under way, in its transaction.
type retirement struct {
	*Store
	tenant SpareTenant
	idle   time.Duration
}

// freeze has everybody wait who would make the tenant or write to it, and returns its tables.
func (r retirement) freeze(ctx context.Context) ([]Table, error) {
	if err := r.seeAll(ctx); err != nil {
		return nil, err
	}
	// The connection is idle while the dump is made.
	err := r.exec(ctx, `SELECT set_config('idle_in_transaction_session_timeout', '0', true), set_config('statement_timeout', '0', true)`)
	if err != nil {
		return nil, err
	}
	if err := r.lock(ctx, "schema "+r.tenant.Schema); err != nil { // as makeTenant does
		return nil, attempted("wait for whoever makes the schema", err)
	}
	if err := r.check(ctx); err != nil {
		return nil, err
	}
	tables, err := r.tables(ctx)
	if err != nil || len(tables) == 0 {
		return nil, err
	}
	var names []string
	for _, table := range tables {
		names = append(names, "ONLY "+pgx.Identifier{r.tenant.Schema, table.Name}.Sanitize())
	}
	return tables, attempted("lock the tables", r.exec(ctx, "LOCK TABLE "+strings.Join(names, ", ")+" IN SHARE MODE"))
}

// drop drops the schema, if it still is one to be dropped and holds the tables that the dump has.
func (r retirement) drop(ctx context.Context, dumped []Table) error {
	if err := r.check(ctx); err != nil {
		return err
	}
	now, err := r.tables(ctx)
	if err != nil {
		return err
	}
	if !slices.Equal(now, dumped) {
		return &sources.Error{Kind: sources.Blocked, Msg: "tables were made while it was dumped"}
	}
	if err := r.exec(ctx, "DROP SCHEMA "+pgx.Identifier{r.tenant.Schema}.Sanitize()+" CASCADE"); err != nil {
		return attempted("drop the schema", err)
	}
	return r.exec(ctx, `DELETE FROM public.api_tenant WHERE schema_name = $1`, r.tenant.Schema)
}

// check returns an error if the tenant is none to be retired, by now.
func (r retirement) check(ctx context.Context) error {
	found, err := r.spare(ctx, r.idle, []string{r.tenant.OrgID})
	if err != nil {
		return attempted("look at the organization again", err)
	}
	switch {
	case len(found) != 1 || found[0].Schema != r.tenant.Schema:
		return &sources.Error{Kind: sources.Blocked, Msg: "it is no tenant any more"}
	case found[0].Obstacle != "":
		return &sources.Error{Kind: sources.Blocked, Msg: found[0].Obstacle}
	}
	outside, err := r.outside(ctx)
	if err != nil {
		return attempted("look for what depends on the schema", err)
	}
	if len(outside) > 0 {
		return &sources.Error{Kind: sources.Blocked, Msg: "outside of the schema this depends on it, and would be dropped too: " +
			strings.Join(outside, ", ")}
	}
	return nil
}

// A Table is one of a tenant's. A partitioned one has no rows itself.
type Table struct {
	Name        string
	Partitioned bool
}

func (r retirement) tables(ctx context.Context) ([]Table, error) {
	return all(ctx, r.Store, pgx.RowToStructByPos[Table], `
		SELECT k.relname::text, k.relkind = 'p'
		FROM pg_depend d JOIN pg_class k ON k.oid = d.objid
		WHERE d.refclassid = 'pg_namespace'::regclass AND d.refobjid = (SELECT oid FROM pg_namespace WHERE nspname = $1)
			AND d.classid = 'pg_class'::regclass AND k.relkind IN ('r', 'p')
		ORDER BY 1`, r.tenant.Schema)
}

// attempted says what was tried. A lock that somebody else has is no sign of a server that is away.
func attempted(what string, err error) error {
	if err == nil || sources.KindOf(err) == sources.Blocked {
		return err
	}
	if pg, ok := errors.AsType[*pgconn.PgError](err); ok && (pg.Code == lockNotAvailable || pg.Code == deadlock) {
		return &sources.Error{Kind: sources.Blocked, Msg: what + ": somebody else is at work on it; try again later"}
	}
	return fmt.Errorf("%s: %w", what, err)
}
