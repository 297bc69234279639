-- +goose Up

-- The outbox and its leases are queues: every row is deleted within seconds, so nearly all that there ever
-- was is dead. The default, a fifth of the table, is counted from the table's last great day: after an
-- outage with 100,000 events it would be 20,000 dead rows later each time, and every search for what waits
-- would pass them. So: by number, whatever the size, and without pauses, as these tables are small when
-- they are vacuumed in time.
--
-- No other table has this life. An idempotency key stays for a day, a registry row for as long as its
-- source, and the one row of relay_run is updated in place.
ALTER TABLE sources.outbox SET (
    autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000,
    autovacuum_analyze_scale_factor = 0, autovacuum_analyze_threshold = 5000,
    autovacuum_vacuum_cost_delay = 0,
    -- The bodies above 2 kB or so are stored apart, by settings of their own.
    toast.autovacuum_vacuum_scale_factor = 0, toast.autovacuum_vacuum_threshold = 1000,
    toast.autovacuum_vacuum_cost_delay = 0);

-- A lease is as small as a row can be, and there is one for each source and turn.
ALTER TABLE sources.outbox_lease SET (
    autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000,
    autovacuum_analyze_scale_factor = 0, autovacuum_analyze_threshold = 5000,
    autovacuum_vacuum_cost_delay = 0);

-- Nobody misses a lease after a crash of the server: it only keeps two dispatchers from sending the same
-- event twice, and the order does not rest on it. Without a log nothing has to be flushed for it either.
ALTER TABLE sources.outbox_lease SET UNLOGGED;
