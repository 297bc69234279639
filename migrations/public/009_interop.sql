-- +goose Up

-- What interop keeps, to write one plain record for each event, in the order of the sequence, whatever is delivered
-- twice, late or out of order. Both go with the source's row.
CREATE TABLE sources.plain_source (
    source_id   integer PRIMARY KEY CONSTRAINT plain_source_source_fkey REFERENCES sources.source (id) ON DELETE CASCADE,
    written     bigint NOT NULL, -- the sequence of the last record
    told        json,            -- the data of the event that it was of; null before the first

    -- One writer at a time. A lease and not a lock: it is held while Kafka is waited for.
    owner       uuid,
    until       timestamptz,
    -- The event whose record may be in Kafka, as the writer may have died before it could say so. The record then is
    -- in this partition, at this offset or behind it.
    sending     bigint,
    partition   integer,
    from_offset bigint
);

-- Events whose record is not written yet.
CREATE TABLE sources.plain_event (
    source_id integer     NOT NULL CONSTRAINT plain_event_source_fkey REFERENCES sources.plain_source (source_id) ON DELETE CASCADE,
    sequence  bigint      NOT NULL,
    event     json        NOT NULL, -- the CloudEvent in its JSON format
    kept_at   timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (source_id, sequence)
);
-- Who waits too long for an event before its own.
CREATE INDEX plain_event_kept_idx ON sources.plain_event (kept_at);
