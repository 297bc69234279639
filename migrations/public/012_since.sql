-- +goose Up

-- Since when a source is pending or failed, and not since it last was found to be: state_at begins anew with each try
-- that fails and with each change of a source that is still pending, so that an age by it never grew beyond an hour,
-- or beyond the time between two changes.
CREATE OR REPLACE VIEW sources.health AS
SELECT o.outbox_depth, o.outbox_age, o.outbox_parked,
       s.sources_pending, s.pending_age, s.sources_failed, s.failed_age,
       s.deletions_undone, s.deletion_age,
       (SELECT finished_at FROM sources.relay_run) AS last_relay_run
FROM (SELECT count(*) FILTER (WHERE parked_at IS NULL)     AS outbox_depth,
             extract(epoch FROM now() - min(created_at) FILTER (WHERE parked_at IS NULL)) AS outbox_age,
             count(*) FILTER (WHERE parked_at IS NOT NULL) AS outbox_parked
      FROM sources.outbox) o,
     (SELECT count(*) FILTER (WHERE living AND state = 'pending') AS sources_pending,
             extract(epoch FROM now() - min(since) FILTER (WHERE living AND state = 'pending')) AS pending_age,
             count(*) FILTER (WHERE living AND state = 'failed')  AS sources_failed,
             extract(epoch FROM now() - min(since) FILTER (WHERE living AND state = 'failed'))  AS failed_age,
             count(*) FILTER (WHERE undone)                       AS deletions_undone,
             extract(epoch FROM now() - min(updated_at) FILTER (WHERE undone))                     AS deletion_age
      FROM (SELECT state, updated_at, deleted_at IS NULL AS living,
                   CASE WHEN state IN ('pending', 'failed') THEN -- nearly all are neither
                       (sources.remembered(history, state, reason, attempts, state_at) #>> '{0,since_timestamp}')::timestamptz
                   END AS since,
                   state = 'waiting' AND (observed_generation < generation OR ros_cleaned_at IS NULL)
                       AND (deleted_at IS NOT NULL OR NOT EXISTS (
                           SELECT FROM sources.application a WHERE a.source_id = s.id AND a.deleted_at IS NULL)) AS undone
            FROM sources.source s) rows) s;
