package store

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/insights-onprem/cost-sources/shared/sources"
)

// PutProvider makes the provider of src match it, and records that this is done: the provider and its
// authentication, the tenant's copy, the link from api_sources. The row of src has to be locked. NotFound is the error
// where its tenant is not there, Blocked where a provider that is not ours has the cluster.
func (s *Store) PutProvider(ctx context.Context, src sources.Source) error {
	t, err := s.enterTenant(ctx, src)
	if err != nil {
		return err
	}
	means, err := s.prepareProvider(ctx, src, t)
	if err != nil {
		return err
	}
	before, _, err := s.lockProvider(ctx, src)
	if err != nil {
		return err
	}
	if err := s.putProvider(ctx, src, t, means); err != nil {
		return err
	}
	if before != nil && *before != means.authentication {
		return s.dropAuthentication(ctx, *before)
	}
	return nil
}

// enterTenant reads the tenant of src, and keeps the makers and removers of its cluster's credentials apart, and of those
// that its provider has had until now: in an order that is everybody's, as two may want each other's.
func (s *Store) enterTenant(ctx context.Context, src sources.Source) (t tenant, err error) {
	batch := &pgx.Batch{}
	batch.Queue(boundWaiting)
	batch.Queue(selectTenant, src.OrgID).Query(func(rows pgx.Rows) (err error) {
		t, err = pgx.CollectExactlyOneRow(rows, pgx.RowToStructByPos[tenant])
		return err
	})
	batch.Queue(`
		SELECT pg_advisory_xact_lock(l.key)
		FROM (
			SELECT DISTINCT hashtextextended('authentication ' || w.credentials::text, 0) AS key
			FROM (
				SELECT jsonb_build_object('cluster_id', $3::text)
				UNION ALL
				SELECT a.credentials
				FROM public.api_provider p
				JOIN public.api_customer c ON c.id = p.customer_id
				JOIN public.api_providerauthentication a ON a.id = p.authentication_id
				WHERE c.org_id = $1 AND p.uuid = $2
			) w (credentials)
			ORDER BY key
		) l`, src.OrgID, src.UUID, src.ClusterID)
	err = s.db.SendBatch(ctx, batch).Close()
	return t, domainError(err, noTenant(src.OrgID))
}

// means are the rows that a provider refers to.
type means struct{ authentication, billing int64 }

// prepareProvider finds or makes what the provider of src is to refer to, and clears its way.
//
// Report processing compares the whole of the credentials, and Koku's own look-up fails where two are equal; so
// organizations share one row of them, as all OpenShift providers share one billing source, which is never removed.
func (s *Store) prepareProvider(ctx context.Context, src sources.Source, t tenant) (m means, err error) {
	var others []bool // providers of the organization that have the cluster; whether each is ours
	batch := &pgx.Batch{}
	batch.Queue(`
		WITH there AS (
			SELECT id FROM public.api_providerauthentication
			WHERE credentials = jsonb_build_object('cluster_id', $1::text) ORDER BY id LIMIT 1
		), made AS (
			INSERT INTO public.api_providerauthentication (uuid, credentials)
			SELECT gen_random_uuid(), jsonb_build_object('cluster_id', $1::text) WHERE NOT EXISTS (SELECT FROM there)
			RETURNING id
		)
		SELECT id FROM there UNION ALL SELECT id FROM made`, src.ClusterID).
		QueryRow(func(row pgx.Row) error { return row.Scan(&m.authentication) })
	// "+ 0": from the credentials, of which there is one row, and not through all providers of the organization.
	batch.Queue(`
		SELECT EXISTS (SELECT FROM sources.source r WHERE r.org_id = $1 AND r.uuid = p.uuid)
		FROM public.api_providerauthentication a
		JOIN public.api_provider p ON p.authentication_id = a.id
		WHERE p.customer_id + 0 = $2 AND p.uuid <> $3 AND a.credentials = jsonb_build_object('cluster_id', $4::text)`,
		src.OrgID, t.CustomerID, src.UUID, src.ClusterID).
		Query(func(rows pgx.Rows) (err error) {
			others, err = pgx.CollectRows(rows, pgx.RowTo[bool])
			return err
		})
	batch.Queue(findBilling).QueryRow(func(row pgx.Row) error { return row.Scan(&m.billing) })
	if err := s.db.SendBatch(ctx, batch).Close(); err != nil {
		return m, domainError(err, nil)
	}
	if len(others) > 0 {
		if err := s.clearWay(ctx, src, t, others); err != nil {
			return m, err
		}
	}
	if m.billing == 0 {
		m.billing, err = s.makeBilling(ctx)
	}
	return m, err
}

