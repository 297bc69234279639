-- +goose Up

-- The states that a source was in before the one that it has, newest first, at most 20: objects in the form that the
-- API shows them in. Whoever writes another state puts the one of before in here, and whoever reads it adds the one
-- of now. So a row from before this column needs nothing, and neither does one whose state was last written by a
-- release that does not know it.
ALTER TABLE sources.source ADD COLUMN history jsonb NOT NULL DEFAULT '[]';

-- A history with a state that a source was given at a time. Where that is the newest one again, with the same
-- reason, it is the same entry with another number of attempts and another time: what fails every hour for weeks
-- does not push out how it came to fail.
--
-- One expression without a SELECT inside, so that PostgreSQL can put it in the place of the call.
CREATE FUNCTION sources.remembered(history jsonb, state text, reason text, attempts integer, at timestamptz)
RETURNS jsonb LANGUAGE sql STABLE AS $$
    SELECT CASE
        WHEN history #>> '{0,state}' = state AND history #>> '{0,reason}' = reason
        THEN jsonb_set(history, '{0}', history -> 0 || jsonb_build_object('attempts', attempts, 'updated_timestamp', at))
        ELSE (jsonb_build_array(jsonb_build_object('state', state, 'reason', reason, 'attempts', attempts,
                                                   'since_timestamp', at, 'updated_timestamp', at)) || history) - 20
    END
$$;
