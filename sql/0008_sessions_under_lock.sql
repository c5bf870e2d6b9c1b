-- Sessions of one user are opened by a link, and ended all at once, one call after the other.
--
-- Each of these functions locks the user first. The statements after the lock see what the lock's
-- last holder committed: a session that a link opened meanwhile is ended with the others, and a
-- link whose session ended meanwhile opens nothing.

-- Spend a link and open a session; returns when that expires. Null, and nothing is changed, if the
-- link is not valid, its session has ended, or the user has `at_most` live sessions.
CREATE FUNCTION spend_link(
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
        AND s.session_id = l.session_id AND s.revoked_at IS NULL AND s.expires_at > now();
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

-- End all live sessions of a user except one; returns their ids. Null, and nothing is changed, if
-- that one has ended itself: two sessions that end each other would leave the user with none.
--
-- The time of a revocation is the clock's and not the transaction's, because other processes look
-- for revocations of the last seconds, and the wait for the lock may be as long.
CREATE FUNCTION end_other_sessions(of_session uuid, of_user uuid) RETURNS uuid[]
    LANGUAGE plpgsql
    AS $$
DECLARE
    ended_ids uuid[];
BEGIN
    PERFORM lock_user(of_user);
    IF NOT EXISTS (
        SELECT FROM sessions
        WHERE session_id = of_session AND user_id = of_user
            AND revoked_at IS NULL AND expires_at > now()
    ) THEN
        RETURN NULL;
    END IF;
    WITH ended AS (
        UPDATE sessions SET revoked_at = clock_timestamp()
        WHERE user_id = of_user AND session_id <> of_session
            AND revoked_at IS NULL AND expires_at > now()
        RETURNING session_id
    ), audited AS (
        INSERT INTO audit_log (user_id, action, subject)
        SELECT of_user, 'session_ended', session_id FROM ended
    )
    SELECT coalesce(array_agg(session_id), '{}') INTO ended_ids FROM ended;
    RETURN ended_ids;
END
$$;