// dropAuthentication removes the row of credentials that no provider uses any more. Whoever calls it has
// the lock of these credentials, by lockProvider.
func (s *Store) dropAuthentication(ctx context.Context, id int64) error {
	return s.exec(ctx, `
		DELETE FROM public.api_providerauthentication a
		WHERE id = $1 AND NOT EXISTS (SELECT FROM public.api_provider p WHERE p.authentication_id = a.id)`, id)
}

const findBilling = `SELECT coalesce((SELECT min(id) FROM public.api_providerbillingsource WHERE data_source = '{}'), 0)`

// makeBilling makes the billing source where it is still not there.
func (s *Store) makeBilling(ctx context.Context) (int64, error) {
	if err := s.lock(ctx, "billing source {}"); err != nil {
		return 0, err
	}
	if id, err := value[int64](ctx, s, findBilling); err != nil || id != 0 {
		return id, err
	}
	return value[int64](ctx, s, `
		INSERT INTO public.api_providerbillingsource (uuid, data_source) VALUES (gen_random_uuid(), '{}') RETURNING id`)
}

// clearWay takes the credentials from the other providers of the organization that have src's cluster, where all of them
// are ours: src is the one living source with it, so they are of sources that are gone or have another cluster by now,
// and that the provisioner has yet to look at.
func (s *Store) clearWay(ctx context.Context, src sources.Source, t tenant, ours []bool) error {
	if slices.Contains(ours, false) {
		return &sources.Error{Kind: sources.Blocked, Msg: fmt.Sprintf(
			"A provider that was not made from a source has the cluster %s already. Remove it, or give this source another cluster.",
			src.ClusterID)}
	}
	return s.exec(ctx, `
		UPDATE public.api_provider p SET authentication_id = NULL
		FROM public.api_providerauthentication a
		WHERE a.id = p.authentication_id AND p.customer_id + 0 = $1 AND p.uuid <> $2
			AND a.credentials = jsonb_build_object('cluster_id', $3::text)`,
		t.CustomerID, src.UUID, src.ClusterID)
}

// lockProvider locks the provider of src and reads which row of credentials it has, if any; exists is false
// where there is none. Before the provider it locks the credentials, as does clearWay: of two that want
// both, one waits, and none for ever.
func (s *Store) lockProvider(ctx context.Context, src sources.Source) (authentication *int64, exists bool, err error) {
	const from = `
		FROM public.api_provider p
		JOIN public.api_customer c ON c.id = p.customer_id`
	var rows []*int64
	batch := &pgx.Batch{}
	batch.Queue(`
		SELECT pg_advisory_xact_lock(hashtextextended('authentication ' || a.credentials::text, 0))`+from+`
		JOIN public.api_providerauthentication a ON a.id = p.authentication_id
		WHERE c.org_id = $1 AND p.uuid = $2`, src.OrgID, src.UUID)
	batch.Queue(`
		SELECT p.authentication_id`+from+`
		WHERE c.org_id = $1 AND p.uuid = $2
		FOR NO KEY UPDATE OF p`, src.OrgID, src.UUID).
		Query(func(found pgx.Rows) (err error) {
			rows, err = pgx.CollectRows(found, pgx.RowTo[*int64])
			return err
		})
	err = s.db.SendBatch(ctx, batch).Close()
	if err != nil || len(rows) == 0 {
		return nil, false, domainError(err, nil)
	}
	return rows[0], true, nil
}

