package koku

import (
	"fmt"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
)

// Tenant makes the tenant of an organization as Koku does: a copy of the template, a customer and a row in the
// register. It returns the name of the schema.
func Tenant(t testing.TB, address, org string) (schema string) {
	t.Helper()
	schema = "org" + org
	TenantIn(t, address, org, schema)
	return schema
}

// TenantIn is Tenant for an organization whose schema has another name, as those of older installations have.
func TenantIn(t testing.TB, address, org, schema string) {
	t.Helper()
	Execute(t, address, fmt.Sprintf(`
		SELECT public.clone_schema('%[1]s', '%[3]s', copy_data => true);
		INSERT INTO public.api_customer (date_created, date_updated, uuid, account_id, schema_name, org_id)
		VALUES (now(), now(), gen_random_uuid(), 'account-%[2]s', '%[3]s', '%[2]s');
		INSERT INTO public.api_tenant (schema_name) VALUES ('%[3]s')`, Template, org, schema))
}

// A Source is one that Koku's API has made, with its provider, which has the same UUID.
type Source struct {
	ID      int
	Org     string // has a tenant
	Name    string
	Cluster string
	UUID    string

	NoProvider bool // Koku has not come to make one
}

// Add makes sources as Koku does, each with its provider; equal credentials and billing sources are shared.
func Add(t testing.TB, address string, all ...Source) {
	t.Helper()
	var statements []string
	for _, s := range all {
		if !s.NoProvider {
			statements = append(statements, s.fill(makeProvider))
		}
		statements = append(statements, s.fill(makeSource))
	}
	Execute(t, address, statements...)
}

func (s Source) fill(sql string) string {
	provider := "'" + s.UUID + "'"
	if s.NoProvider {
		provider = "NULL"
	}
	return strings.NewReplacer("$id", fmt.Sprint(s.ID), "$org", s.Org, "$name", s.Name, "$cluster", s.Cluster,
		"$uuid", s.UUID, "$provider", provider, "T.", pgx.Identifier{"org" + s.Org}.Sanitize()+".").Replace(sql)
}

const makeProvider = `
	INSERT INTO public.api_providerauthentication (uuid, credentials)
	SELECT gen_random_uuid(), '{"cluster_id": "$cluster"}'
	WHERE NOT EXISTS (SELECT FROM public.api_providerauthentication WHERE credentials = '{"cluster_id": "$cluster"}');
	INSERT INTO public.api_providerbillingsource (uuid, data_source)
	SELECT gen_random_uuid(), '{}' WHERE NOT EXISTS (SELECT FROM public.api_providerbillingsource WHERE data_source = '{}');
	INSERT INTO public.api_provider (uuid, name, type, setup_complete, created_timestamp, active, authentication_id,
		billing_source_id, customer_id, paused, additional_context)
	SELECT '$uuid', '$name', 'OCP', true, '2026-01-02 03:04:05+00', true, a.id, b.id, c.id, false, '{}'
	FROM public.api_providerauthentication a, public.api_providerbillingsource b, public.api_customer c
	WHERE a.credentials = '{"cluster_id": "$cluster"}' AND b.data_source = '{}' AND c.org_id = '$org';
	INSERT INTO T.reporting_tenant_api_provider (uuid, name, type, provider_id) VALUES ('$uuid', '$name', 'OCP', '$uuid')`

const makeSource = `
	INSERT INTO public.api_sources (source_id, source_uuid, name, auth_header, "offset", account_id, source_type,
		authentication, billing_source, koku_uuid, pending_delete, pending_update, out_of_order_delete, status, paused,
		provider_id, additional_context, org_id, updated_timestamp)
	VALUES ($id, '$uuid', '$name', 'aGVhZGVy', $id, 'account-$org', 'OCP',
		'{"credentials": {"cluster_id": "$cluster"}}', '{}', $provider, false, false, false, '{}', false,
		$provider, '{}', '$org', '2026-02-03 04:05:06+00')`

