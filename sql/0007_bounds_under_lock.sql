-- Bounds of a user's tokens and sessions that hold when calls come at the same moment.
--
-- A count and an insert in one statement see one snapshot, so several such statements together can
-- exceed the bound. These functions lock the user first and count after it. Each statement of a
-- volatile function has a snapshot of its own, so the count sees what the lock's last holder
-- committed. The lock is kept until the calling statement's transaction ends, after its insert.

CREATE FUNCTION lock_user(of_user uuid) RETURNS void
    LANGUAGE plpgsql
    AS $$
BEGIN
    PERFORM FROM users WHERE user_id = of_user FOR NO KEY UPDATE;
END
$$;

CREATE FUNCTION count_active_tokens(of_user uuid) RETURNS bigint
    LANGUAGE plpgsql
    AS $$
BEGIN
    PERFORM lock_user(of_user);
    RETURN (
        SELECT count(*) FROM tokens
        WHERE user_id = of_user AND revoked_at IS NULL AND expires_at > now()
    );
END
$$;

CREATE FUNCTION count_live_sessions(of_user uuid) RETURNS bigint
    LANGUAGE plpgsql
    AS $$
BEGIN
    PERFORM lock_user(of_user);
    RETURN (
        SELECT count(*) FROM sessions
        WHERE user_id = of_user AND revoked_at IS NULL AND expires_at > now()
    );
END
$$;
