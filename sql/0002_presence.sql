-- Which processes serve this database now, and how many live streams of whom each has.
--
-- Unlogged: a crash of Postgres empties both, and within a second or two each process puts its
-- own rows back. Nothing here is needed to deliver an event.

CREATE UNLOGGED TABLE processes (
    process_id uuid PRIMARY KEY,
    seen_at    timestamptz NOT NULL
);

CREATE UNLOGGED TABLE watching (
    process_id uuid NOT NULL REFERENCES processes ON DELETE CASCADE,
    user_id    uuid NOT NULL, -- no foreign key: a process tells what it has, no more
    streams    integer NOT NULL,
    PRIMARY KEY (process_id, user_id)
);
