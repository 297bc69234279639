-- The tables of ROS at version 25 of its migrations, as far as a cleanup can tell them from the real ones:
-- columns, keys, indexes, partitions, and the triggers that make the partitions.

CREATE TABLE schema_migrations (
    version bigint PRIMARY KEY,
    dirty   boolean NOT NULL
);

CREATE TYPE sorted_workloadtype AS ENUM ('daemonset', 'deployment', 'deploymentconfig', 'replicaset',
    'replicationcontroller', 'statefulset', 'namespace');
CREATE TYPE metrictype AS ENUM ('container', 'namespace');

CREATE TABLE rh_accounts (
    id         bigserial PRIMARY KEY,
    account    text,
    org_id     text NOT NULL UNIQUE,
    created_at timestamptz DEFAULT now()
);

CREATE TABLE clusters (
    id               bigserial PRIMARY KEY,
    tenant_id        bigint NOT NULL REFERENCES rh_accounts (id) ON DELETE CASCADE,
    source_id        text   NOT NULL,
    cluster_uuid     text   NOT NULL,
    cluster_alias    text   NOT NULL,
    last_reported_at timestamptz,
    UNIQUE (tenant_id, source_id, cluster_uuid, cluster_alias)
);
CREATE INDEX ON clusters (last_reported_at);

CREATE TABLE workloads (
    id                bigserial PRIMARY KEY,
    org_id            text   NOT NULL,
    cluster_id        bigint NOT NULL REFERENCES clusters (id) ON DELETE CASCADE,
    experiment_name   text   NOT NULL,
    namespace         text   NOT NULL,
    workload_type     sorted_workloadtype,
    workload_name     text,
    containers        text[],
    metrics_upload_at timestamptz,
    UNIQUE (org_id, cluster_id, experiment_name)
);
CREATE INDEX ON workloads (cluster_id);
CREATE INDEX ON workloads USING gin (containers);

CREATE TABLE workload_metrics (
    id             bigserial NOT NULL,
    org_id         text   NOT NULL,
    workload_id    bigint NOT NULL REFERENCES workloads (id) ON DELETE CASCADE,
    container_name text   NOT NULL,
    interval_start timestamptz NOT NULL,
    interval_end   timestamptz NOT NULL,
    usage_metrics  jsonb  NOT NULL,
    namespace_name text,
    metric_type    metrictype DEFAULT 'container',
    UNIQUE (org_id, workload_id, container_name, interval_start, interval_end)
) PARTITION BY LIST (org_id);
CREATE INDEX ON workload_metrics (workload_id, interval_end);

CREATE TABLE recommendation_sets (
    id                    uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    workload_id           bigint REFERENCES workloads (id) ON DELETE CASCADE,
    container_name        text NOT NULL,
    monitoring_start_time timestamptz NOT NULL,
    monitoring_end_time   timestamptz NOT NULL,
    recommendations       jsonb NOT NULL,
    updated_at            timestamptz NOT NULL,
    cpu_variation_short_cost_pct            numeric(10, 4),
    cpu_variation_short_performance_pct     numeric(10, 4),
    cpu_variation_medium_cost_pct           numeric(10, 4),
    cpu_variation_medium_performance_pct    numeric(10, 4),
    cpu_variation_long_cost_pct             numeric(10, 4),
    cpu_variation_long_performance_pct      numeric(10, 4),
    memory_variation_short_cost_pct         numeric(10, 4),
    memory_variation_short_performance_pct  numeric(10, 4),
    memory_variation_medium_cost_pct        numeric(10, 4),
    memory_variation_medium_performance_pct numeric(10, 4),
    memory_variation_long_cost_pct          numeric(10, 4),
    memory_variation_long_performance_pct   numeric(10, 4),
    cpu_request_current    numeric(10, 4),
    memory_request_current numeric(20, 4),
    UNIQUE (workload_id, container_name)
);
CREATE INDEX ON recommendation_sets (workload_id);

CREATE TABLE historical_recommendation_sets (
    id                    bigserial NOT NULL,
    org_id                text   NOT NULL,
    workload_id           bigint NOT NULL REFERENCES workloads (id) ON DELETE CASCADE,
    container_name        text   NOT NULL,
    monitoring_start_time timestamptz NOT NULL,
    monitoring_end_time   timestamptz NOT NULL,
    recommendations       jsonb NOT NULL,
    updated_at            timestamptz NOT NULL,
    UNIQUE (org_id, workload_id, container_name, monitoring_end_time)
) PARTITION BY LIST (org_id);

