-- The rows of a user are found by the user, as events and tasks are.
--
-- A statement about one user names the user in every table. So users can later be spread over
-- several databases: nothing is looked up by an id alone, which could be in any of them.
-- Building the keys locks these tables: about a second for a million rows.

ALTER TABLE sessions DROP CONSTRAINT sessions_pkey, ADD PRIMARY KEY (user_id, session_id);
ALTER TABLE tokens DROP CONSTRAINT tokens_pkey, ADD PRIMARY KEY (user_id, token_id);
ALTER TABLE links DROP CONSTRAINT links_pkey, ADD PRIMARY KEY (user_id, session_id);
ALTER TABLE tickets DROP CONSTRAINT tickets_pkey, ADD PRIMARY KEY (user_id, ticket_hash);
ALTER TABLE asks DROP CONSTRAINT asks_pkey, ADD PRIMARY KEY (user_id, ask_id);
ALTER TABLE audit_log DROP CONSTRAINT audit_log_pkey, ADD PRIMARY KEY (user_id, audit_id);
DROP INDEX sessions_by_user, tokens_by_user, asks_of_user, audit_log_by_user;

-- Processes of the version before look up by id alone, during an upgrade and after a rollback, and
-- rely on one link a session.
CREATE UNIQUE INDEX sessions_by_id ON sessions (session_id);
CREATE UNIQUE INDEX tokens_by_id ON tokens (token_id);
CREATE UNIQUE INDEX links_by_session ON links (session_id);
CREATE UNIQUE INDEX tickets_by_hash ON tickets (ticket_hash);
CREATE UNIQUE INDEX asks_by_id ON asks (ask_id);

CREATE OR REPLACE FUNCTION spend_link(
    of_hash     bytea,
    of_user     uuid,
    new_session uuid,
    lifetime    interval,
    at_most     bigint
) RETURNS timestamptz
    LANGUAGE plpgsql
    AS $$
DECLARE
    expiry timestamptz;
BEGIN
    IF count_live_sessions(of_user) >= at_most THEN
        RETURN NULL;
    END IF;
    DELETE FROM links l USING sessions s
    WHERE l.link_hash = of_hash AND l.user_id = of_user AND l.expires_at > now()
        AND s.user_id = of_user AND s.session_id = l.session_id
        AND s.revoked_at IS NULL AND s.expires_at > now();
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    INSERT INTO sessions (session_id, user_id, expires_at)
    VALUES (new_session, of_user, now() + lifetime)
    RETURNING expires_at INTO expiry;
    INSERT INTO audit_log (user_id, action, subject)
    VALUES (of_user, 'session_opened_by_link', new_session);
    RETURN expiry;
END
$$;

CREATE OR REPLACE FUNCTION clear_user(of_user uuid, batch integer) RETURNS boolean
    LANGUAGE plpgsql
    AS $$
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

    UPDATE tokens SET name = NULL WHERE user_id = of_user AND token_id IN (
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

-- `expire_ask(uuid)` stays for processes of the version before.
CREATE FUNCTION expire_ask(of_user uuid, of_ask uuid) RETURNS void
    LANGUAGE plpgsql
    AS $$
BEGIN
    UPDATE asks SET state = 'expired', ended_at = clock_timestamp()
    WHERE user_id = of_user AND ask_id = of_ask
        AND state = 'open' AND expires_at <= clock_timestamp();
END
$$;

CREATE OR REPLACE FUNCTION end_ask(
    of_ask uuid, of_user uuid, new_state text, given text, by_credential uuid
) RETURNS TABLE (ended boolean, found asks)
    LANGUAGE plpgsql
    AS $$
DECLARE
    ask asks;
BEGIN
    PERFORM expire_ask(of_user, of_ask);
    SELECT * INTO ask FROM asks a WHERE a.user_id = of_user AND a.ask_id = of_ask FOR UPDATE;
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
    WHERE user_id = of_user AND ask_id = of_ask RETURNING * INTO ask;
    INSERT INTO audit_log (user_id, action, subject)
    VALUES (of_user, 'ask_' || new_state, by_credential);
    RETURN QUERY SELECT true, ask;
END
$$;

CREATE OR REPLACE FUNCTION settle_asks(patience interval, most integer) RETURNS SETOF asks
    LANGUAGE plpgsql
    AS $$
BEGIN
    UPDATE asks a SET state = 'expired', ended_at = now()
    FROM (
        SELECT user_id, ask_id FROM asks WHERE state = 'open' AND expires_at <= now()
        ORDER BY user_id, ask_id LIMIT most FOR UPDATE SKIP LOCKED
    ) due
    WHERE a.user_id = due.user_id AND a.ask_id = due.ask_id;
    RETURN QUERY SELECT * FROM asks a
    WHERE a.noted IS DISTINCT FROM a.state
        AND (a.state IN ('expired', 'withdrawn')
            OR coalesce(a.ended_at, a.asked_at) <= now() - patience)
    ORDER BY a.asked_at LIMIT most;
END
$$;
