-- Relay is a durable log per user with live readers.
--
-- Every key on events starts with user_id: no query reads a stream without naming whose it is.
-- Secrets stand here as SHA-256 hashes or not at all (a token's own secret part is its signature).

CREATE TABLE users (
    user_id      uuid PRIMARY KEY,
    created_at   timestamptz NOT NULL DEFAULT now(),
    -- when its stream last grew or a session of it was last used: idle users expire by this
    active_at    timestamptz NOT NULL DEFAULT now(),
    epoch        text NOT NULL,
    last_seq     bigint NOT NULL DEFAULT 0,
    oldest_seq   bigint NOT NULL DEFAULT 1,
    stored_bytes bigint NOT NULL DEFAULT 0
) WITH (fillfactor = 50); -- one update a commit: room on the page keeps it in place (HOT)

CREATE TABLE sessions (
    session_id   uuid PRIMARY KEY,
    user_id      uuid NOT NULL REFERENCES users ON DELETE CASCADE,
    created_at   timestamptz NOT NULL DEFAULT now(),
    expires_at   timestamptz NOT NULL, -- slides with use
    last_used_at timestamptz NOT NULL DEFAULT now(),
    revoked_at   timestamptz
);
CREATE INDEX sessions_by_user ON sessions (user_id);
CREATE INDEX sessions_by_revocation ON sessions (revoked_at) WHERE revoked_at IS NOT NULL;

CREATE TABLE tokens (
    token_id     uuid PRIMARY KEY,
    user_id      uuid NOT NULL REFERENCES users ON DELETE CASCADE,
    name         text,
    scopes       text[] NOT NULL,
    created_at   timestamptz NOT NULL DEFAULT now(),
    expires_at   timestamptz NOT NULL,
    last_used_at timestamptz,
    revoked_at   timestamptz,
    signed       boolean NOT NULL DEFAULT false,
    kid          text NOT NULL -- which signing key it, and its signing secret, come from
);
CREATE INDEX tokens_by_user ON tokens (user_id);
CREATE INDEX tokens_by_revocation ON tokens (revoked_at) WHERE revoked_at IS NOT NULL;

-- Good for 30 seconds and one use: what a crash loses, a client fetches anew.
CREATE UNLOGGED TABLE tickets (
    ticket_hash   bytea PRIMARY KEY,
    user_id       uuid NOT NULL,
    credential_id uuid NOT NULL, -- the session or hook token that minted it
    origin        text,          -- the page it is bound to, if a page asked for it
    expires_at    timestamptz NOT NULL
);
CREATE INDEX tickets_by_expiry ON tickets (expires_at);

CREATE TABLE events (
    user_id     uuid NOT NULL, -- no foreign key: append_events holds the user's row lock
    seq         bigint NOT NULL,
    event_id    text COLLATE "C" NOT NULL,
    event_type  text NOT NULL,
    task_id     text COLLATE "C",
    ts          text NOT NULL, -- as given: never compared with a clock
    received_at timestamptz NOT NULL,
    payload     text NOT NULL, -- JSON text as sent, never parsed again
    PRIMARY KEY (user_id, seq),
    UNIQUE (user_id, event_id)
);

-- The idempotency keys of events that were trimmed before their 24 hours were over.
CREATE TABLE trimmed_events (
    user_id     uuid NOT NULL,
    event_id    text COLLATE "C" NOT NULL,
    seq         bigint NOT NULL,
    received_at timestamptz NOT NULL,
    PRIMARY KEY (user_id, event_id)
);
CREATE INDEX trimmed_events_by_time ON trimmed_events (received_at);

CREATE TABLE audit_log (
    audit_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at       timestamptz NOT NULL DEFAULT now(),
    user_id  uuid NOT NULL,
    action   text NOT NULL, -- user_created, token_created, token_revoked, session_ended, …
    subject  uuid           -- the session or token it was done to
);
CREATE INDEX audit_log_by_time ON audit_log (at);

-- What one stored event counts for against its user's bytes: its payload and a row's own weight.
CREATE FUNCTION event_bytes(payload text) RETURNS bigint
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN octet_length(payload) + 200;

-- Append events of any users, in the order given; one answer an event, in that order.
--
-- The users' rows are locked first, in one order (no deadlock), and held until the commit:
-- seq order is commit order, and a stream has no holes. Duplicates are found under that lock,
-- so the same event_id at the same moment, on any process, is stored once.
-- `epoch` is null where the user is gone; nothing is stored for it.
CREATE FUNCTION append_events(
    user_ids     uuid[],
    event_ids    text[],
    event_types  text[],
    task_ids     text[],
    stamps       text[],
    receipts     timestamptz[],
    payloads     text[]
) RETURNS TABLE (seq bigint, fresh boolean, epoch text)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
BEGIN
    PERFORM FROM users WHERE user_id = ANY (user_ids) ORDER BY user_id FOR NO KEY UPDATE;

    -- a new statement, so a new snapshot: it sees what the locks' last holders committed
    RETURN QUERY
    WITH given AS MATERIALIZED (
        SELECT g.*, u.epoch, u.last_seq,
            coalesce(
                (SELECT e.seq FROM events e
                  WHERE e.user_id = g.user_id AND e.event_id = g.event_id),
                (SELECT t.seq FROM trimmed_events t
                  WHERE t.user_id = g.user_id AND t.event_id = g.event_id)
            ) AS known_seq,
            min(g.ordinal) OVER (PARTITION BY g.user_id, g.event_id) AS first_ordinal
        FROM unnest(user_ids, event_ids, event_types, task_ids, stamps, receipts, payloads)
            WITH ORDINALITY
            AS g (user_id, event_id, event_type, task_id, ts, received_at, payload, ordinal)
        LEFT JOIN users u ON u.user_id = g.user_id
    ), numbered AS MATERIALIZED (
        SELECT g.*, g.last_seq + row_number() OVER (PARTITION BY g.user_id ORDER BY g.ordinal)
            AS new_seq
        FROM given g
        WHERE g.known_seq IS NULL AND g.ordinal = g.first_ordinal AND g.epoch IS NOT NULL
    ), stored AS (
        INSERT INTO events
            (user_id, seq, event_id, event_type, task_id, ts, received_at, payload)
        SELECT n.user_id, n.new_seq, n.event_id, n.event_type, n.task_id, n.ts, n.received_at,
            n.payload
        FROM numbered n
        ORDER BY n.user_id, n.new_seq
    ), advanced AS (
        UPDATE users u
        SET last_seq = n.last_seq, stored_bytes = u.stored_bytes + n.bytes, active_at = now()
        FROM (
            SELECT m.user_id, max(m.new_seq) AS last_seq, sum(event_bytes(m.payload)) AS bytes
            FROM numbered m GROUP BY m.user_id
        ) n
        WHERE u.user_id = n.user_id
    )
    SELECT coalesce(g.known_seq, n.new_seq), n.ordinal IS NOT DISTINCT FROM g.ordinal, g.epoch
    FROM given g
    LEFT JOIN numbered n ON n.ordinal = g.first_ordinal
    ORDER BY g.ordinal;
END
$$;

-- Trim one stream from its old end: at most `batch` events a call, and how many it trimmed.
--
-- Goes what is older than `before`, what is more than `most_events`, and what makes the stream
-- weigh more than `most_bytes`. Keys younger than a day stay behind for idempotency.
CREATE FUNCTION trim_stream(
    of_user     uuid,
    most_events bigint,
    most_bytes  bigint,
    before      timestamptz,
    batch       integer
) RETURNS bigint
LANGUAGE plpgsql AS $$
DECLARE
    stream users%ROWTYPE;
    cut bigint;
    freed bigint;
    trimmed bigint;
BEGIN
    SELECT * INTO stream FROM users WHERE user_id = of_user FOR NO KEY UPDATE;
    SELECT max(page.seq) INTO cut
    FROM (
        SELECT e.seq, e.received_at, sum(event_bytes(e.payload)) OVER (ORDER BY e.seq)
            - event_bytes(e.payload) AS bytes_before
        FROM (
            SELECT * FROM events WHERE user_id = of_user ORDER BY seq LIMIT batch
        ) e
    ) page
    WHERE page.seq <= stream.last_seq - most_events
        OR page.received_at < before
        OR stream.stored_bytes - page.bytes_before > most_bytes;
    IF cut IS NULL THEN
        RETURN 0;
    END IF;
    WITH gone AS (
        DELETE FROM events WHERE user_id = of_user AND seq <= cut
        RETURNING event_id, seq, received_at, event_bytes(payload) AS bytes
    ), kept AS (
        INSERT INTO trimmed_events (user_id, event_id, seq, received_at)
        SELECT of_user, g.event_id, g.seq, g.received_at FROM gone g
        WHERE g.received_at > now() - interval '1 day'
    )
    SELECT count(*), sum(bytes) INTO trimmed, freed FROM gone;
    UPDATE users SET oldest_seq = cut + 1, stored_bytes = stored_bytes - freed
    WHERE user_id = of_user;
    RETURN trimmed;
END
$$;