CREATE TABLE namespace_recommendation_sets (
    id                     uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    org_id                 text   NOT NULL,
    workload_id            bigint NOT NULL UNIQUE REFERENCES workloads (id) ON DELETE CASCADE,
    namespace_name         text   NOT NULL,
    cpu_request_current    numeric(10, 4),
    memory_request_current numeric(20, 4),
    monitoring_start_time  timestamptz NOT NULL,
    monitoring_end_time    timestamptz NOT NULL,
    recommendations        jsonb NOT NULL,
    created_at             timestamptz NOT NULL DEFAULT now(),
    updated_at             timestamptz NOT NULL,
    cpu_variation_short_cost_pct            numeric(10, 4),
    cpu_variation_short_performance_pct     numeric(10, 4),
    cpu_variation_medium_cost_pct           numeric(10, 4),
    cpu_variation_medium_performance_pct    numeric(10, 4),
    cpu_variation_long_cost_pct             numeric(10, 4),
    cpu_variation_long_performance_pct      numeric(10, 4),
    memory_variation_short_cost_pct         numeric(10, 4),
    memory_variation_short_performance_pct  numeric(10, 4),
    memory_variation_medium_cost_pct        numeric(10, 4),
    memory_variation_medium_performance_pct numeric(10, 4),
    memory_variation_long_cost_pct          numeric(10, 4),
    memory_variation_long_performance_pct   numeric(10, 4)
);
CREATE INDEX ON namespace_recommendation_sets (workload_id);
CREATE INDEX ON namespace_recommendation_sets (org_id);

CREATE TABLE historical_namespace_recommendation_sets (
    id                    bigserial NOT NULL,
    org_id                text   NOT NULL,
    workload_id           bigint NOT NULL REFERENCES workloads (id) ON DELETE CASCADE,
    namespace_name        text   NOT NULL,
    monitoring_start_time timestamptz NOT NULL,
    monitoring_end_time   timestamptz NOT NULL,
    recommendations       jsonb NOT NULL,
    created_at            timestamptz NOT NULL,
    updated_at            timestamptz NOT NULL,
    UNIQUE (org_id, workload_id, monitoring_end_time)
);

-- A workload's first row makes the places for what will be written below it: in the table named by the
-- trigger's first argument one partition for the organization, and in that two for half a month each, by
-- the column that the second argument names. They are the half of the upload and, of the ones beside it,
-- the one that is in the past. As in ROS, the organization becomes part of unquoted names, and an upload
-- without a time is an error.
CREATE FUNCTION make_partitions() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    branch text := TG_ARGV[0] || '_' || NEW.org_id;
    month  date := date_trunc('month', NEW.metrics_upload_at)::date;
    late   boolean := extract(day FROM NEW.metrics_upload_at) > 15;
    before date := CASE WHEN late THEN month ELSE (month - interval '1 month')::date END;
BEGIN
    EXECUTE 'CREATE TABLE IF NOT EXISTS ' || branch || ' PARTITION OF ' || TG_ARGV[0]
        || ' FOR VALUES IN (' || quote_literal(NEW.org_id) || ') PARTITION BY RANGE (' || TG_ARGV[1] || ')';
    EXECUTE 'CREATE TABLE IF NOT EXISTS ' || branch || to_char(month, '_YYYY_MM') || '_1 PARTITION OF ' || branch
        || ' FOR VALUES FROM (' || quote_literal(month) || ') TO (' || quote_literal(month + 15) || ')';
    EXECUTE 'CREATE TABLE IF NOT EXISTS ' || branch || to_char(before, '_YYYY_MM') || '_16 PARTITION OF ' || branch
        || ' FOR VALUES FROM (' || quote_literal(before + 15)
        || ') TO (' || quote_literal((before + interval '1 month')::date) || ')';
    RETURN NEW;
END
$$;

CREATE TRIGGER make_workload_metrics BEFORE INSERT ON workloads
    FOR EACH ROW EXECUTE FUNCTION make_partitions('workload_metrics', 'interval_end');
CREATE TRIGGER make_historical_recommendation_sets BEFORE INSERT ON workloads
    FOR EACH ROW EXECUTE FUNCTION make_partitions('historical_recommendation_sets', 'monitoring_end_time');

INSERT INTO schema_migrations (version, dirty) VALUES (25, false);
