-- One row with the highest id that there is would be the last one: AUTOINCREMENT never goes below it again, and every later sale would
-- fail with "database or disk is full". The bound leaves room for 2 * 10^17 rows, and is above what POSs number rows by themselves with
-- (nanoseconds, ticks, snowflakes). A trigger, since a CHECK cannot be added to a table that is there; it costs an INSERT about 1 µs.
CREATE TRIGGER IF NOT EXISTS [sync_outbox_id_bounds] BEFORE INSERT ON [sync_outbox]
WHEN NEW.id NOT BETWEEN -9000000000000000000 AND 9000000000000000000
BEGIN
    SELECT RAISE(ABORT, '[sync_outbox].id must be between -9000000000000000000 and 9000000000000000000');
END;

CREATE TRIGGER IF NOT EXISTS [sync_outbox_id_bounds_update] BEFORE UPDATE OF id ON [sync_outbox]
WHEN NEW.id NOT BETWEEN -9000000000000000000 AND 9000000000000000000
BEGIN
    SELECT RAISE(ABORT, '[sync_outbox].id must be between -9000000000000000000 and 9000000000000000000');
END;
