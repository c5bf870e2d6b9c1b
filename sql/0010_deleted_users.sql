-- A user is deleted in one short step, and what is stored of it in many after that.
--
-- The row of `users` goes first. From then on nothing is appended, no token or session is added
-- and no task is written: each of these locks that row, or reads it. A trigger ends the user's
-- credentials and notes what is to be cleared, so it is the same for a row that an operator
-- deletes, or a process of an older version.
--
-- The foreign keys would delete all of it in the first step, however long that takes. And the rows
-- of ended credentials have to stay for a while: processes look there for what was revoked.

-- All locks are taken at once or none: statements of processes that still serve lock some of these
-- tables in other orders. After five seconds without a moment in which all are free, it waits.
DO $$
BEGIN
    FOR attempt IN 1..500 LOOP
        BEGIN
            LOCK TABLE sessions, tokens, projections, tasks, users IN ACCESS EXCLUSIVE MODE NOWAIT;
            EXIT;
        EXCEPTION WHEN lock_not_available THEN
            PERFORM pg_sleep(0.01);
        END;
    END LOOP;
END
$$;
LOCK TABLE sessions, tokens, projections, tasks, users IN ACCESS EXCLUSIVE MODE;
ALTER TABLE sessions DROP CONSTRAINT sessions_user_id_fkey;
ALTER TABLE tokens DROP CONSTRAINT tokens_user_id_fkey;
ALTER TABLE projections DROP CONSTRAINT projections_user_id_fkey;
ALTER TABLE tasks DROP CONSTRAINT tasks_user_id_fkey;

CREATE TABLE deleted_users (
    user_id       uuid PRIMARY KEY,
    deleted_at    timestamptz NOT NULL,
    next_seq      bigint NOT NULL, -- events before it are cleared
    last_seq      bigint NOT NULL,
    last_event_id text COLLATE "C" NOT NULL DEFAULT '', -- trimmed events up to it are cleared
    cleared_at    timestamptz -- when nothing was left but ended credentials, without their names
);
CREATE INDEX deleted_users_to_clear ON deleted_users (deleted_at) WHERE cleared_at IS NULL;

CREATE FUNCTION note_deleted_user() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    UPDATE tokens SET revoked_at = clock_timestamp()
    WHERE user_id = OLD.user_id AND revoked_at IS NULL AND expires_at > now();
    UPDATE sessions SET revoked_at = clock_timestamp()
    WHERE user_id = OLD.user_id AND revoked_at IS NULL AND expires_at > now();
    INSERT INTO deleted_users (user_id, deleted_at, next_seq, last_seq)
    VALUES (OLD.user_id, clock_timestamp(), OLD.oldest_seq, OLD.last_seq)
    ON CONFLICT (user_id) DO UPDATE SET
        deleted_at = excluded.deleted_at, next_seq = excluded.next_seq,
        last_seq = excluded.last_seq, last_event_id = '', cleared_at = NULL;
    RETURN NULL;
END
$$;
CREATE TRIGGER users_deleted AFTER DELETE ON users
    FOR EACH ROW EXECUTE FUNCTION note_deleted_user();

-- Deletes a user on behalf of a session; returns the ids of the credentials that end with it. Null,
-- and nothing is changed, if the session has ended.
CREATE FUNCTION delete_user(of_user uuid, of_session uuid) RETURNS uuid[]
LANGUAGE plpgsql AS $$
DECLARE
    ended_ids uuid[];
BEGIN
    PERFORM lock_user(of_user);
    SELECT array_agg(live.id) INTO ended_ids
    FROM (
        SELECT session_id AS id FROM sessions
        WHERE user_id = of_user AND revoked_at IS NULL AND expires_at > now()
        UNION ALL
        SELECT token_id FROM tokens
        WHERE user_id = of_user AND revoked_at IS NULL AND expires_at > now()
    ) live;
    IF ended_ids IS NULL OR of_session <> ALL (ended_ids) THEN
        RETURN NULL;
    END IF;
    DELETE FROM users WHERE user_id = of_user;
    INSERT INTO audit_log (user_id, action, subject) VALUES (of_user, 'user_deleted', of_session);
    RETURN ended_ids;
END
$$;

-- Clears up to `batch` rows of a deleted user; returns whether there may be more. Calls at the same
-- time follow one another.
CREATE FUNCTION clear_user(of_user uuid, batch integer) RETURNS boolean
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

-- As before, but null for a user that does not exist.
CREATE OR REPLACE FUNCTION count_active_tokens(of_user uuid) RETURNS bigint
    LANGUAGE plpgsql
    AS $$
BEGIN
    PERFORM FROM users WHERE user_id = of_user FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    RETURN (
        SELECT count(*) FROM tokens
        WHERE user_id = of_user AND revoked_at IS NULL AND expires_at > now()
    );
END
$$;

CREATE OR REPLACE FUNCTION count_live_sessions(of_user uuid) RETURNS bigint
    LANGUAGE plpgsql
    AS $$
BEGIN
    PERFORM FROM users WHERE user_id = of_user FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    RETURN (
        SELECT count(*) FROM sessions
        WHERE user_id = of_user AND revoked_at IS NULL AND expires_at > now()
    );
END
$$;

-- For the export of what is stored of one user.
CREATE INDEX audit_log_by_user ON audit_log (user_id, audit_id);
