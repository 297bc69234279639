-- The roles of the functions, each with the rights that its statements need and no others. It is run by every
-- migrate, in one transaction after the tables are at their newest version, and says all of it anew: what a
-- function no longer needs goes with the next run.
--
-- Roles belong to the whole server and rights to a database, so databases of one server share the roles. They are
-- made without a login; how one gets in is the operator's (README, "Roles").

DO $$
DECLARE
    name text;
    missing text[] := '{}';
BEGIN
    FOREACH name IN ARRAY ARRAY['cost_sources_sources', 'cost_sources_applications', 'cost_sources_provisioner',
        'cost_sources_ros_cleanup', 'cost_sources_relay', 'cost_sources_dead_letters', 'cost_sources_interop']
    LOOP
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = name) THEN
            BEGIN
                EXECUTE format('CREATE ROLE %I NOLOGIN', name);
            EXCEPTION WHEN duplicate_object OR unique_violation THEN
                NULL; -- the migrate of another database was faster
            END;
        END IF;
        -- Who migrates may act as any of them. It has to as the provisioner, which owns what is to be migrated. But for
        -- Koku's own role: of that the provisioner is a member, and no two roles can be members of each other. What there
        -- is to be migrated in Koku's database it owns itself.
        IF NOT pg_has_role(current_user, name, 'USAGE') AND NOT (
            name = 'cost_sources_provisioner' AND to_regclass('public.django_migrations') IS NOT NULL
            AND (pg_has_role(name, current_user, 'MEMBER') OR EXISTS (
                SELECT FROM pg_class WHERE oid = to_regclass('public.api_provider') AND pg_get_userbyid(relowner) = current_user)))
        THEN
            BEGIN
                EXECUTE format('GRANT %I TO %I', name, current_user);
            EXCEPTION
                WHEN unique_violation THEN
                    NULL; -- the same
                WHEN insufficient_privilege THEN
                    IF name = 'cost_sources_provisioner' THEN
                        RAISE EXCEPTION 'the role that migrates has to be a member of the provisioner''s: have somebody who may run: GRANT % TO %;',
                            quote_ident(name), quote_ident(current_user);
                    END IF;
            END;
        END IF;
        EXECUTE format('REVOKE ALL ON ALL TABLES IN SCHEMA sources FROM %I', name);
        EXECUTE format('REVOKE ALL ON %s FROM %I',
            'public.api_sources, public.api_provider, public.api_customer, public.api_tenant,
             public.api_providerauthentication, public.api_providerbillingsource, public.api_providerinfrastructuremap,
             public.reporting_common_costusagereportmanifest, public.reporting_common_costusagereportstatus', name);
        EXECUTE format('GRANT USAGE ON SCHEMA sources TO %I', name);
        -- Everybody has these two, unless somebody took them away. PostgreSQL only warns where we may not give them.
        IF NOT has_schema_privilege(name, 'public', 'USAGE') THEN
            EXECUTE format('GRANT USAGE ON SCHEMA public TO %I', name);
        END IF;
        IF NOT has_database_privilege(name, current_database(), 'CONNECT') THEN
            EXECUTE format('GRANT CONNECT ON DATABASE %I TO %I', current_database(), name);
        END IF;
        IF NOT (has_schema_privilege(name, 'public', 'USAGE') AND has_database_privilege(name, current_database(), 'CONNECT')) THEN
            missing := missing || quote_ident(name);
        END IF;
    END LOOP;
    IF missing <> '{}' THEN
        RAISE EXCEPTION 'the functions log in and use the schema public, and we may not let them: have the database''s owner run: GRANT CONNECT ON DATABASE % TO %; GRANT USAGE ON SCHEMA public TO %;',
            quote_ident(current_database()), array_to_string(missing, ', '), array_to_string(missing, ', ');
    END IF;
END
$$;

-- The two APIs: the registry, the outbox and the projection, as far as the policies let them.
GRANT SELECT, INSERT, UPDATE ON sources.source, sources.application
    TO cost_sources_sources, cost_sources_applications;
GRANT SELECT, INSERT, UPDATE, DELETE ON sources.outbox, sources.outbox_lease, sources.idempotency_key
    TO cost_sources_sources, cost_sources_applications;
GRANT INSERT, UPDATE, DELETE ON public.api_sources TO cost_sources_sources, cost_sources_applications;
GRANT SELECT (source_id, source_uuid, org_id, koku_uuid, name, authentication, paused, updated_timestamp)
    ON public.api_sources TO cost_sources_sources, cost_sources_applications;

-- What the sources API shows of a provider and its data (contract section 2.1), credentials not among it.
GRANT SELECT (uuid, customer_id, active, polling_timestamp, additional_context, infrastructure_id, data_updated_timestamp)
    ON public.api_provider TO cost_sources_sources;
GRANT SELECT (id, org_id) ON public.api_customer TO cost_sources_sources;
GRANT SELECT ON public.api_providerinfrastructuremap, public.reporting_common_costusagereportmanifest,
    public.reporting_common_costusagereportstatus TO cost_sources_sources;
GRANT EXECUTE ON FUNCTION sources.cost_models(text, uuid[]) TO cost_sources_sources;

-- The provisioner: providers and what belongs to them, and tenants, whose schemas it owns.
GRANT SELECT, UPDATE ON sources.source TO cost_sources_provisioner;
GRANT SELECT ON sources.application TO cost_sources_provisioner;
GRANT SELECT, INSERT, UPDATE, DELETE, REFERENCES ON public.api_provider TO cost_sources_provisioner;
GRANT SELECT, INSERT, UPDATE ON public.api_customer TO cost_sources_provisioner;
GRANT SELECT, INSERT ON public.api_tenant, public.api_providerbillingsource TO cost_sources_provisioner;
GRANT SELECT, INSERT, DELETE ON public.api_providerauthentication TO cost_sources_provisioner;
GRANT SELECT (source_id, source_uuid, org_id), UPDATE (provider_id, koku_uuid) ON public.api_sources TO cost_sources_provisioner;
GRANT SELECT, UPDATE, DELETE ON public.api_providerinfrastructuremap, public.reporting_common_costusagereportmanifest,
    public.reporting_common_costusagereportstatus TO cost_sources_provisioner;

-- ros-cleanup: which source is gone, and that its ROS data is. Of the projection only whose ids are known there.
GRANT SELECT, UPDATE (ros_cleaned_at) ON sources.source TO cost_sources_ros_cleanup;
GRANT SELECT ON sources.application TO cost_sources_ros_cleanup;
GRANT SELECT (source_id) ON public.api_sources TO cost_sources_ros_cleanup;

-- The relay: it sends, asks again and forgets.
GRANT SELECT, UPDATE, DELETE ON sources.source TO cost_sources_relay;
GRANT SELECT ON sources.application, sources.health TO cost_sources_relay;
GRANT SELECT, INSERT, UPDATE, DELETE ON sources.outbox, sources.outbox_lease TO cost_sources_relay;
GRANT SELECT, DELETE ON sources.idempotency_key, sources.redrive TO cost_sources_relay;
GRANT SELECT, INSERT, UPDATE ON sources.relay_run TO cost_sources_relay;

-- dead-letters: what has become of a letter's source, and how often it was sent again.
GRANT SELECT ON sources.source, sources.application TO cost_sources_dead_letters;
GRANT SELECT, INSERT ON sources.redrive TO cost_sources_dead_letters;

-- interop: what it has written of the events, and has still to write; and the changes that other producers tell of.
GRANT SELECT, INSERT, UPDATE ON sources.source, sources.application TO cost_sources_interop;
GRANT SELECT, INSERT, UPDATE, DELETE ON sources.outbox, sources.outbox_lease TO cost_sources_interop;
GRANT SELECT ON SEQUENCE sources.source_id_seq, sources.application_id_seq TO cost_sources_interop;
GRANT INSERT, UPDATE, DELETE ON public.api_sources TO cost_sources_interop;
GRANT SELECT (source_id, source_uuid, org_id, koku_uuid, name, authentication, paused, updated_timestamp)
    ON public.api_sources TO cost_sources_interop;
GRANT SELECT, INSERT, UPDATE ON sources.plain_source TO cost_sources_interop;
GRANT SELECT, INSERT, DELETE ON sources.plain_event TO cost_sources_interop;
