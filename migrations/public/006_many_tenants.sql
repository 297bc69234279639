-- +goose Up

-- Credentials are looked for by equality, by the provisioner and for each upload by report processing, in a table
-- that has a row for every cluster of every organization. A hash index has a number for each and so, other than a
-- B-tree, no limit to their size. Koku's table has no such index; where it is Koku's, it stays as it is.
-- +goose StatementBegin
DO $$
BEGIN
    IF to_regclass('public.django_migrations') IS NULL THEN
        CREATE INDEX api_providerauthentication_credentials_idx
            ON public.api_providerauthentication USING hash (credentials);
    END IF;
END
$$;
-- +goose StatementEnd

-- How far a removal has come in the tables that it has to read from end to end, by table: the block where it goes
-- on. What was interrupted would else begin with reading again all that it has seen already.
ALTER TABLE sources.source ADD COLUMN removal_progress jsonb NOT NULL DEFAULT '{}';
