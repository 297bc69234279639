-- +goose Up

-- An application is its source's, and so its organization's: a foreign key looks for the source as who owns the tables,
-- whom no policy binds, and would take that of another organization too.
ALTER POLICY organization ON sources.application
    WITH CHECK (org_id = current_setting('cost_sources.org_id', true)
                AND EXISTS (SELECT FROM sources.source s WHERE s.id = source_id));

-- A lease is its source's too: whoever has it holds up the source's events. The policy binds nobody before policies.sql
-- has given those that work for all organizations one of their own, and switches both on.
CREATE POLICY organization ON sources.outbox_lease
    USING (EXISTS (SELECT FROM sources.source s WHERE s.id = source_id));
