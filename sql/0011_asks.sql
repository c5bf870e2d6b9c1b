-- Asks: questions of programs that a person answers, and requests to stop a task.
--
-- An ask is decided in its row, by one conditional update, and two events in the stream follow it:
-- `task_waiting` when it is opened, and `task_answered` when it ends. `noted` is the state that the
-- stream has. Whichever process changes the state writes the event next, under an id that was drawn
-- with the ask; the process that keeps house writes those that an ended process left out.
CREATE TABLE asks (
    ask_id        uuid PRIMARY KEY,
    user_id       uuid NOT NULL, -- of users, without a foreign key: see migration 10
    token_id      uuid NOT NULL, -- the hook token that asked
    event_id      text,          -- the key under which the request may be repeated
    request_hash  bytea NOT NULL,
    task_id       text COLLATE "C",
    question      text NOT NULL,
    kind          text NOT NULL CHECK (kind IN ('choice', 'text')),
    options       text[] NOT NULL,
    details       text, -- JSON as sent
    question_hash text NOT NULL, -- of what a person is shown
    asked_at      timestamptz NOT NULL DEFAULT now(),
    expires_at    timestamptz NOT NULL,
    state         text NOT NULL DEFAULT 'open'
        CHECK (state IN ('open', 'answered', 'expired', 'withdrawn')),
    answer        text,
    ended_at      timestamptz,
    ended_by      uuid, -- the session or token that did it; null for time and task
    noted         text, -- the state that the stream has; null before the first event
    waiting_id    uuid NOT NULL DEFAULT gen_random_uuid(), -- the ids of the two events
    answered_id   uuid NOT NULL DEFAULT gen_random_uuid()
);
CREATE INDEX asks_of_user ON asks (user_id, ask_id);
CREATE INDEX asks_open_by_user ON asks (user_id, asked_at) WHERE state = 'open';
CREATE INDEX asks_by_expiry ON asks (expires_at) WHERE state = 'open';
CREATE INDEX asks_by_event ON asks (user_id, event_id) WHERE event_id IS NOT NULL;
CREATE INDEX asks_by_end ON asks (ended_at) WHERE state <> 'open';
CREATE INDEX asks_to_note ON asks (asked_at) WHERE noted IS DISTINCT FROM state;

ALTER TABLE tasks
    ADD COLUMN open_asks text, -- ids separated by blanks, the oldest first
    ADD COLUMN stop_requested_at timestamptz; -- of the present run

-- Ends an ask whose time is over, once an answer that is under way is decided. Readers call it where
-- they see such an ask, so none of them sees another end than the row has.
CREATE FUNCTION expire_ask(of_ask uuid) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    UPDATE asks SET state = 'expired', ended_at = clock_timestamp()
    WHERE ask_id = of_ask AND state = 'open' AND expires_at <= clock_timestamp();
END
$$;

-- Opens an ask, or finds the one that the same request opened within a day. Returns no row if the
-- user is gone. `outcome` is opened, found, other_request or too_many.
CREATE FUNCTION open_ask(
    new_ask    uuid,
    of_user    uuid,
    of_token   uuid,
    key        text,
    hash       bytea,
    of_task    text,
    asked      text,
    ask_kind   text,
    choices    text[],
    more       text,
    shown_hash text,
    seconds    integer,
    most       bigint, -- open
    kept       bigint  -- ended
) RETURNS TABLE (outcome text, found asks)
LANGUAGE plpgsql AS $$
DECLARE
    ask asks;
