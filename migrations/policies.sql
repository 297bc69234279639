-- The policies of the functions that work for all organizations, after roles.sql, in the same transaction and last of all in
-- it: each locks its table until the end, and to give rights in thousands of tenants takes its time.
DO $$
DECLARE
    restricted text;
BEGIN
    FOREACH restricted IN ARRAY ARRAY['source', 'application', 'outbox', 'outbox_lease', 'idempotency_key']
    LOOP
        IF NOT EXISTS (SELECT FROM pg_policies
                       WHERE schemaname = 'sources' AND tablename = restricted AND policyname = 'every_organization') THEN
            EXECUTE format('CREATE POLICY every_organization ON sources.%I TO cost_sources_provisioner USING (true)', restricted);
        END IF;
        -- Not each time anew: it locks the table.
        IF NOT EXISTS (SELECT FROM pg_policies
                       WHERE schemaname = 'sources' AND tablename = restricted AND policyname = 'every_organization'
                           AND 'cost_sources_interop' = ANY (roles)) THEN
            EXECUTE format('ALTER POLICY every_organization ON sources.%I TO cost_sources_provisioner, cost_sources_ros_cleanup,
                cost_sources_relay, cost_sources_dead_letters, cost_sources_interop', restricted);
        END IF;
        IF NOT (SELECT relrowsecurity FROM pg_class WHERE oid = format('sources.%I', restricted)::regclass) THEN
            EXECUTE format('ALTER TABLE sources.%I ENABLE ROW LEVEL SECURITY', restricted);
        END IF;
    END LOOP;
END
$$;
