package faults_test

import (
	"context"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/insights-onprem/cost-sources/migrations"
)

// addForeign gives an organization a tenant, and providers that no source of the registry was made for; one of them
// has a cluster that sources want. It returns how they look.
func (w *world) addForeign() string {
	w.Helper()
	w.exec(func(ctx context.Context, tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `SET LOCAL ROLE `+migrations.Role("provisioner")); err != nil {
			return err
		}
		if err := migrations.NewTenant(ctx, tx, "org"+foreignOrg); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, `
			RESET ROLE;
			INSERT INTO public.api_customer (date_created, date_updated, uuid, schema_name, org_id)
				VALUES (now(), now(), gen_random_uuid(), 'org`+foreignOrg+`', '`+foreignOrg+`');
			INSERT INTO public.api_tenant (schema_name) VALUES ('org`+foreignOrg+`');
			INSERT INTO public.api_providerauthentication (uuid, credentials)
				VALUES (gen_random_uuid(), '{"cluster_id": "`+foreignCluster+`"}');
			INSERT INTO public.api_provider (uuid, name, type, setup_complete, created_timestamp, active, authentication_id, customer_id, paused, additional_context)
				SELECT gen_random_uuid(), 'foreign', 'OCP', true, now(), true, a.id, c.id, false, '{}'::jsonb
				FROM public.api_providerauthentication a, public.api_customer c
				UNION ALL SELECT gen_random_uuid(), 'foreign', 'OCP', true, now(), true, NULL, c.id, false, '{}'::jsonb FROM public.api_customer c;
			INSERT INTO org`+foreignOrg+`.reporting_tenant_api_provider (uuid, name, type, provider_id)
				SELECT uuid, name, type, uuid FROM public.api_provider`)
		return err
	})
	return w.foreignProviders()
}

func (w *world) foreignProviders() string {
	w.Helper()
	return strings.Join(rows(w, w.sql, `
		SELECT concat_ws(' ', p::text, a::text, t::text) FROM public.api_provider p
		LEFT JOIN public.api_providerauthentication a ON a.id = p.authentication_id
		LEFT JOIN org`+foreignOrg+`.reporting_tenant_api_provider t ON t.uuid = p.uuid
		WHERE p.name = 'foreign' ORDER BY p.uuid`), "\n")
}
