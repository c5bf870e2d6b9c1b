-- Which process does housekeeping, for all that serve this database, and until when.
--
-- Unlogged: after a crash or a fail-over the table is empty, and the first process that asks takes
-- it over. Two processes at it would do work twice, and nothing wrong.

CREATE UNLOGGED TABLE housekeeping (
    only_row   boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    holder     uuid NOT NULL, -- a process, by an id that it made for this
    expires_at timestamptz NOT NULL
) WITH (fillfactor = 50);