BEGIN
    PERFORM FROM users WHERE user_id = of_user FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    SELECT * INTO ask FROM asks a
    WHERE a.user_id = of_user AND a.event_id = key AND a.asked_at > now() - interval '1 day'
    ORDER BY a.asked_at DESC LIMIT 1;
    IF FOUND THEN
        PERFORM expire_ask(ask.ask_id);
        SELECT * INTO ask FROM asks a WHERE a.ask_id = ask.ask_id;
        RETURN QUERY SELECT
            CASE WHEN ask.request_hash = hash AND ask.token_id = of_token
                THEN 'found' ELSE 'other_request' END,
            ask;
        RETURN;
    END IF;
    IF most <= (
        SELECT count(*) FROM asks a
        WHERE a.user_id = of_user AND a.state = 'open' AND a.expires_at > now()
    ) THEN
        RETURN QUERY SELECT 'too_many', NULL::asks;
        RETURN;
    END IF;
    DELETE FROM asks WHERE ask_id IN (
        SELECT a.ask_id FROM asks a WHERE a.user_id = of_user AND a.state <> 'open'
        ORDER BY a.ended_at DESC OFFSET kept
    );
    INSERT INTO asks (
        ask_id, user_id, token_id, event_id, request_hash, task_id, question, kind, options,
        details, question_hash, expires_at
    ) VALUES (
        new_ask, of_user, of_token, key, hash, of_task, asked, ask_kind, choices, more, shown_hash,
        now() + seconds * interval '1 second'
    ) RETURNING * INTO ask;
    RETURN QUERY SELECT 'opened', ask;
END
$$;

-- Ends an ask by an answer or by a withdrawal; the first one counts. `ended` is whether this call
-- ended it, and `found` the ask as it is then.
CREATE FUNCTION end_ask(of_ask uuid, of_user uuid, new_state text, given text, by_credential uuid)
RETURNS TABLE (ended boolean, found asks)
LANGUAGE plpgsql AS $$
DECLARE
    ask asks;
BEGIN
    PERFORM expire_ask(of_ask);
    SELECT * INTO ask FROM asks a WHERE a.ask_id = of_ask AND a.user_id = of_user FOR UPDATE;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    -- the time after the lock: a reader that saw it expire has written so
    IF ask.state <> 'open' OR ask.expires_at <= clock_timestamp() THEN
        ask.state := CASE WHEN ask.state = 'open' THEN 'expired' ELSE ask.state END;
        RETURN QUERY SELECT false, ask;
        RETURN;
    END IF;
    UPDATE asks SET state = new_state, answer = given, ended_at = now(), ended_by = by_credential
    WHERE ask_id = of_ask RETURNING * INTO ask;
    INSERT INTO audit_log (user_id, action, subject)
    VALUES (of_user, 'ask_' || new_state, by_credential);
    RETURN QUERY SELECT true, ask;
END
$$;

-- Writes down which asks have expired. Returns the asks whose event the stream does not have: those,
-- the ones that ended with their task, and after `patience` those that another process left so.
CREATE FUNCTION settle_asks(patience interval, most integer) RETURNS SETOF asks
LANGUAGE plpgsql AS $$
BEGIN
    UPDATE asks a SET state = 'expired', ended_at = now()
    FROM (
        SELECT ask_id FROM asks WHERE state = 'open' AND expires_at <= now()
        ORDER BY ask_id LIMIT most FOR UPDATE SKIP LOCKED
    ) due
    WHERE a.ask_id = due.ask_id;
    RETURN QUERY SELECT * FROM asks a
    WHERE a.noted IS DISTINCT FROM a.state
        AND (a.state IN ('expired', 'withdrawn')
            OR coalesce(a.ended_at, a.asked_at) <= now() - patience)
    ORDER BY a.asked_at LIMIT most;
END
$$;

-- Asks a task's present run to stop. Returns no row if there is no such task.
CREATE FUNCTION request_stop(of_user uuid, of_task text, of_session uuid) RETURNS boolean
LANGUAGE plpgsql AS $$
DECLARE
    begun bigint;
    task tasks;
BEGIN
    PERFORM FROM projections WHERE user_id = of_user FOR UPDATE;
    SELECT * INTO task FROM tasks t
    WHERE t.user_id = of_user AND t.task_id = of_task AND NOT t.forgotten;
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    IF task.state NOT IN ('running', 'waiting') OR NOT task.stoppable THEN
        RETURN false;
    END IF;
    IF task.stop_requested_at IS NULL THEN
        begun := begin_revision(of_user);
        UPDATE tasks SET stop_requested_at = now(), revision = begun
        WHERE user_id = of_user AND task_id = of_task;
        INSERT INTO audit_log (user_id, action, subject)
        VALUES (of_user, 'stop_requested', of_session);
    END IF;
    RETURN true;
