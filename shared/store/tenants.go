package store

import (
	"context"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/insights-onprem/cost-sources/shared/sources"
)

// A SchemaFunc makes the schema of a new tenant, with all that is in it, in the transaction given.
type SchemaFunc func(ctx context.Context, tx pgx.Tx, schema string) error

// A tenant is what Koku knows an organization as.
type tenant struct {
	CustomerID int64
	Schema     string
}

// selectTenant reads the tenant of the organization $1, if it is complete.
const selectTenant = `
	SELECT c.id, c.schema_name
	FROM public.api_customer c
	JOIN public.api_tenant t ON t.schema_name = c.schema_name
	WHERE c.org_id = $1
		AND EXISTS (SELECT FROM pg_class r JOIN pg_namespace n ON n.oid = r.relnamespace
		            WHERE n.nspname = c.schema_name AND r.relname = 'reporting_tenant_api_provider')`

func noTenant(orgID string) error { return sources.NotFoundf("organization %s has no tenant", orgID) }

// tenant reads the tenant of an organization; one that is not complete is NotFound.
func (s *Store) tenant(ctx context.Context, orgID string) (tenant, error) {
	return one(ctx, s, pgx.RowToStructByPos[tenant], noTenant(orgID), selectTenant, orgID)
}

// HasTenant reports whether the tenant of an organization is there, whole.
func (s *Store) HasTenant(ctx context.Context, orgID string) (bool, error) {
	_, err := s.tenant(ctx, orgID)
	if sources.KindOf(err) == sources.NotFound {
		return false, nil
	}
	return err == nil, err
}

// EnsureTenant makes the customer, the tenant and the schema of src's organization where they are not
// there: whole or not at all, and once, however many ask for it. It needs a transaction of its own, and is not for
// InTx. Its errors are Unavailable, and Blocked where what is there belongs to somebody else.
func (s *Store) EnsureTenant(ctx context.Context, src sources.Source, make SchemaFunc) error {
	if there, err := s.HasTenant(ctx, src.OrgID); err != nil || there {
		return err
	}
	err := s.onMaker(ctx, func(conn *pgx.Conn) error {
		return pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
			return (&Store{db: tx}).makeTenant(ctx, src, func(schema string) error { return make(ctx, tx, schema) })
		})
	})
	return domainError(err, nil)
}

// tenantsEach is how many tenants one connection makes before it is closed. Its server process keeps what it has learnt
// of every table for as long as it lives: 100 kB for each tenant of ours that it makes, and more for one of Koku's. But a
// new one has to learn the catalogue first, which takes as long as the tenant where there are thousands.
const tenantsEach = 50

// onMaker gives do a connection of the pool, which is closed when it has made enough tenants.
func (s *Store) onMaker(ctx context.Context, do func(conn *pgx.Conn) error) error {
	pooled, err := s.pool.Acquire(ctx)
	if err != nil {
		return err
	}
	defer pooled.Release()
	conn := pooled.Conn()
	const key = "tenants"
	made, _ := conn.PgConn().CustomData()[key].(int)
	conn.PgConn().CustomData()[key] = made + 1
	if made+1 == tenantsEach {
		defer conn.Close(context.WithoutCancel(ctx)) // which the pool takes for the end of it
	}
	return do(conn)
}

func (s *Store) makeTenant(ctx context.Context, src sources.Source, make func(schema string) error) error {
	if err := s.exec(ctx, boundWaiting); err != nil {
		return err
	}
	schema, err := s.schemaFor(ctx, src.OrgID)
	if err != nil {
		return err
	}
	if err := s.lock(ctx, "schema "+schema); err != nil {
		return err
	}
	if there, err := s.HasTenant(ctx, src.OrgID); err != nil || there {
		return err // somebody else was faster
	}
	exists, err := value[bool](ctx, s, `SELECT EXISTS (SELECT FROM pg_namespace WHERE nspname = $1)`, schema)
	if err != nil {
		return err
	}
	if !exists {
		if len(schema) == 0 || len(schema) > maxSchema || strings.HasPrefix(schema, "pg_") {
			return &sources.Error{Kind: sources.Blocked,
				Msg: fmt.Sprintf("The customer of this organization has the schema name %q, which no schema can have.", schema)}
		}
		if err := make(schema); err != nil {
			return err
		}
	}
	// Only now: a template's foreign keys lock the customers, which must not be held by us and another
	// maker both.
	return s.enrol(ctx, src, schema)
}

// maxSchema is how many bytes the name of a schema may have. PostgreSQL makes a shorter one of a longer.
const maxSchema = 63

// boundWaiting keeps a transaction from waiting for a lock longer than an event may take.
const boundWaiting = `SET LOCAL lock_timeout = '10s'`

// schemaFor is the customer's schema name or, for a new customer, the one that Koku would choose.
func (s *Store) schemaFor(ctx context.Context, orgID string) (string, error) {
	return value[string](ctx, s, `
		SELECT coalesce((SELECT schema_name FROM public.api_customer WHERE org_id = $1), 'org' || $1)`, orgID)
}

// enrol writes the customer and the tenant of a schema that is there.
func (s *Store) enrol(ctx context.Context, src sources.Source, schema string) error {
	// An account number that is another customer's, or longer than a customer's can be, is no reason to have no customer.
	for _, account := range []string{src.AccountNumber, ""} {
		err := s.exec(ctx, `
			INSERT INTO public.api_customer (date_created, date_updated, uuid, account_id, schema_name, org_id)
			VALUES (now(), now(), gen_random_uuid(), CASE WHEN length($2) BETWEEN 1 AND 150 THEN $2 END, $3, $1)
			ON CONFLICT DO NOTHING`, src.OrgID, account, schema)
		if err != nil {
			return err
		}
	}
	err := s.exec(ctx, `INSERT INTO public.api_tenant (schema_name) VALUES ($1) ON CONFLICT DO NOTHING`, schema)
	if err != nil {
		return err
	}
	made, err := s.tenant(ctx, src.OrgID)
	if sources.KindOf(err) == sources.NotFound || err == nil && made.Schema != schema {
		return &sources.Error{Kind: sources.Blocked,
			Msg: fmt.Sprintf("The schema %s is there already, but it is not that of a tenant of this organization.", schema)}
	}
	return err
}