// putProvider writes the provider and what leads to it, and records that the source is ready. The customer, which all
// sources of an organization share, is touched last.
func (s *Store) putProvider(ctx context.Context, src sources.Source, t tenant, m means) error {
	var put int64
	batch := &pgx.Batch{}
	batch.Queue(`
		INSERT INTO public.api_provider AS p (uuid, name, type, setup_complete, created_timestamp, active,
			authentication_id, billing_source_id, customer_id, paused, additional_context)
		VALUES ($1, $2, $3, false, now(), true, $4, $5, $6, $7, '{}')
		ON CONFLICT (uuid) DO UPDATE SET name = excluded.name, paused = excluded.paused,
			authentication_id = excluded.authentication_id, billing_source_id = excluded.billing_source_id
		WHERE p.customer_id = excluded.customer_id`,
		src.UUID, src.Name, src.Type, m.authentication, m.billing, t.CustomerID, src.Paused).
		Exec(func(tag pgconn.CommandTag) error {
			put = tag.RowsAffected()
			return nil
		})
	batch.Queue(`
		INSERT INTO `+pgx.Identifier{t.Schema, "reporting_tenant_api_provider"}.Sanitize()+` (uuid, name, type, provider_id)
		VALUES ($1, $2, $3, $1)
		ON CONFLICT (uuid) DO UPDATE SET name = excluded.name, provider_id = excluded.provider_id`,
		src.UUID, src.Name, src.Type)
	batch.Queue(`
		UPDATE public.api_sources SET provider_id = $3, koku_uuid = $4
		WHERE org_id = $1 AND source_id = $2 AND source_uuid = $3`, src.OrgID, src.ID, src.UUID, src.UUID)
	batch.Queue(`
		UPDATE sources.source s SET `+remember+`, observed_generation = generation, state = 'ready', reason = '',
			attempts = attempts + 1, state_at = now(), provider_removed_at = NULL
		WHERE org_id = $1 AND id = $2`, src.OrgID, src.ID)
	batch.Queue(`UPDATE public.api_customer SET date_updated = now() WHERE org_id = $1`, src.OrgID)
	err := s.db.SendBatch(ctx, batch).Close()
	if err == nil && put == 0 {
		return &sources.Error{Kind: sources.Blocked, Msg: "A provider of another customer has this source's UUID."}
	}
	return domainError(err, nil)
}

// Observe records that nothing is to be done for src as it is. A source that has changed since it was read stays
// behind.
func (s *Store) Observe(ctx context.Context, src sources.Source) error {
	return s.exec(ctx, `
		UPDATE sources.source SET observed_generation = generation
		WHERE org_id = $1 AND id = $2 AND generation = $3`, src.OrgID, src.ID, src.Generation)
}

// The relay asks for undone work after firstRepair, and then again when as much time has passed as the
// work has been waiting for, but for no longer than an hour: 1, 2, 4, … minutes.
const (
	firstRepair = time.Minute
	backOff     = `now() + least(greatest(now() - updated_at, interval '1 minute'), interval '1 hour')`
)

// FailProvider records that the provider of src cannot be made as src is, and why. A source that has
// changed since it was read keeps its state, and so does one whose provider somebody else has made meanwhile: nobody
// would look at it again.
func (s *Store) FailProvider(ctx context.Context, src sources.Source, reason string) error {
	return s.exec(ctx, `
		UPDATE sources.source s SET `+remember+`, state = 'failed', reason = $4, attempts = attempts + 1,
			state_at = now(), next_attempt_at = `+backOff+`
		WHERE org_id = $1 AND id = $2 AND generation = $3 AND observed_generation < generation`,
		src.OrgID, src.ID, src.Generation, reason)
}