END
$$;

-- As before, with the asks.
CREATE OR REPLACE FUNCTION clear_user(of_user uuid, batch integer) RETURNS boolean
LANGUAGE plpgsql AS $$
DECLARE
    gone deleted_users%ROWTYPE;
    reached text;
BEGIN
    SELECT * INTO gone FROM deleted_users
    WHERE user_id = of_user AND cleared_at IS NULL FOR UPDATE;
    IF NOT FOUND THEN
        RETURN false;
    END IF;

    -- a range of seqs and not the first rows: these would be found behind all that are deleted
    IF gone.next_seq <= gone.last_seq THEN
        DELETE FROM events
        WHERE user_id = of_user AND seq >= gone.next_seq AND seq < gone.next_seq + batch;
        UPDATE deleted_users SET next_seq = gone.next_seq + batch WHERE user_id = of_user;
        RETURN true;
    END IF;

    SELECT max(page.event_id) INTO reached
    FROM (
        SELECT event_id FROM trimmed_events
        WHERE user_id = of_user AND event_id > gone.last_event_id
        ORDER BY event_id LIMIT batch
    ) page;
    IF reached IS NOT NULL THEN
        DELETE FROM trimmed_events
        WHERE user_id = of_user AND event_id > gone.last_event_id AND event_id <= reached;
        UPDATE deleted_users SET last_event_id = reached WHERE user_id = of_user;
        RETURN true;
    END IF;

    -- without this row no fold writes a task; one that has it locked is waited for
    DELETE FROM projections WHERE user_id = of_user;
    DELETE FROM tasks WHERE user_id = of_user AND task_id IN (
        SELECT task_id FROM tasks WHERE user_id = of_user LIMIT batch
    );
    IF FOUND THEN
        RETURN true;
    END IF;

    DELETE FROM asks WHERE user_id = of_user AND ask_id IN (
        SELECT ask_id FROM asks WHERE user_id = of_user LIMIT batch
    );
    IF FOUND THEN
        RETURN true;
    END IF;

    UPDATE tokens SET name = NULL WHERE token_id IN (
        SELECT token_id FROM tokens WHERE user_id = of_user AND name IS NOT NULL LIMIT batch
    );
    IF FOUND THEN
        RETURN true;
    END IF;

    DELETE FROM links WHERE user_id = of_user;
    DELETE FROM tickets WHERE user_id = of_user;
    UPDATE deleted_users SET cleared_at = now() WHERE user_id = of_user;
    RETURN false;
END
$$;

DROP FUNCTION write_projections(
    uuid[], bigint[], bigint[], bigint[], bigint[], bigint, uuid[], text[], bigint[], text[],
    bigint[], bigint[], bigint[], timestamptz[], timestamptz[], text[], text[], text[],
    double precision[], text[], text[], text[], integer[], boolean[], bigint[],
    double precision[], timestamptz[], boolean[]
);

