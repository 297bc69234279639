-- +goose Up

-- What a function may see is bound to one organization by the transaction's setting cost_sources.org_id, which
-- the two APIs make with every request. Nothing is seen where it is missing. Whoever owns the tables is not
-- bound, and the functions that work for all organizations have a policy of their own (policies.sql), so that a
-- function that is one release older goes on as the owner.
ALTER TABLE sources.source          ENABLE ROW LEVEL SECURITY;
ALTER TABLE sources.application     ENABLE ROW LEVEL SECURITY;
ALTER TABLE sources.outbox          ENABLE ROW LEVEL SECURITY;
ALTER TABLE sources.idempotency_key ENABLE ROW LEVEL SECURITY;

CREATE POLICY organization ON sources.source
    USING (org_id = current_setting('cost_sources.org_id', true));
CREATE POLICY organization ON sources.application
    USING (org_id = current_setting('cost_sources.org_id', true));
CREATE POLICY organization ON sources.idempotency_key
    USING (org_id = current_setting('cost_sources.org_id', true));
-- An event belongs to its source; what the policy of sources.source hides, this one does not find.
CREATE POLICY organization ON sources.outbox
    USING (EXISTS (SELECT FROM sources.source s WHERE s.id = source_id));

-- The one thing that an API shows of what stands in a tenant's schema: the cost models of providers, and those of
-- the setting's organization only. With the rights of whoever owns it, so that the API's role needs none in any
-- tenant's schema. A tenant or tables that are not there have no cost models.
-- +goose StatementBegin
CREATE FUNCTION sources.cost_models(org text, providers uuid[])
RETURNS TABLE (provider_uuid uuid, name text, uuid uuid)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    tenant text;
BEGIN
    SELECT c.schema_name INTO tenant
    FROM public.api_customer c JOIN public.api_tenant t ON t.schema_name = c.schema_name
    WHERE c.org_id = org AND org = current_setting('cost_sources.org_id', true);
    IF tenant IS NULL THEN
        RETURN;
    END IF;
    RETURN QUERY EXECUTE format(
        'SELECT m.provider_uuid, c.name, c.uuid
         FROM %1$I.cost_model_map m JOIN %1$I.cost_model c ON c.uuid = m.cost_model_id
         WHERE m.provider_uuid = ANY ($1) ORDER BY c.name, c.uuid', tenant) USING providers;
EXCEPTION WHEN undefined_table OR invalid_schema_name THEN
    RETURN;
END
$$;
-- +goose StatementEnd
REVOKE ALL ON FUNCTION sources.cost_models(text, uuid[]) FROM PUBLIC;
