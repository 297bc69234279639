-- What Koku keeps as functions in public: the lever of the partitions, and the maker of tenants. Both are written
-- anew for tests, to behave as Koku's do where the functions of this project can tell.

-- A row of partitioned_tables is a partition: inserted, it is made; switched off and on, detached and attached;
-- deleted, dropped. The caller's deferred constraints are checked first, since a table with pending checks cannot be
-- altered.
CREATE FUNCTION public.trfn_partition_manager() RETURNS trigger LANGUAGE plpgsql AS $manager$
DECLARE
    r     record := CASE WHEN TG_OP = 'DELETE' THEN OLD ELSE NEW END;
    child text := format('%I.%I', r.schema_name, r.table_name);
    whole text := format('%I.%I', r.schema_name, r.partition_of_table_name);
    bound text := CASE WHEN (r.partition_parameters->>'default')::boolean THEN 'DEFAULT'
                  ELSE format('FOR VALUES FROM (%L) TO (%L)', r.partition_parameters->>'from', r.partition_parameters->>'to') END;
BEGIN
    SET CONSTRAINTS ALL IMMEDIATE;
    IF TG_OP = 'INSERT' AND to_regclass(child) IS NULL THEN
        EXECUTE format('CREATE TABLE %s PARTITION OF %s %s', child, whole, bound);
    ELSIF TG_OP = 'UPDATE' AND OLD.active AND NOT NEW.active THEN
        EXECUTE format('ALTER TABLE %s DETACH PARTITION %s', whole, child);
    ELSIF TG_OP = 'UPDATE' AND NEW.active AND NOT OLD.active THEN
        EXECUTE format('ALTER TABLE %s ATTACH PARTITION %s %s', whole, child, bound);
    ELSIF TG_OP = 'DELETE' AND to_regclass(child) IS NOT NULL THEN
        IF OLD.active THEN
            EXECUTE format('ALTER TABLE %s DETACH PARTITION %s', whole, child);
        END IF;
        EXECUTE format('TRUNCATE TABLE %s', child);
        EXECUTE format('DROP TABLE %s', child);
    END IF;
    RETURN NULL;
END
$manager$;

-- Makes dest_schema like source_schema: with copy_data all rows, without it those of the two registers. False where
-- there is nothing to copy, or something in the way. Other schemas are named in full, and the search path is public
-- from here to the end of the caller's transaction.
CREATE FUNCTION public.clone_schema(
    source_schema text, dest_schema text, copy_data boolean DEFAULT false, _verbose boolean DEFAULT false
) RETURNS boolean LANGUAGE plpgsql AS $clone$
DECLARE
    origin    oid := to_regnamespace(quote_ident(source_schema));
    src       text := quote_ident(source_schema) || '.';
    dst       text := quote_ident(dest_schema) || '.';
    item      record;
    highest   bigint;
BEGIN
    IF dest_schema IS NULL THEN
        RAISE EXCEPTION 'a schema needs a name';
    ELSIF origin IS NULL THEN
        RAISE WARNING 'schema % does not exist', source_schema;
        RETURN false;
    ELSIF to_regnamespace(quote_ident(dest_schema)) IS NOT NULL THEN
        RAISE INFO 'schema % exists', dest_schema;
        RETURN false;
    END IF;
    SET LOCAL search_path = public;
    EXECUTE format('CREATE SCHEMA %I', dest_schema);

    FOR item IN SELECT oid FROM pg_proc WHERE pronamespace = origin LOOP
        EXECUTE replace(pg_get_functiondef(item.oid), src, dst);
    END LOOP;
    FOR item IN
        SELECT relname, relkind, pg_get_partkeydef(oid) AS key FROM pg_class
        WHERE relnamespace = origin AND relkind IN ('r', 'p') AND NOT relispartition
    LOOP
        EXECUTE format('CREATE TABLE %1$s%2$I (LIKE %3$s%2$I INCLUDING ALL)', dst, item.relname, src)
            || CASE item.relkind WHEN 'p' THEN ' PARTITION BY ' || item.key ELSE '' END;
    END LOOP;
    FOR item IN
        SELECT c.relname, p.relname AS whole, pg_get_expr(c.relpartbound, c.oid) AS bound
        FROM pg_class c JOIN pg_inherits i ON i.inhrelid = c.oid JOIN pg_class p ON p.oid = i.inhparent
        WHERE c.relnamespace = origin AND c.relkind = 'r' AND c.relispartition
    LOOP
        EXECUTE format('CREATE TABLE %1$s%2$I PARTITION OF %1$s%3$I %4$s', dst, item.relname, item.whole, item.bound);
    END LOOP;

    FOR item IN
        SELECT relname FROM pg_class
        WHERE relnamespace = origin AND relkind = 'r'
            AND (copy_data OR relname ~ 'partitioned_tables|django_migrations')
    LOOP
        EXECUTE format('INSERT INTO %1$s%2$I SELECT * FROM %3$s%2$I', dst, item.relname, src);
    END LOOP;
    EXECUTE format('UPDATE %spartitioned_tables SET schema_name = %L', dst, dest_schema);
    FOR item IN
        SELECT c.relname, a.attname FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
        WHERE c.relnamespace = origin AND c.relkind = 'r' AND NOT c.relispartition AND a.attidentity <> ''
    LOOP
        EXECUTE format('SELECT max(%I) FROM %s%I', item.attname, dst, item.relname) INTO highest;
        IF highest IS NOT NULL THEN
            PERFORM setval(pg_get_serial_sequence(dst || quote_ident(item.relname), item.attname), highest);
        END IF;
    END LOOP;

    FOR item IN
        SELECT c.relname, k.conname, pg_get_constraintdef(k.oid) AS definition
        FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid
        WHERE k.connamespace = origin AND k.contype = 'f' AND k.conparentid = 0
    LOOP
        EXECUTE format('ALTER TABLE %s%I ADD CONSTRAINT %I %s', dst, item.relname, item.conname,
            replace(item.definition, src, dst));
    END LOOP;
    FOR item IN
        SELECT pg_get_triggerdef(t.oid) AS definition
        FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid
        WHERE c.relnamespace = origin AND NOT t.tgisinternal AND t.tgparentid = 0
    LOOP
        EXECUTE replace(item.definition, src, dst);
    END LOOP;
    IF _verbose THEN
        RAISE NOTICE 'schema % is a copy of %', dest_schema, source_schema;
    END IF;
    RETURN true;
END
$clone$;
