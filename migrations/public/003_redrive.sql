-- +goose Up

-- Who sent a dead event again, when and why: at most three times for each event, also by several at once.
-- A row is committed before its event is sent, and stays where the sending then fails. The relay forgets
-- the rows of an event 90 days after the last one, which is how long the dead letters themselves are kept.
CREATE TABLE sources.redrive (
    event_source text        NOT NULL, -- with the id, what makes two dead letters the same event
    event_id     text        NOT NULL,
    attempt      smallint    NOT NULL CONSTRAINT redrive_attempt_check CHECK (attempt BETWEEN 1 AND 3),
    who          text        NOT NULL,
    why          text        NOT NULL,
    redriven_at  timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (event_source, event_id, attempt)
);