// Process does what report processing does for the provider of s: rows in every table that can refer to it, in
// the default partitions and in those of months, in public and in the tenant. Rows that name the provider and
// outlive it are among them: see Kept.
func Process(t testing.TB, address string, s Source) {
	t.Helper()
	Execute(t, address, "SET LOCAL search_path = "+pgx.Identifier{"org" + s.Org}.Sanitize()+", public", s.fill(`
	INSERT INTO public.delayed_celery_tasks (task_name, task_args, task_kwargs, timeout, queue_name, provider_uuid)
		VALUES ('summary', '[]', '{}', now(), 'summary', '$uuid');
	INSERT INTO public.reporting_common_costusagereportmanifest
		(assembly_id, billing_period_start_datetime, num_total_files, provider_id) VALUES ('a', '2026-11-01', 1, '$uuid');
	INSERT INTO public.reporting_common_costusagereportstatus (report_name, manifest_id, status)
		SELECT 'of $uuid', id, 1 FROM public.reporting_common_costusagereportmanifest WHERE provider_id = '$uuid';
	INSERT INTO reporting_ocp_clusters (uuid, cluster_id, cluster_alias, provider_id) VALUES ('$uuid', '$cluster', '$name', '$uuid');
	INSERT INTO reporting_ocp_nodes (uuid, node, cluster_id) VALUES (gen_random_uuid(), '$uuid', '$uuid');
	INSERT INTO reporting_ocp_projects (uuid, project, cluster_id) VALUES (gen_random_uuid(), '$uuid', '$uuid');
	INSERT INTO reporting_ocp_pvcs (uuid, persistent_volume_claim, persistent_volume, cluster_id) VALUES ('$uuid', 'c', '$uuid', '$uuid');
	INSERT INTO reporting_ocp_pvc_mounts (uuid, pod, pvc_id) VALUES (gen_random_uuid(), '$uuid', '$uuid');
	INSERT INTO reporting_ocpusagereportperiod (cluster_id, report_period_start, report_period_end, provider_id)
		VALUES ('$cluster', '2026-11-01', '2026-12-01', '$uuid');
	INSERT INTO reporting_ocpusagepodlabel_summary (uuid, key, report_period_id)
		SELECT '$uuid', '$uuid', id FROM reporting_ocpusagereportperiod WHERE provider_id = '$uuid';
	INSERT INTO reporting_ocpusagepodlabel_values (uuid, value, label_id) VALUES (gen_random_uuid(), '$uuid', '$uuid');
	INSERT INTO reporting_ocpusagelineitem_daily_summary (uuid, usage_start, usage_end, data_source, source_uuid, report_period_id)
		SELECT gen_random_uuid(), day, day, '$uuid', '$uuid', id
		FROM reporting_ocpusagereportperiod, unnest(ARRAY['2020-01-01', '2026-10-05', '2026-11-05']::date[]) day
		WHERE provider_id = '$uuid';
	INSERT INTO cost_model VALUES ('$uuid', 'm', '', 'OCP', now(), now(), '{}', '{}', '', 'USD', '{}');
	INSERT INTO cost_model_map (provider_uuid, cost_model_id) VALUES ('$uuid', '$uuid');
	UPDATE cost_model SET description = 'of $uuid' WHERE uuid = '$uuid';
	INSERT INTO cost_model_rate (uuid, metric, cost_model_id) VALUES ('$uuid', 'cpu', '$uuid');
	INSERT INTO rates_to_usage (uuid, usage_start, source_uuid, report_period_id, cost_model_id, rate_id)
		SELECT gen_random_uuid(), day, '$uuid', id, '$uuid', '$uuid'
		FROM reporting_ocpusagereportperiod, unnest(ARRAY['2020-01-01', '2026-11-05']::date[]) day WHERE provider_id = '$uuid';
	INSERT INTO reporting_subs_last_processed_time (source_uuid) VALUES ('$uuid');
	INSERT INTO reporting_ingressreports (source_id, reports_list, schema_name_id, sources_id) VALUES ('$uuid', '{a}', 'org$org', $id);
	INSERT INTO reporting_ocp_cost_summary_p (id, usage_start, usage_end, source_uuid)
		SELECT gen_random_uuid(), day, day, '$uuid' FROM unnest(ARRAY['2020-01-01', '2026-10-05', '2026-11-05']::date[]) day;
	INSERT INTO reporting_ocp_pod_summary_p (id, usage_start, usage_end, source_uuid)
		SELECT gen_random_uuid(), day, day, '$uuid' FROM unnest(ARRAY['2020-01-01', '2026-11-05']::date[]) day;
	INSERT INTO openshift_pod_usage_line_items (id, usage_start, source)
		SELECT gen_random_uuid(), day, '$uuid' FROM unnest(ARRAY['2020-01-01', '2026-11-05']::date[]) day;
	INSERT INTO reporting_gcp_topology (account_id, source_uuid) VALUES ('a', '$uuid')`))
}

// ProcessRacks adds rows of the two tables that refer to each other.
func ProcessRacks(t testing.TB, address string, s Source) {
	t.Helper()
	Execute(t, address, s.fill(`
	INSERT INTO T.reporting_ocp_racks (uuid, first_host, source_uuid) VALUES ('$uuid', '$uuid', '$uuid');
	INSERT INTO T.reporting_ocp_hosts (uuid, rack_id, source_uuid) VALUES ('$uuid', '$uuid', '$uuid')`))
}