-- As before, with the asks that are open and those that end with their task. Writes the tasks that a
-- fold has changed, and moves the projections on. A user whose tasks have another revision by now is
-- left out: its fold began with rows that are no longer the present ones.
-- `added` are the tasks of each user that were not there before, `revived` those that were marks.
CREATE FUNCTION write_projections(
    user_ids  uuid[],
    revisions bigint[],
    seqs      bigint[],
    added     bigint[],
    revived   bigint[],
    most      bigint,
    owners      uuid[],
    task_ids    text[],
    runs        bigint[],
    states      text[],
    first_seqs  bigint[],
    last_seqs   bigint[],
    counts      bigint[],
    starts      timestamptz[],
    lasts       timestamptz[],
    stamps      text[],
    titles      text[],
    messages    text[],
    progresses  double precision[],
    metric_sets text[],
    parents     text[],
    urls        text[],
    leases      integer[],
    stoppables  boolean[],
    exit_codes  bigint[],
    durations   double precision[],
    ends        timestamptz[],
    ask_lists   text[],
    forgottens  boolean[],
    withdrawn   uuid[]
) RETURNS TABLE (user_id uuid, revision bigint)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
BEGIN
    INSERT INTO projections (user_id, seq)
    SELECT u.user_id, u.oldest_seq - 1 FROM users u
    WHERE u.user_id = ANY (user_ids)
        AND NOT EXISTS (SELECT FROM projections p WHERE p.user_id = u.user_id)
    ORDER BY u.user_id FOR KEY SHARE
    ON CONFLICT DO NOTHING;

    PERFORM FROM projections p WHERE p.user_id = ANY (user_ids) ORDER BY p.user_id FOR UPDATE;

    RETURN QUERY
    WITH advanced AS (
        UPDATE projections p
        SET seq = g.seq, revision = p.revision + 1, tasks = p.tasks + g.added + g.revived,
            marks = p.marks - g.revived
        FROM unnest(user_ids, revisions, seqs, added, revived)
            AS g (user_id, revision, seq, added, revived)
        WHERE p.user_id = g.user_id AND p.revision = g.revision
        RETURNING p.user_id, p.revision
    ), written AS (
        INSERT INTO tasks AS t (
            user_id, revision, task_id, run, state, first_seq, last_seq, events, started_at,
            last_at, started_ts, title, message, progress, metrics, parent_id, url, lease_s,
            stoppable, exit_code, duration_s, ended_at, open_asks, forgotten
        )
        SELECT g.owner, a.revision, g.task_id, g.run, g.state, g.first_seq, g.last_seq, g.events,
            g.started_at, g.last_at, g.started_ts, g.title, g.message, g.progress, g.metrics,
            g.parent_id, g.url, g.lease_s, g.stoppable, g.exit_code, g.duration_s, g.ended_at,
            g.open_asks, g.forgotten
        FROM unnest(
            owners, task_ids, runs, states, first_seqs, last_seqs, counts, starts, lasts, stamps,
            titles, messages, progresses, metric_sets, parents, urls, leases, stoppables,
            exit_codes, durations, ends, ask_lists, forgottens
        ) AS g (
            owner, task_id, run, state, first_seq, last_seq, events, started_at, last_at,
            started_ts, title, message, progress, metrics, parent_id, url, lease_s, stoppable,
            exit_code, duration_s, ended_at, open_asks, forgotten
        )
        JOIN advanced a ON a.user_id = g.owner
        ON CONFLICT (user_id, task_id) DO UPDATE SET
            revision = excluded.revision, run = excluded.run, state = excluded.state,
            first_seq = excluded.first_seq, last_seq = excluded.last_seq,
            events = excluded.events, started_at = excluded.started_at,
            last_at = excluded.last_at, started_ts = excluded.started_ts, title = excluded.title,
            message = excluded.message, progress = excluded.progress, metrics = excluded.metrics,
            parent_id = excluded.parent_id, url = excluded.url, lease_s = excluded.lease_s,
            stoppable = excluded.stoppable, exit_code = excluded.exit_code,
            duration_s = excluded.duration_s, ended_at = excluded.ended_at,
            open_asks = excluded.open_asks, forgotten = excluded.forgotten,
            beat_at = CASE WHEN t.run = excluded.run THEN t.beat_at END,
            stop_requested_at = CASE WHEN t.run = excluded.run THEN t.stop_requested_at END
    ), ended AS ( -- asks end with their task
        UPDATE asks SET state = 'withdrawn', ended_at = now()
        FROM advanced a
        WHERE asks.ask_id = ANY (withdrawn) AND asks.user_id = a.user_id
            AND asks.state = 'open' AND asks.expires_at > now()
    )
    SELECT a.user_id, a.revision FROM advanced a;

    PERFORM keep_tasks_within(p.user_id, most) FROM projections p
    WHERE p.user_id = ANY (user_ids) AND (p.tasks > most OR p.marks > most);
END
$$;
