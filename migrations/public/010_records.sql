-- +goose Up

-- The time of the newest plain record of another producer that a source has been changed by; null for the sources that
-- are ours, which no record changes.
ALTER TABLE sources.source ADD COLUMN record_at timestamptz;
