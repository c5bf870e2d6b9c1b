-- The database of this version, written by `make schema` from the migrations beside this file.
-- For reading, and for making an empty database in one step; never edited by hand.

SET check_function_bodies = false; -- functions stand before the tables they name

CREATE FUNCTION public.add_channel(of_user uuid, new_channel uuid, of_kind text, of_key text, settings bytea, for_lists text, of_events text[], min_seconds double precision, if_watched boolean, messages boolean, of_session uuid, of_host text, of_device text, replaces text, most bigint) RETURNS TABLE(outcome text, kept uuid)
    LANGUAGE plpgsql
    AS $$
#variable_conflict use_column
DECLARE
    same   uuid;
    former uuid;
BEGIN
    PERFORM lock_user(of_user);
    SELECT c.channel_id INTO same FROM channels c
    WHERE c.user_id = of_user AND c.subscription_id = of_device;
    SELECT c.channel_id INTO former FROM channels c
    WHERE c.user_id = of_user AND c.subscription_id = replaces;
    kept := coalesce(same, former);
    outcome := CASE
        WHEN NOT EXISTS (SELECT FROM users u WHERE u.user_id = of_user)
            OR of_device IS NOT NULL AND NOT EXISTS (
                SELECT FROM sessions s WHERE s.user_id = of_user AND s.session_id = of_session
                    AND s.revoked_at IS NULL
            ) THEN 'gone'
        WHEN kept IS NULL AND replaces IS NOT NULL THEN 'unknown'
        WHEN kept <> new_channel THEN 'other'
        WHEN kept IS NOT NULL THEN 'replaced'
        WHEN most <= (SELECT count(*) FROM channels c WHERE c.user_id = of_user) THEN 'full'
        ELSE 'added'
    END;
    IF outcome = 'added' THEN
        kept := new_channel;
        INSERT INTO notified_users (user_id) VALUES (of_user) ON CONFLICT DO NOTHING;
        INSERT INTO channels (
            user_id, channel_id, kind, kid, sealed, shown, events, min_duration_s, unless_watched,
            with_message, created_by, host, subscription_id
        ) VALUES (
            of_user, new_channel, of_kind, of_key, settings, for_lists, of_events, min_seconds,
            if_watched, messages, of_session, of_host, of_device
        );
        INSERT INTO audit_log (user_id, action, subject)
        VALUES (of_user, 'channel_added', of_session);
    ELSIF outcome = 'replaced' THEN
        PERFORM FROM notified_users n WHERE n.user_id = of_user FOR UPDATE;
        PERFORM FROM channels c WHERE c.user_id = of_user AND c.channel_id IN (kept, former)
        ORDER BY c.channel_id FOR UPDATE;
        IF former <> kept THEN
            PERFORM drop_channels(of_user, ARRAY[former]);
        END IF;
        -- what its receiver had asked for, and how it had failed, is of the subscription before
        PERFORM end_pause(c.user_id, c.channel_id) FROM channels c
        WHERE c.user_id = of_user AND c.channel_id = kept
            AND (c.subscription_id <> of_device OR c.ended_at IS NOT NULL);
        UPDATE channels c SET
            failures = 0, paused_until = '-infinity', asked_until = '-infinity', failed_at = NULL,
            last_error = NULL, ended_at = NULL
        WHERE c.user_id = of_user AND c.channel_id = kept
            AND (c.subscription_id <> of_device OR c.ended_at IS NOT NULL);
        UPDATE channels c SET
            kid = of_key, sealed = settings, shown = for_lists, events = of_events,
            min_duration_s = min_seconds, unless_watched = if_watched, with_message = messages,
            created_by = of_session, host = of_host, subscription_id = of_device
        WHERE c.user_id = of_user AND c.channel_id = kept;
        UPDATE notifications n SET host = coalesce(of_host, '@')
        WHERE n.user_id = of_user AND n.channel_id = kept;
        INSERT INTO audit_log (user_id, action, subject)
        VALUES (of_user, 'channel_replaced', of_session);
    END IF;
    RETURN NEXT;
END
$$;

CREATE FUNCTION public.add_test(of_user uuid, of_channel uuid, of_session uuid, channel_interval interval, channel_burst integer, user_interval interval, user_burst integer, most_waiting bigint) RETURNS TABLE(outcome text, notification_id uuid, wait_s double precision)
    LANGUAGE plpgsql
    AS $$
#variable_conflict use_column
DECLARE
    reached channels%ROWTYPE;
    of_all  timestamptz;
    present timestamptz;
    waits   interval[];
BEGIN
    SELECT n.paced_until INTO of_all FROM notified_users n
    WHERE n.user_id = of_user FOR NO KEY UPDATE;
    SELECT * INTO reached FROM channels c
    WHERE c.user_id = of_user AND c.channel_id = of_channel FOR NO KEY UPDATE;
    outcome := 'blocked';
    IF NOT FOUND OR reached.ended_at IS NOT NULL OR most_waiting <= (
        SELECT count(*) FROM notifications n WHERE n.user_id = of_user AND n.channel_id = of_channel
    ) THEN
        RETURN NEXT;
        RETURN;
    END IF;
    present := clock_timestamp(); -- now() may lie before the tests that were waited for
    waits := ARRAY[
        greatest(reached.asked_until, present) - present,
        CASE WHEN channel_interval > interval '0' THEN
            greatest(reached.paced_until, present) - present - (channel_burst - 1) * channel_interval END,
        CASE WHEN user_interval > interval '0' THEN
            greatest(of_all, present) - present - (user_burst - 1) * user_interval END
    ];
    FOR number IN 1..3 LOOP
        IF waits[number] > interval '0' THEN
            outcome := (ARRAY['asked', 'channel', 'user'])[number];
            wait_s := extract(epoch FROM waits[number]);
            RETURN NEXT;
            RETURN;
        END IF;
    END LOOP;
    UPDATE notified_users n SET paced_until = greatest(n.paced_until, present) + user_interval
    WHERE n.user_id = of_user;
    UPDATE channels c SET paced_until = greatest(c.paced_until, present) + channel_interval
    WHERE c.user_id = of_user AND c.channel_id = of_channel;
    INSERT INTO notifications AS n (user_id, channel_id, state, host, due_at, stage)
    VALUES (of_user, of_channel, 'test', coalesce(reached.host, '@'), now(), 'ready')
    RETURNING n.notification_id INTO notification_id;
    INSERT INTO audit_log (user_id, action, subject) VALUES (of_user, 'channel_tested', of_session);
    outcome := 'made';
    RETURN NEXT;
END
$$;

CREATE FUNCTION public.append_event(of_user uuid, named boolean, receipt timestamp with time zone, event_id text, event_type text, task_id text, stamp text, payload text) RETURNS TABLE(epoch text, first_seq bigint, seqs bigint[], fresh boolean[])
    LANGUAGE plpgsql
    AS $$
#variable_conflict use_column
DECLARE
    -- what columns are called too
    new_id      text := append_event.event_id;
    new_type    text := append_event.event_type;
    new_task    text := append_event.task_id;
    new_payload text := append_event.payload;
    seen_seq    bigint; -- null for an unnamed event, which is advanced from wherever the stream is
    known_seq   bigint;
BEGIN
    LOOP
        IF named THEN
            SELECT u.epoch, u.last_seq, coalesce(
                (SELECT e.seq FROM events e WHERE e.user_id = of_user AND e.event_id = new_id),
                (SELECT t.seq FROM trimmed_events t
                  WHERE t.user_id = of_user AND t.event_id = new_id)
            ) INTO epoch, seen_seq, known_seq FROM users u WHERE u.user_id = of_user;
            IF known_seq IS NOT NULL THEN
                seqs := ARRAY[known_seq];
                fresh := ARRAY[false];
                EXIT;
            END IF;
        END IF;

        UPDATE users u
        SET last_seq = u.last_seq + 1, stored_bytes = u.stored_bytes + event_bytes(new_payload),
            active_at = now()
        WHERE u.user_id = of_user AND u.last_seq = coalesce(seen_seq, u.last_seq)
        RETURNING u.epoch, u.last_seq INTO epoch, first_seq;
        IF FOUND THEN
            INSERT INTO events
                (user_id, seq, event_id, event_type, task_id, ts, received_at, payload)
            VALUES
                (of_user, first_seq, new_id, new_type, new_task, stamp, receipt, new_payload);
            EXIT;
        END IF;
        EXIT WHEN seen_seq IS NULL; -- the user is gone
        PERFORM FROM users u WHERE u.user_id = of_user FOR NO KEY UPDATE;
    END LOOP;
    RETURN NEXT;
END
$$;

CREATE FUNCTION public.append_events(user_ids uuid[], event_ids text[], event_types text[], task_ids text[], stamps text[], receipts timestamp with time zone[], payloads text[]) RETURNS TABLE(seq bigint, fresh boolean, epoch text)
    LANGUAGE plpgsql
    AS $$
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

CREATE FUNCTION public.append_requests(user_ids uuid[], sizes integer[], named boolean[], receipts timestamp with time zone[], event_ids text, event_types text, task_ids text, stamps text, payloads text) RETURNS TABLE(epoch text, first_seq bigint, seqs bigint[], fresh boolean[])
    LANGUAGE plpgsql
    AS $$
#variable_conflict use_column
DECLARE
    ids    text[] := string_to_array(event_ids, E'\n');
    types  text[] := string_to_array(event_types, E'\n');
    tasks  text[] := string_to_array(task_ids, E'\n', ' ');
    times  text[] := string_to_array(stamps, E'\n');
    texts  text[] := string_to_array(payloads, E'\n');
    starts bigint[]; -- of each request, which of all events is its first
    firsts bigint[]; -- and that one's seq
    epochs text[];
    events bigint;
BEGIN
    PERFORM FROM users WHERE user_id = ANY (user_ids) ORDER BY user_id FOR NO KEY UPDATE;

    -- a new statement, so a new snapshot: it sees what the locks' last holders committed
    SELECT array_agg(r.start ORDER BY r.request), array_agg(r.first_seq ORDER BY r.request),
        array_agg(r.epoch ORDER BY r.request), sum(r.size)
    INTO starts, firsts, epochs, events
    FROM (
        SELECT g.request, g.size, u.epoch,
            1 + sum(g.size) OVER (ORDER BY g.request) - g.size AS start,
            1 + u.last_seq + sum(g.size) OVER (PARTITION BY g.user_id ORDER BY g.request)
                - g.size AS first_seq
        FROM unnest(user_ids, sizes) WITH ORDINALITY AS g (user_id, size, request)
        LEFT JOIN users u ON u.user_id = g.user_id
    ) r;

    IF events <> ANY (ARRAY[cardinality(ids), cardinality(types), cardinality(tasks),
            cardinality(times), cardinality(texts)]) THEN
        RAISE data_exception USING MESSAGE = 'a value holds a line end';
    END IF;

    IF true = ANY (named) THEN
        IF EXISTS (
            SELECT FROM (
                SELECT user_ids[g.request] AS user_id, g.event_id, count(*) AS times
                FROM (
                    SELECT e.event_id, width_bucket(e.ordinal, starts) AS request
                    FROM unnest(ids) WITH ORDINALITY AS e (event_id, ordinal)
                ) g
                WHERE named[g.request]
                GROUP BY 1, 2
            ) given
            WHERE given.times > 1 OR coalesce(
                (SELECT e.seq FROM events e
                  WHERE e.user_id = given.user_id AND e.event_id = given.event_id),
                (SELECT t.seq FROM trimmed_events t
                  WHERE t.user_id = given.user_id AND t.event_id = given.event_id)
            ) IS NOT NULL
        ) THEN
            RETURN QUERY
            SELECT max(a.epoch), NULL::bigint, array_agg(a.seq ORDER BY a.ordinal),
                array_agg(a.fresh ORDER BY a.ordinal)
            FROM (
                SELECT array_agg(user_ids[e.request] ORDER BY e.ordinal) AS user_ids,
                    array_agg(receipts[e.request] ORDER BY e.ordinal) AS receipts
                FROM (
                    SELECT o.ordinal, width_bucket(o.ordinal, starts) AS request
                    FROM generate_series(1, events) AS o (ordinal)
                ) e
            ) each,
            append_events(each.user_ids, ids, types, tasks, times, each.receipts, texts)
                WITH ORDINALITY AS a (seq, fresh, epoch, ordinal)
            GROUP BY width_bucket(a.ordinal, starts)
            ORDER BY width_bucket(a.ordinal, starts);
            RETURN;
        END IF;
    END IF;

    WITH stored AS (
        INSERT INTO events
            (user_id, seq, event_id, event_type, task_id, ts, received_at, payload)
        SELECT user_ids[e.request], firsts[e.request] + e.ordinal - starts[e.request],
            e.event_id, e.event_type, e.task_id, e.ts, receipts[e.request], e.payload
        FROM (
            SELECT g.*, width_bucket(g.ordinal, starts) AS request
            FROM unnest(ids, types, tasks, times, texts) WITH ORDINALITY
                AS g (event_id, event_type, task_id, ts, payload, ordinal)
            OFFSET 0 -- found once an event, not once a mention
        ) e
        WHERE firsts[e.request] IS NOT NULL
        RETURNING user_id, event_bytes(payload) AS bytes
    )
    UPDATE users u
    SET last_seq = u.last_seq + s.events, stored_bytes = u.stored_bytes + s.bytes,
        active_at = now()
    FROM (SELECT user_id, count(*) AS events, sum(bytes) AS bytes FROM stored GROUP BY user_id) s
    WHERE u.user_id = s.user_id;

    RETURN QUERY
    SELECT f.epoch, f.first_seq, NULL::bigint[], NULL::boolean[]
    FROM unnest(epochs, firsts) AS f (epoch, first_seq);
END
$$;

CREATE FUNCTION public.begin_revision(of_user uuid) RETURNS bigint
    LANGUAGE plpgsql
    AS $$
DECLARE
    begun bigint;
BEGIN
    UPDATE projections SET revision = revision + 1 WHERE user_id = of_user
    RETURNING revision INTO begun;
    RETURN begun;
END
$$;

CREATE FUNCTION public.clear_user(of_user uuid, batch integer) RETURNS boolean
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

    DELETE FROM notifications WHERE user_id = of_user AND position IN (
        SELECT position FROM notifications WHERE user_id = of_user LIMIT batch
    );
    IF FOUND THEN
        RETURN true;
    END IF;

    DELETE FROM deliveries WHERE user_id = of_user AND delivery_id IN (
        SELECT delivery_id FROM deliveries WHERE user_id = of_user LIMIT batch
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

    DELETE FROM channels WHERE user_id = of_user;
    DELETE FROM notified_users WHERE user_id = of_user;
    DELETE FROM links WHERE user_id = of_user;
    DELETE FROM tickets WHERE user_id = of_user;
    UPDATE deleted_users SET cleared_at = now() WHERE user_id = of_user;
    RETURN false;
END
$$;

CREATE FUNCTION public.closed_receivers(host_interval interval, host_burst integer, most_calls integer) RETURNS SETOF text
    LANGUAGE sql STABLE
    AS $$
    SELECT r.host FROM receivers r
    WHERE host_interval > interval '0' AND r.host <> '@'
        AND r.paced_until > now() + (host_burst - 1) * host_interval
    UNION
    SELECT n.host FROM notifications n
    WHERE n.stage = 'taken' AND n.due_at > now() AND n.host <> '@'
    GROUP BY n.host HAVING count(*) >= most_calls
$$;

CREATE FUNCTION public.count_active_tokens(of_user uuid) RETURNS bigint
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

CREATE FUNCTION public.count_live_sessions(of_user uuid) RETURNS bigint
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

CREATE FUNCTION public.delete_user(of_user uuid, of_session uuid) RETURNS uuid[]
    LANGUAGE plpgsql
    AS $$
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

CREATE FUNCTION public.drop_channels(of_user uuid, of_channels uuid[]) RETURNS void
    LANGUAGE plpgsql
    AS $$
BEGIN
    PERFORM lock_user(of_user);
    PERFORM FROM notified_users WHERE user_id = of_user FOR UPDATE; -- notifications are made under it
    -- in their order, before what waits for them, as where results are written
    PERFORM FROM channels WHERE user_id = of_user AND channel_id = ANY (of_channels)
    ORDER BY channel_id FOR UPDATE;
    DELETE FROM channels WHERE user_id = of_user AND channel_id = ANY (of_channels);
    DELETE FROM notifications WHERE user_id = of_user AND channel_id = ANY (of_channels);
    DELETE FROM deliveries WHERE user_id = of_user AND channel_id = ANY (of_channels);
    DELETE FROM notified_users WHERE user_id = of_user
        AND NOT EXISTS (SELECT FROM channels c WHERE c.user_id = of_user);
END
$$;

CREATE TABLE public.asks (
    ask_id uuid NOT NULL,
    user_id uuid NOT NULL,
    token_id uuid NOT NULL,
    event_id text,
    request_hash bytea NOT NULL,
    task_id text COLLATE pg_catalog."C",
    question text NOT NULL,
    kind text NOT NULL,
    options text[] NOT NULL,
    details text,
    question_hash text NOT NULL,
    asked_at timestamp with time zone DEFAULT now() NOT NULL,
    expires_at timestamp with time zone NOT NULL,
    state text DEFAULT 'open'::text NOT NULL,
    answer text,
    ended_at timestamp with time zone,
    ended_by uuid,
    noted text,
    waiting_id uuid DEFAULT gen_random_uuid() NOT NULL,
    answered_id uuid DEFAULT gen_random_uuid() NOT NULL,
    CONSTRAINT asks_kind_check CHECK ((kind = ANY (ARRAY['choice'::text, 'text'::text]))),
    CONSTRAINT asks_state_check CHECK ((state = ANY (ARRAY['open'::text, 'answered'::text, 'expired'::text, 'withdrawn'::text])))
);

CREATE FUNCTION public.end_ask(of_ask uuid, of_user uuid, new_state text, given text, by_credential uuid) RETURNS TABLE(ended boolean, found public.asks)
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

CREATE FUNCTION public.end_other_sessions(of_session uuid, of_user uuid) RETURNS uuid[]
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
    PERFORM remove_devices(of_user, of_session, true);
    RETURN ended_ids;
END
$$;

CREATE FUNCTION public.end_pause(of_user uuid, of_channel uuid) RETURNS void
    LANGUAGE sql
    AS $$
    UPDATE notifications n SET due_at = greatest(now(), n.due_at - (c.paused_until - now()))
    FROM channels c
    WHERE c.user_id = of_user AND c.channel_id = of_channel AND c.paused_until > now()
        AND n.user_id = of_user AND n.channel_id = of_channel AND n.stage = 'later'
$$;

CREATE FUNCTION public.end_session(of_session uuid, of_user uuid) RETURNS void
    LANGUAGE plpgsql
    AS $$
BEGIN
    PERFORM lock_user(of_user);
    UPDATE sessions SET revoked_at = clock_timestamp() -- it may have waited for the row
    WHERE user_id = of_user AND session_id = of_session AND revoked_at IS NULL;
    IF FOUND THEN
        INSERT INTO audit_log (user_id, action, subject)
        VALUES (of_user, 'session_ended', of_session);
        PERFORM remove_devices(of_user, of_session, false);
    END IF;
END
$$;

CREATE FUNCTION public.event_bytes(payload text) RETURNS bigint
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN (octet_length(payload) + 200);

CREATE FUNCTION public.expire_ask(of_ask uuid) RETURNS void
    LANGUAGE plpgsql
    AS $$
BEGIN
    UPDATE asks SET state = 'expired', ended_at = clock_timestamp()
    WHERE ask_id = of_ask AND state = 'open' AND expires_at <= clock_timestamp();
END
$$;

CREATE FUNCTION public.expire_ask(of_user uuid, of_ask uuid) RETURNS void
    LANGUAGE plpgsql
    AS $$
BEGIN
    UPDATE asks SET state = 'expired', ended_at = clock_timestamp()
    WHERE user_id = of_user AND ask_id = of_ask
        AND state = 'open' AND expires_at <= clock_timestamp();
END
$$;

CREATE FUNCTION public.finish_notifications(user_ids uuid[], positions bigint[], channel_ids uuid[], outcomes text[], statuses integer[], errors text[], pauses double precision[], channel_pauses double precision[], wishes double precision[], ends boolean[], settings bytea[], channel_interval interval, channel_burst integer, most_deliveries integer) RETURNS void
    LANGUAGE plpgsql
    AS $$
#variable_conflict use_column
DECLARE
    resumed   uuid[];
    owners    uuid[]; -- of what is over, with its channel and its task
    reached   uuid[];
    tasks     text[];
BEGIN
    PERFORM FROM channels c
    WHERE c.user_id = ANY (user_ids) AND c.channel_id = ANY (channel_ids)
    ORDER BY c.user_id, c.channel_id FOR NO KEY UPDATE;

    SELECT array_agg(CASE WHEN g.changed THEN 'retry' ELSE g.outcome END ORDER BY g.place),
        array_agg(CASE WHEN NOT g.changed THEN g.error END ORDER BY g.place),
        array_agg(CASE WHEN g.changed THEN 0 ELSE g.pause END ORDER BY g.place),
        array_agg(CASE WHEN NOT g.changed THEN g.channel_pause END ORDER BY g.place),
        array_agg(CASE WHEN NOT g.changed THEN g.wish END ORDER BY g.place),
        array_agg(g.stops AND NOT g.changed ORDER BY g.place)
    INTO outcomes, errors, pauses, channel_pauses, wishes, ends
    FROM (
        SELECT g.*, g.outcome <> 'delivered' AND coalesce(c.sealed <> g.used, false) AS changed
        FROM unnest(
            user_ids, channel_ids, outcomes, errors, pauses, channel_pauses, wishes, ends, settings
        ) WITH ORDINALITY AS g (
            user_id, channel_id, outcome, error, pause, channel_pause, wish, stops, used, place
        )
        LEFT JOIN channels c ON c.user_id = g.user_id AND c.channel_id = g.channel_id
    ) g;

    WITH given AS MATERIALIZED (
        SELECT * FROM unnest(
            user_ids, positions, channel_ids, outcomes, statuses, errors, pauses
        ) AS g (user_id, position, channel_id, outcome, status, error, pause)
    ), ended AS (
        DELETE FROM notifications n USING given g
        WHERE n.user_id = g.user_id AND n.position = g.position AND g.outcome <> 'retry'
        RETURNING n.*, g.outcome, g.status, g.error
    ), noted AS (
        INSERT INTO deliveries (
            user_id, channel_id, notification_id, state, task_id, run, made_at, outcome, attempts,
            status, error
        )
        SELECT user_id, channel_id, notification_id, state, task_id, run, made_at, outcome,
            attempts, status, error
        FROM ended ORDER BY position
    )
    SELECT array_agg(user_id), array_agg(channel_id), array_agg(task_id)
    INTO owners, reached, tasks FROM ended WHERE task_id IS NOT NULL;

    -- the next one of each of these tasks; its row is written in any case, because another process
    -- may be about to find it behind the one that is over
    UPDATE notifications n SET
        stage = CASE WHEN n.due_at <= now() THEN 'ready' ELSE 'later' END
    FROM (
        SELECT DISTINCT o.user_id, first.position
        FROM unnest(owners, reached, tasks) AS o (user_id, channel_id, task_id)
        CROSS JOIN LATERAL (
            SELECT e.position FROM notifications e
            WHERE e.user_id = o.user_id AND e.channel_id = o.channel_id AND e.task_id = o.task_id
            ORDER BY e.position LIMIT 1
        ) first
    ) f
    WHERE n.user_id = f.user_id AND n.position = f.position AND n.stage <> 'taken';

    -- those that take something again while they are paused, and do not ask for the pause
    SELECT array_agg(c.channel_id) INTO resumed
    FROM channels c JOIN unnest(user_ids, channel_ids, outcomes)
        AS g (user_id, channel_id, outcome) USING (user_id, channel_id)
    WHERE g.outcome = 'delivered' AND c.paused_until > now() AND c.asked_until <= now();

    PERFORM end_pause(c.user_id, c.channel_id) FROM channels c
    WHERE c.user_id = ANY (user_ids) AND c.channel_id = ANY (resumed);

    -- A failure counts, and pauses its channel. What fails during a pause was under way before it, or
    -- is a test: it does neither, but what its receiver asks for holds. A delivery ends the pause, and
    -- not what the receiver has asked for: it was under way before
    UPDATE channels c SET
        failures = CASE WHEN g.delivered THEN 0
            WHEN g.failed AND c.paused_until <= now() THEN c.failures + 1 ELSE c.failures END,
        paused_until = CASE
            WHEN g.delivered THEN greatest(c.asked_until, now() + g.wish * interval '1 second')
            WHEN c.paused_until > now()
                THEN greatest(c.paused_until, now() + g.wish * interval '1 second')
            WHEN g.failed THEN now() + g.pause * interval '1 second'
            ELSE c.paused_until END,
        asked_until = greatest(c.asked_until, now() + g.wish * interval '1 second'),
        delivered_at = CASE WHEN g.delivered THEN now() ELSE c.delivered_at END,
        failed_at = CASE WHEN g.failed THEN now() ELSE c.failed_at END,
        last_error = coalesce(g.error, c.last_error),
        ended_at = CASE WHEN g.ends THEN now() ELSE c.ended_at END
    FROM (
        SELECT user_id, channel_id, bool_or(outcome = 'delivered') AS delivered,
            bool_or(pause IS NOT NULL) AS failed, max(pause) AS pause, max(wish) AS wish,
            max(error) FILTER (WHERE pause IS NOT NULL) AS error, bool_or(ends) AS ends
        FROM unnest(user_ids, channel_ids, outcomes, errors, channel_pauses, wishes, ends)
            AS g (user_id, channel_id, outcome, error, pause, wish, ends)
        GROUP BY user_id, channel_id
    ) g
    WHERE c.user_id = g.user_id AND c.channel_id = g.channel_id;

    UPDATE notifications n SET
        due_at = now() + g.pause * interval '1 second', last_status = g.status,
        last_error = g.error, stage = 'later'
    FROM unnest(user_ids, positions, outcomes, statuses, errors, pauses)
        AS g (user_id, position, outcome, status, error, pause)
    WHERE n.user_id = g.user_id AND n.position = g.position AND g.outcome = 'retry';

    -- what waits for a channel that is paused now follows it at the channel's rate; what is under way
    -- stays its sender's
    UPDATE notifications n SET
        due_at = w.paused_until + greatest(w.place - channel_burst, 0) * channel_interval,
        stage = 'later'
    FROM (
        SELECT n.user_id, n.position, c.paused_until,
            row_number() OVER (PARTITION BY c.user_id, c.channel_id ORDER BY n.position) AS place
        FROM channels c
        JOIN notifications n ON n.user_id = c.user_id AND n.channel_id = c.channel_id
        WHERE c.user_id = ANY (user_ids) AND c.channel_id = ANY (channel_ids)
            AND c.paused_until > now() AND n.due_at < c.paused_until
            AND NOT (n.stage = 'taken' AND n.due_at > now())
    ) w
    WHERE n.user_id = w.user_id AND n.position = w.position;

    WITH dropped AS (
        DELETE FROM notifications n USING unnest(user_ids, channel_ids, ends)
            AS g (user_id, channel_id, ends)
        WHERE n.user_id = g.user_id AND n.channel_id = g.channel_id AND g.ends
    )
    INSERT INTO audit_log (user_id, action, subject)
    SELECT DISTINCT g.user_id, 'channel_ended', g.channel_id
    FROM unnest(user_ids, channel_ids, ends) AS g (user_id, channel_id, ends) WHERE g.ends;

    PERFORM keep_deliveries_within(g.user_id, g.channel_id, most_deliveries)
    FROM (SELECT DISTINCT * FROM unnest(user_ids, channel_ids) AS g (user_id, channel_id)) g;
END
$$;

CREATE FUNCTION public.forget_tasks(of_user uuid, of_task text, most_marks bigint) RETURNS bigint
    LANGUAGE plpgsql
    AS $$
DECLARE
    begun bigint := begin_revision(of_user);
    forgotten_now bigint;
BEGIN
    UPDATE tasks SET forgotten = true, hidden = false, revision = begun
    WHERE user_id = of_user AND NOT forgotten
        AND (task_id = of_task
            OR of_task IS NULL AND state IN ('succeeded', 'failed', 'canceled'));
    GET DIAGNOSTICS forgotten_now = ROW_COUNT;
    UPDATE projections SET tasks = tasks - forgotten_now, marks = marks + forgotten_now
    WHERE user_id = of_user;
    PERFORM keep_tasks_within(of_user, most_marks);
    RETURN forgotten_now;
END
$$;

CREATE FUNCTION public.hosts_in_turn(after_host text, closed text[], most integer) RETURNS text[]
    LANGUAGE plpgsql STABLE
    AS $$
DECLARE
    hosts      text[] := '{}';
    place      text COLLATE "C" := after_host;
    reached    text COLLATE "C";
    from_start boolean := false;
BEGIN
    WHILE cardinality(hosts) < most LOOP
        SELECT n.host INTO reached FROM notifications n
        WHERE n.stage = 'ready' AND n.host > place ORDER BY n.host LIMIT 1;
        IF reached IS NULL OR from_start AND reached > after_host COLLATE "C" THEN
            EXIT WHEN from_start;
            from_start := true;
            place := '';
        ELSE
            place := reached;
            IF reached <> ALL (closed) THEN
                hosts := hosts || reached::text;
            END IF;
        END IF;
    END LOOP;
    RETURN hosts;
END
$$;

CREATE FUNCTION public.keep_deliveries_within(of_user uuid, of_channel uuid, most integer) RETURNS void
    LANGUAGE sql
    AS $$
    DELETE FROM deliveries WHERE user_id = of_user AND channel_id = of_channel AND delivery_id <= (
        SELECT d.delivery_id FROM deliveries d
        WHERE d.user_id = of_user AND d.channel_id = of_channel
        ORDER BY d.delivery_id DESC OFFSET most LIMIT 1
    )
$$;

CREATE FUNCTION public.keep_tasks_within(of_user uuid, most bigint) RETURNS void
    LANGUAGE plpgsql
    AS $$
DECLARE
    projection projections%ROWTYPE;
    forgotten_now bigint;
    dropped bigint;
BEGIN
    SELECT * INTO projection FROM projections WHERE user_id = of_user;
    WITH beyond AS (
        SELECT task_id FROM tasks WHERE user_id = of_user AND NOT forgotten
        ORDER BY ended_at IS NULL, ended_at, greatest(last_at, beat_at), task_id
        LIMIT greatest(projection.tasks - most, 0)
    )
    UPDATE tasks t SET forgotten = true, hidden = false, revision = projection.revision
    FROM beyond WHERE t.user_id = of_user AND t.task_id = beyond.task_id;
    GET DIAGNOSTICS forgotten_now = ROW_COUNT;
    DELETE FROM tasks t WHERE t.user_id = of_user AND t.task_id IN (
        SELECT task_id FROM tasks WHERE user_id = of_user AND forgotten
        ORDER BY last_at, task_id
        LIMIT greatest(projection.marks + forgotten_now - most, 0)
    );
    GET DIAGNOSTICS dropped = ROW_COUNT;
    UPDATE projections
    SET tasks = tasks - forgotten_now, marks = marks + forgotten_now - dropped
    WHERE user_id = of_user;
END
$$;

CREATE FUNCTION public.lease_ends_at(heard_at timestamp with time zone, lease_s integer) RETURNS timestamp with time zone
    LANGUAGE sql STABLE
    AS $$
    SELECT heard_at + lease_s * interval '1 second' + coalesce(
        (SELECT sum(o.ended_at - greatest(o.began_at, heard_at)) FROM outages o
          WHERE o.ended_at > heard_at), interval '0'
    ) + coalesce(
        (SELECT now() - greatest(r.ready_at, heard_at) FROM readiness r
          WHERE r.ready_at < now() - interval '3 seconds' AND heard_at < now()), interval '0'
    )
$$;

CREATE FUNCTION public.lock_user(of_user uuid) RETURNS void
    LANGUAGE plpgsql
    AS $$
BEGIN
    PERFORM FROM users WHERE user_id = of_user FOR NO KEY UPDATE;
END
$$;

CREATE FUNCTION public.make_notifications(user_ids uuid[], owners uuid[], states text[], task_ids text[], runs bigint[], titles text[], messages text[], exit_codes bigint[], durations double precision[], ask_ids uuid[], channel_interval interval, channel_burst integer, user_interval interval, user_burst integer, most_waiting bigint, most_deliveries integer) RETURNS bigint
    LANGUAGE plpgsql
    AS $$
#variable_conflict use_column
DECLARE
    made bigint;
BEGIN
    PERFORM FROM notified_users n
    WHERE n.user_id = ANY (user_ids) AND n.user_id = ANY (owners)
    ORDER BY n.user_id FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        RETURN 0;
    END IF;
    PERFORM FROM channels c
    WHERE c.user_id = ANY (user_ids) AND c.user_id = ANY (owners)
    ORDER BY c.user_id, c.channel_id FOR NO KEY UPDATE;

    WITH waiting AS MATERIALIZED (
        SELECT o.user_id, o.channel_id, count(*) AS waiting FROM notifications o
        WHERE o.user_id = ANY (user_ids) AND o.user_id = ANY (owners)
        GROUP BY o.user_id, o.channel_id
    ), wanted AS MATERIALIZED (
        SELECT c.user_id, c.channel_id, h.*,
            n.paced_until AS user_paced_until, c.paced_until, c.paused_until, c.host,
            c.unless_watched AND n.visible_until > now() AS watched,
            coalesce(w.waiting, 0) + row_number() OVER in_turn > most_waiting AS beyond,
            count(*) OVER of_channel - row_number() OVER in_turn AS after
        FROM unnest(
            owners, states, task_ids, runs, titles, messages, exit_codes, durations, ask_ids
        ) WITH ORDINALITY AS h (
            owner, state, task_id, run, title, message, exit_code, duration_s, ask_id, place
        )
        JOIN notified_users n ON n.user_id = h.owner
        JOIN channels c ON c.user_id = h.owner AND c.ended_at IS NULL AND h.state = ANY (c.events)
            AND (h.state <> 'succeeded' OR coalesce(h.duration_s, 0) >= c.min_duration_s)
        LEFT JOIN waiting w ON w.user_id = c.user_id AND w.channel_id = c.channel_id
        WHERE h.owner = ANY (user_ids)
        WINDOW of_channel AS (PARTITION BY c.user_id, c.channel_id),
            in_turn AS (of_channel ORDER BY h.place)
    ), placed AS MATERIALIZED (
        SELECT w.*,
            row_number() OVER (PARTITION BY user_id ORDER BY place, channel_id) AS of_user,
            row_number() OVER (PARTITION BY user_id, channel_id ORDER BY place) AS of_channel,
            task_id IS NULL OR row_number() OVER (
                PARTITION BY user_id, channel_id, task_id ORDER BY place
            ) = 1 AND NOT EXISTS (
                SELECT FROM notifications e WHERE e.user_id = w.user_id
                    AND e.channel_id = w.channel_id AND e.task_id = w.task_id
            ) AS is_first
        FROM wanted w WHERE NOT watched AND NOT beyond
    ), left_out AS (
        INSERT INTO deliveries (
            user_id, channel_id, notification_id, state, task_id, run, made_at, outcome, attempts
        )
        SELECT user_id, channel_id, gen_random_uuid(), state, task_id, run, now(),
            CASE WHEN watched THEN 'watched' ELSE 'left_out' END, 0
        FROM wanted WHERE (watched OR beyond) AND after < most_deliveries
        ORDER BY place
    ), of_users AS (
        UPDATE notified_users n
        SET paced_until = greatest(n.paced_until, now()) + p.placed * user_interval
        FROM (SELECT user_id, count(*) AS placed FROM placed GROUP BY user_id) p
        WHERE n.user_id = p.user_id
    ), of_channels AS (
        UPDATE channels c
        SET paced_until = greatest(c.paced_until, now()) + p.placed * channel_interval
        FROM (
            SELECT user_id, channel_id, count(*) AS placed FROM placed GROUP BY user_id, channel_id
        ) p
        WHERE c.user_id = p.user_id AND c.channel_id = p.channel_id
    ), made AS (
        INSERT INTO notifications (
            user_id, channel_id, state, task_id, run, title, message, exit_code, duration_s, ask_id,
            host, due_at, stage
        )
        SELECT p.user_id, channel_id, state, task_id, run, title, message, exit_code, duration_s,
            ask_id, coalesce(host, '@'), t.due_at,
            CASE WHEN is_first AND t.due_at <= now() THEN 'ready' ELSE 'later' END
        FROM placed p, LATERAL (
            SELECT greatest(
                now(), paused_until,
                greatest(user_paced_until, now()) + (of_user - user_burst) * user_interval,
                greatest(paced_until, now()) + (of_channel - channel_burst) * channel_interval
            ) AS due_at
        ) t
        ORDER BY place, channel_id
        RETURNING 1
    )
    SELECT count(*) INTO made FROM made;

    PERFORM keep_deliveries_within(c.user_id, c.channel_id, most_deliveries)
    FROM channels c WHERE c.user_id = ANY (owners) AND c.user_id = ANY (user_ids);
    RETURN made;
END
$$;

CREATE FUNCTION public.note_changed_tasks() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        PERFORM note_task_changes(array_agg(n.user_id), array_agg(n.task_id), array_agg(n.revision))
        FROM written n HAVING count(*) > 0;
    ELSE
        PERFORM note_task_changes(array_agg(n.user_id), array_agg(n.task_id), array_agg(n.revision))
        FROM written n JOIN before b ON b.user_id = n.user_id AND b.task_id = n.task_id
        WHERE n.revision > b.revision HAVING count(*) > 0;
    END IF;
    RETURN NULL;
END
$$;

CREATE FUNCTION public.note_deleted_user() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    DELETE FROM channels WHERE user_id = OLD.user_id;
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

CREATE FUNCTION public.note_lost_tasks(most integer, channel_interval interval, channel_burst integer, user_interval interval, user_burst integer, most_waiting bigint, most_deliveries integer) RETURNS bigint
    LANGUAGE plpgsql
    AS $$
DECLARE
    locked uuid[];
    lost   record;
BEGIN
    -- the locks of the projections come before those of tasks, as in a fold
    SELECT array_agg(p.user_id) INTO locked FROM (
        SELECT p.user_id FROM projections p
        WHERE p.user_id IN (SELECT l.user_id FROM select_tasks_to_note(NULL, most) l)
        ORDER BY p.user_id FOR UPDATE SKIP LOCKED
    ) p;
    IF locked IS NULL THEN
        RETURN 0;
    END IF;
    WITH noted AS (
        UPDATE tasks t SET lost_after = greatest(t.last_at, t.beat_at)
        FROM select_tasks_to_note(locked, most) l
        WHERE t.user_id = ANY (locked) AND t.user_id = l.user_id AND t.task_id = l.task_id
        RETURNING t.*
    ), news AS ( -- what was lost before there was a channel is none
        SELECT d.* FROM noted d JOIN notified_users n ON n.user_id = d.user_id
        WHERE n.user_id = ANY (locked) AND lease_ends_at(d.lost_after, d.lease_s) > n.since
    )
    SELECT array_agg(user_id) AS owners, array_agg('lost'::text) AS states,
        array_agg(task_id) AS task_ids, array_agg(run) AS runs, array_agg(title) AS titles,
        array_agg(message) AS messages, array_agg(NULL::bigint) AS exit_codes,
        array_agg(NULL::double precision) AS durations,
        array_agg(NULL::uuid) AS ask_ids
    INTO lost FROM news;
    RETURN make_notifications(
        locked, lost.owners, lost.states, lost.task_ids, lost.runs, lost.titles, lost.messages,
        lost.exit_codes, lost.durations, lost.ask_ids,
        channel_interval, channel_burst, user_interval, user_burst, most_waiting, most_deliveries
    );
END
$$;

CREATE FUNCTION public.note_ready(most_pause interval, kept interval) RETURNS timestamp with time zone
    LANGUAGE plpgsql
    AS $$
DECLARE
    before timestamptz;
    at timestamptz;
BEGIN
    PERFORM set_config('synchronous_commit', 'off', true);
    INSERT INTO readiness (ready_at) VALUES (clock_timestamp()) ON CONFLICT DO NOTHING;
    SELECT ready_at INTO before FROM readiness FOR UPDATE;
    at := clock_timestamp(); -- after the lock, so that the times of several processes ascend
    IF at > before + most_pause THEN
        INSERT INTO outages (began_at, ended_at) VALUES (before, at);
        DELETE FROM outages WHERE ended_at < at - kept;
    END IF;
    IF at > before THEN
        UPDATE readiness SET ready_at = at;
    END IF;
    RETURN clock_timestamp();
END
$$;

CREATE FUNCTION public.note_task_changes(owners uuid[], task_ids text[], revisions bigint[]) RETURNS void
    LANGUAGE sql
    AS $$
    WITH changed AS (
        SELECT g.owner, min(g.revision) - 1 AS known_after,
            array_agg(g.task_id) AS ids, array_agg(g.revision) AS revisions
        FROM unnest(owners, task_ids, revisions) AS g (owner, task_id, revision)
        GROUP BY g.owner
    ), joined AS (
        SELECT c.owner, p.changed_ids || c.ids AS ids, p.changed_in || c.revisions AS revisions,
            coalesce(p.changes_after, c.known_after) AS known_after,
            greatest(cardinality(p.changed_ids) + cardinality(c.ids) - 32, 0) AS excess
        FROM changed c JOIN projections p ON p.user_id = c.owner
    )
    UPDATE projections p SET
        changed_ids = j.ids[j.excess + 1:],
        changed_in = j.revisions[j.excess + 1:],
        changes_after = greatest(
            j.known_after, (SELECT max(r) FROM unnest(j.revisions[:j.excess]) AS dropped (r))
        )
    FROM joined j WHERE p.user_id = j.owner
$$;

CREATE FUNCTION public.notify_of_ask(of_user uuid, of_ask uuid, channel_interval interval, channel_burst integer, user_interval interval, user_burst integer, most_waiting bigint, most_deliveries integer) RETURNS bigint
    LANGUAGE sql
    AS $$
    SELECT make_notifications(
        ARRAY[of_user], ARRAY[of_user], ARRAY['waiting'], ARRAY[NULL::text], ARRAY[NULL::bigint],
        ARRAY[NULL::text], ARRAY[NULL::text], ARRAY[NULL::bigint],
        ARRAY[NULL::double precision], ARRAY[of_ask],
        channel_interval, channel_burst, user_interval, user_burst, most_waiting, most_deliveries
    )
$$;

CREATE FUNCTION public.open_ask(new_ask uuid, of_user uuid, of_token uuid, key text, hash bytea, of_task text, asked text, ask_kind text, choices text[], more text, shown_hash text, seconds integer, most bigint, kept bigint) RETURNS TABLE(outcome text, found public.asks)
    LANGUAGE plpgsql
    AS $$
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

CREATE FUNCTION public.ready_notifications(most integer) RETURNS integer
    LANGUAGE plpgsql
    AS $$
DECLARE
    owners uuid[];
    places bigint[];
BEGIN
    SELECT array_agg(d.user_id), array_agg(d.position) INTO owners, places
    FROM (
        SELECT n.user_id, n.position FROM notifications n
        WHERE n.stage IN ('later', 'taken') AND n.due_at <= now()
        ORDER BY n.due_at LIMIT most FOR UPDATE SKIP LOCKED
    ) d;
    IF owners IS NULL THEN
        RETURN 0;
    END IF;
    -- in a statement of its own, which sees what was over before the rows were locked
    UPDATE notifications n SET stage = CASE WHEN EXISTS (
        SELECT FROM notifications e WHERE e.user_id = n.user_id AND e.channel_id = n.channel_id
            AND e.task_id = n.task_id AND e.position < n.position
    ) THEN 'behind' ELSE 'ready' END
    FROM unnest(owners, places) AS d (user_id, position)
    WHERE n.user_id = d.user_id AND n.position = d.position;
    RETURN cardinality(owners);
END
$$;

CREATE FUNCTION public.remove_channel(of_user uuid, of_channel uuid, of_session uuid) RETURNS boolean
    LANGUAGE plpgsql
    AS $$
BEGIN
    PERFORM lock_user(of_user);
    IF NOT EXISTS (SELECT FROM channels WHERE user_id = of_user AND channel_id = of_channel) THEN
        RETURN false;
    END IF;
    PERFORM drop_channels(of_user, ARRAY[of_channel]);
    INSERT INTO audit_log (user_id, action, subject)
    VALUES (of_user, 'channel_removed', of_session);
    RETURN true;
END
$$;

CREATE FUNCTION public.remove_devices(of_user uuid, of_session uuid, others boolean) RETURNS void
    LANGUAGE plpgsql
    AS $$
DECLARE
    removed uuid[];
BEGIN
    SELECT array_agg(channel_id) INTO removed FROM channels
    WHERE user_id = of_user AND subscription_id IS NOT NULL AND (created_by = of_session) <> others;
    IF removed IS NULL THEN
        RETURN;
    END IF;
    INSERT INTO audit_log (user_id, action, subject)
    SELECT user_id, 'channel_removed', created_by FROM channels
    WHERE user_id = of_user AND channel_id = ANY (removed);
    PERFORM drop_channels(of_user, removed);
END
$$;

CREATE FUNCTION public.renew_leases(of_user uuid, ids text[], wait integer) RETURNS void
    LANGUAGE plpgsql
    AS $$
DECLARE
    found_again boolean;
    begun bigint;
BEGIN
    SELECT bool_or(now() > lease_ends_at(greatest(last_at, beat_at), lease_s)) INTO found_again
    FROM tasks
    WHERE user_id = of_user AND task_id = ANY (ids) AND state IN ('running', 'waiting')
        AND NOT forgotten;
    IF found_again IS NULL THEN
        RETURN;
    END IF;
    IF found_again THEN
        begun := begin_revision(of_user);
    ELSE
        PERFORM FROM projections WHERE user_id = of_user FOR UPDATE;
    END IF;
    UPDATE tasks SET beat_at = now() + wait * interval '1 second', lost_after = NULL,
        revision = coalesce(begun, revision)
    WHERE user_id = of_user AND task_id = ANY (ids) AND state IN ('running', 'waiting')
        AND NOT forgotten;
END
$$;

CREATE FUNCTION public.request_stop(of_user uuid, of_task text, of_session uuid) RETURNS boolean
    LANGUAGE plpgsql
    AS $$
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

CREATE FUNCTION public.request_stop(of_user uuid, of_task text, of_run bigint, of_session uuid) RETURNS boolean
    LANGUAGE plpgsql
    AS $$
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
    IF task.state NOT IN ('running', 'waiting') OR NOT task.stoppable OR task.run <> of_run THEN
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

CREATE FUNCTION public.select_tasks_to_note(user_ids uuid[], most integer) RETURNS TABLE(user_id uuid, task_id text)
    LANGUAGE sql STABLE
    AS $$
    SELECT t.user_id, t.task_id
    FROM notified_users n
    JOIN tasks t ON t.user_id = n.user_id AND t.lease_s IS NOT NULL
        AND t.state IN ('running', 'waiting') AND NOT t.forgotten AND t.lost_after IS NULL
    JOIN projections p ON p.user_id = t.user_id
    WHERE (user_ids IS NULL OR t.user_id = ANY (user_ids))
        AND now() > greatest(t.last_at, t.beat_at) + t.lease_s * interval '1 second'
        AND now() > lease_ends_at(greatest(t.last_at, t.beat_at), t.lease_s)
        AND NOT EXISTS (
            SELECT FROM events e WHERE e.user_id = t.user_id AND e.seq > p.seq
                AND (e.task_id = t.task_id OR e.task_id IS NULL)
        )
    LIMIT most
$$;

CREATE FUNCTION public.set_tasks_hidden(of_user uuid, ids text[], wanted boolean) RETURNS SETOF text
    LANGUAGE plpgsql
    AS $$
DECLARE
    begun bigint := begin_revision(of_user);
BEGIN
    UPDATE tasks SET hidden = wanted, revision = begun
    WHERE user_id = of_user AND task_id = ANY (ids) AND NOT forgotten AND hidden <> wanted;
    RETURN QUERY SELECT t.task_id FROM tasks t
    WHERE t.user_id = of_user AND t.task_id = ANY (ids) AND NOT t.forgotten;
END
$$;

CREATE FUNCTION public.settle_asks(patience interval, most integer) RETURNS SETOF public.asks
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

CREATE FUNCTION public.spend_link(of_hash bytea, of_user uuid, new_session uuid, lifetime interval, at_most bigint) RETURNS timestamp with time zone
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

CREATE FUNCTION public.take_mail_code(code_interval interval, code_burst integer) RETURNS double precision
    LANGUAGE plpgsql
    AS $$
DECLARE
    present timestamptz;
    wait    interval;
BEGIN
    INSERT INTO mailed_codes DEFAULT VALUES ON CONFLICT DO NOTHING;
    PERFORM FROM mailed_codes FOR NO KEY UPDATE;
    present := clock_timestamp(); -- now() may lie before the codes that were waited for
    SELECT greatest(m.paced_until, present) - present - (code_burst - 1) * code_interval INTO wait
    FROM mailed_codes m;
    IF wait > interval '0' THEN
        RETURN extract(epoch FROM wait);
    END IF;
    UPDATE mailed_codes SET paced_until = greatest(paced_until, present) + code_interval;
    RETURN 0;
END
$$;

CREATE TABLE public.notifications (
    user_id uuid NOT NULL,
    "position" bigint NOT NULL,
    notification_id uuid DEFAULT gen_random_uuid() NOT NULL,
    channel_id uuid NOT NULL,
    state text NOT NULL,
    made_at timestamp with time zone DEFAULT now() NOT NULL,
    task_id text COLLATE pg_catalog."C",
    run bigint,
    title text,
    message text,
    exit_code bigint,
    duration_s double precision,
    ask_id uuid,
    due_at timestamp with time zone NOT NULL,
    attempts integer DEFAULT 0 NOT NULL,
    last_status integer,
    last_error text,
    host text DEFAULT '@'::text NOT NULL COLLATE pg_catalog."C",
    stage text DEFAULT 'later'::text NOT NULL,
    CONSTRAINT notifications_stage_check CHECK ((stage = ANY (ARRAY['later'::text, 'behind'::text, 'ready'::text, 'taken'::text])))
)
WITH (fillfactor='70');

CREATE FUNCTION public.take_notifications(most integer, most_of_user integer, most_of_channel integer, busy uuid[], counts integer[], saturated uuid[], lease interval, host_interval interval, host_burst integer, most_calls integer, after_host text) RETURNS SETOF public.notifications
    LANGUAGE plpgsql
    SET enable_seqscan TO 'off'
    SET enable_bitmapscan TO 'off'
    SET enable_hashjoin TO 'off'
    SET enable_mergejoin TO 'off'
    SET enable_sort TO 'off'
    AS $$
#variable_conflict use_column
DECLARE
    looked_at CONSTANT integer := 256; -- that are ranked, of all hosts together
    closed text[];
    called text[];
BEGIN
    SELECT coalesce(array_agg(c), '{}') INTO closed
    FROM closed_receivers(host_interval, host_burst, most_calls) c;
    -- so many that some are left beside those where all is saturated
    called := hosts_in_turn(after_host, closed, 64 + cardinality(saturated) + (
        SELECT count(*)::integer FROM channels c WHERE c.user_id = ANY (saturated)
    ));
    IF called = '{}' THEN
        RETURN;
    END IF;
    INSERT INTO receivers (host) SELECT h FROM unnest(called) h ORDER BY h ON CONFLICT DO NOTHING;
    -- from here on no other process takes anything for these hosts: each counts what the one before took
    PERFORM FROM receivers r WHERE r.host = ANY (called) ORDER BY r.host FOR NO KEY UPDATE;

    RETURN QUERY
    WITH room AS MATERIALIZED (
        SELECT r.host, r.turn_of, h.place, least(
            (looked_at + cardinality(called) - 1) / cardinality(called),
            CASE WHEN r.host = '@' THEN most ELSE most_calls - (
                SELECT count(*) FROM notifications n
                WHERE n.stage = 'taken' AND n.due_at > now() AND n.host = r.host
            ) END,
            CASE WHEN r.host <> '@' AND host_interval > interval '0' THEN floor(host_burst
                - extract(epoch FROM greatest(r.paced_until, now()) - now())
                / extract(epoch FROM host_interval)) END
        )::integer AS calls
        FROM unnest(called) WITH ORDINALITY AS h (host, place) JOIN receivers r ON r.host = h.host
    ), turns AS MATERIALIZED (
        SELECT m.*, u.user_id, u.turn, count(*) OVER (PARTITION BY m.host) AS users
        FROM room m CROSS JOIN LATERAL unnest(
            users_in_turn(m.host, m.turn_of, saturated, m.calls + cardinality(saturated))
        ) WITH ORDINALITY AS u (user_id, turn)
        WHERE m.calls > 0
    ), due AS MATERIALIZED (
        SELECT t.*, d.position, d.due_at, row_number() OVER (
            PARTITION BY t.host, t.user_id ORDER BY d.due_at, d.position
        ) AS round
        FROM turns t
        JOIN channels c ON c.user_id = t.user_id AND coalesce(c.host, '@') = t.host
            AND c.channel_id <> ALL (saturated)
        LEFT JOIN unnest(busy, counts) AS b (id, count) ON b.id = c.channel_id
        CROSS JOIN LATERAL (
            SELECT n.position, n.due_at FROM notifications n
            WHERE n.stage = 'ready' AND n.host = t.host AND n.user_id = t.user_id
                AND n.channel_id = c.channel_id
            ORDER BY n.due_at, n.position
            LIMIT least((t.calls + t.users - 1) / t.users, most_of_channel - coalesce(b.count, 0))
        ) d
    ), of_users AS MATERIALIZED (
        SELECT d.*, coalesce(b.count, 0) + row_number() OVER (
            PARTITION BY d.user_id ORDER BY d.due_at, d.position
        ) AS of_user
        FROM due d LEFT JOIN unnest(busy, counts) AS b (id, count) ON b.id = d.user_id
    ), fitting AS MATERIALIZED (
        SELECT o.*, row_number() OVER (PARTITION BY o.host ORDER BY o.round, o.turn) AS of_host
        FROM of_users o WHERE o.of_user <= most_of_user
    ), taken AS (
        SELECT f.user_id, f.position, f.host, f.turn
        FROM (
            SELECT * FROM fitting WHERE of_host <= calls ORDER BY of_user, place, of_host
        ) f CROSS JOIN LATERAL (
            SELECT FROM notifications n
            WHERE n.user_id = f.user_id AND n.position = f.position AND n.stage = 'ready'
            FOR UPDATE OF n SKIP LOCKED
        ) n
        LIMIT most
    ), charged AS (
        UPDATE receivers r SET
            paced_until = greatest(r.paced_until, now()) + t.calls * host_interval,
            turn_of = t.turn_of
        FROM (
            SELECT host, count(*) AS calls, (array_agg(user_id ORDER BY turn DESC))[1] AS turn_of
            FROM taken GROUP BY host
        ) t
        WHERE r.host = t.host
    )
    UPDATE notifications n SET due_at = now() + lease, attempts = n.attempts + 1, stage = 'taken'
    FROM taken t WHERE n.user_id = t.user_id AND n.position = t.position
    RETURNING n.*;
END
$$;

CREATE FUNCTION public.trim_stream(of_user uuid, most_events bigint, most_bytes bigint, before timestamp with time zone, batch integer) RETURNS bigint
    LANGUAGE plpgsql
    AS $$
DECLARE
    stream users%ROWTYPE;
    projected bigint;
    cut bigint;
    freed bigint;
    trimmed bigint;
BEGIN
    SELECT p.seq INTO projected FROM projections p WHERE p.user_id = of_user;
    SELECT * INTO stream FROM users WHERE user_id = of_user FOR NO KEY UPDATE;
    SELECT max(page.seq) INTO cut
    FROM (
        SELECT e.seq, e.received_at, sum(event_bytes(e.payload)) OVER (ORDER BY e.seq)
            - event_bytes(e.payload) AS bytes_before
        FROM (
            SELECT * FROM events
            WHERE user_id = of_user AND seq >= stream.oldest_seq AND seq <= projected
            ORDER BY seq LIMIT batch
        ) e
    ) page
    WHERE page.seq <= stream.last_seq - most_events
        OR page.received_at < before
        OR stream.stored_bytes - page.bytes_before > most_bytes;
    IF cut IS NULL THEN
        RETURN 0;
    END IF;
    WITH gone AS (
        DELETE FROM events WHERE user_id = of_user AND seq BETWEEN stream.oldest_seq AND cut
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

CREATE FUNCTION public.users_in_turn(of_host text, after_user uuid, without uuid[], most integer) RETURNS uuid[]
    LANGUAGE plpgsql STABLE
    AS $$
DECLARE
    owners     uuid[] := '{}';
    place      uuid := after_user;
    host       text COLLATE "C";
    reached    uuid;
    from_start boolean := false;
BEGIN
    WHILE cardinality(owners) < most LOOP
        SELECT n.host, n.user_id INTO host, reached FROM notifications n
        WHERE n.stage = 'ready' AND (n.host, n.user_id) > (of_host, place)
        ORDER BY n.host, n.user_id LIMIT 1;
        IF host IS DISTINCT FROM of_host OR from_start AND reached > after_user THEN
            EXIT WHEN from_start;
            from_start := true;
            place := '00000000-0000-0000-0000-000000000000';
        ELSE
            place := reached;
            IF reached <> ALL (without) THEN
                owners := owners || reached;
            END IF;
        END IF;
    END LOOP;
    RETURN owners;
END
$$;

CREATE FUNCTION public.write_projections(user_ids uuid[], revisions bigint[], seqs bigint[], added bigint[], revived bigint[], most bigint, owners uuid[], task_ids text[], runs bigint[], states text[], first_seqs bigint[], last_seqs bigint[], counts bigint[], starts timestamp with time zone[], lasts timestamp with time zone[], stamps text[], titles text[], messages text[], progresses double precision[], metric_sets text[], parents text[], urls text[], leases integer[], stoppables boolean[], exit_codes bigint[], durations double precision[], ends timestamp with time zone[], ask_lists text[], forgottens boolean[], withdrawn uuid[]) RETURNS TABLE(user_id uuid, revision bigint)
    LANGUAGE plpgsql
    AS $$
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
            stop_requested_at = CASE WHEN t.run = excluded.run THEN t.stop_requested_at END,
            lost_after = CASE WHEN t.lost_after = greatest(
                excluded.last_at, CASE WHEN t.run = excluded.run THEN t.beat_at END
            ) THEN t.lost_after END
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

CREATE TABLE public.audit_log (
    audit_id bigint NOT NULL,
    at timestamp with time zone DEFAULT now() NOT NULL,
    user_id uuid NOT NULL,
    action text NOT NULL,
    subject uuid
);

ALTER TABLE public.audit_log ALTER COLUMN audit_id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.audit_log_audit_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE public.channels (
    user_id uuid NOT NULL,
    channel_id uuid NOT NULL,
    kind text NOT NULL,
    kid text NOT NULL,
    sealed bytea NOT NULL,
    shown text NOT NULL,
    events text[] NOT NULL,
    min_duration_s double precision NOT NULL,
    unless_watched boolean NOT NULL,
    with_message boolean NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    created_by uuid NOT NULL,
    paced_until timestamp with time zone DEFAULT '-infinity'::timestamp with time zone NOT NULL,
    failures integer DEFAULT 0 NOT NULL,
    paused_until timestamp with time zone DEFAULT '-infinity'::timestamp with time zone NOT NULL,
    delivered_at timestamp with time zone,
    failed_at timestamp with time zone,
    last_error text,
    ended_at timestamp with time zone,
    host text,
    subscription_id text,
    asked_until timestamp with time zone DEFAULT '-infinity'::timestamp with time zone NOT NULL
)
WITH (fillfactor='50');

CREATE TABLE public.deleted_users (
    user_id uuid NOT NULL,
    deleted_at timestamp with time zone NOT NULL,
    next_seq bigint NOT NULL,
    last_seq bigint NOT NULL,
    last_event_id text DEFAULT ''::text NOT NULL COLLATE pg_catalog."C",
    cleared_at timestamp with time zone
);

CREATE TABLE public.deliveries (
    user_id uuid NOT NULL,
    delivery_id bigint NOT NULL,
    channel_id uuid NOT NULL,
    notification_id uuid NOT NULL,
    state text NOT NULL,
    task_id text COLLATE pg_catalog."C",
    run bigint,
    made_at timestamp with time zone NOT NULL,
    ended_at timestamp with time zone DEFAULT now() NOT NULL,
    outcome text NOT NULL,
    attempts integer NOT NULL,
    status integer,
    error text,
    CONSTRAINT deliveries_outcome_check CHECK ((outcome = ANY (ARRAY['delivered'::text, 'failed'::text, 'watched'::text, 'outdated'::text, 'left_out'::text])))
);

ALTER TABLE public.deliveries ALTER COLUMN delivery_id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.deliveries_delivery_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE public.events (
    user_id uuid NOT NULL,
    seq bigint NOT NULL,
    event_id text NOT NULL COLLATE pg_catalog."C",
    event_type text NOT NULL,
    task_id text COLLATE pg_catalog."C",
    ts text NOT NULL,
    received_at timestamp with time zone NOT NULL,
    payload text NOT NULL
);

CREATE UNLOGGED TABLE public.housekeeping (
    only_row boolean DEFAULT true NOT NULL,
    holder uuid NOT NULL,
    expires_at timestamp with time zone NOT NULL,
    CONSTRAINT housekeeping_only_row_check CHECK (only_row)
)
WITH (fillfactor='50');

CREATE UNLOGGED TABLE public.links (
    session_id uuid NOT NULL,
    link_hash bytea NOT NULL,
    user_id uuid NOT NULL,
    expires_at timestamp with time zone NOT NULL
);

CREATE TABLE public.mailed_codes (
    only_row boolean DEFAULT true NOT NULL,
    paced_until timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT mailed_codes_only_row_check CHECK (only_row)
);

ALTER TABLE public.notifications ALTER COLUMN "position" ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.notifications_position_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE public.notified_users (
    user_id uuid NOT NULL,
    visible_until timestamp with time zone DEFAULT '-infinity'::timestamp with time zone NOT NULL,
    paced_until timestamp with time zone DEFAULT '-infinity'::timestamp with time zone NOT NULL,
    since timestamp with time zone DEFAULT now() NOT NULL
)
WITH (fillfactor='50');

CREATE TABLE public.outages (
    began_at timestamp with time zone NOT NULL,
    ended_at timestamp with time zone NOT NULL
);

CREATE UNLOGGED TABLE public.processes (
    process_id uuid NOT NULL,
    seen_at timestamp with time zone NOT NULL
);

CREATE TABLE public.projections (
    user_id uuid NOT NULL,
    seq bigint NOT NULL,
    revision bigint DEFAULT 0 NOT NULL,
    tasks bigint DEFAULT 0 NOT NULL,
    marks bigint DEFAULT 0 NOT NULL,
    changed_ids text[] DEFAULT '{}'::text[] NOT NULL,
    changed_in bigint[] DEFAULT '{}'::bigint[] NOT NULL,
    changes_after bigint
)
WITH (fillfactor='50');

CREATE TABLE public.readiness (
    only_row boolean DEFAULT true NOT NULL,
    ready_at timestamp with time zone NOT NULL,
    CONSTRAINT readiness_only_row_check CHECK (only_row)
)
WITH (fillfactor='50');

CREATE TABLE public.receivers (
    host text NOT NULL COLLATE pg_catalog."C",
    paced_until timestamp with time zone DEFAULT now() NOT NULL,
    turn_of uuid DEFAULT '00000000-0000-0000-0000-000000000000'::uuid NOT NULL
)
WITH (fillfactor='50');

CREATE TABLE public.schema_migrations (
    version integer NOT NULL,
    name text NOT NULL,
    checksum text NOT NULL,
    applied_at timestamp with time zone DEFAULT now() NOT NULL
);

CREATE TABLE public.sessions (
    session_id uuid NOT NULL,
    user_id uuid NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    expires_at timestamp with time zone NOT NULL,
    last_used_at timestamp with time zone DEFAULT now() NOT NULL,
    revoked_at timestamp with time zone
);

CREATE TABLE public.tasks (
    user_id uuid NOT NULL,
    task_id text NOT NULL COLLATE pg_catalog."C",
    revision bigint NOT NULL,
    run bigint NOT NULL,
    state text NOT NULL,
    first_seq bigint NOT NULL,
    last_seq bigint NOT NULL,
    events bigint NOT NULL,
    started_at timestamp with time zone NOT NULL,
    last_at timestamp with time zone NOT NULL,
    started_ts text NOT NULL,
    title text,
    message text,
    progress double precision,
    metrics text,
    parent_id text,
    url text,
    lease_s integer,
    stoppable boolean DEFAULT false NOT NULL,
    exit_code bigint,
    duration_s double precision,
    ended_at timestamp with time zone,
    forgotten boolean DEFAULT false NOT NULL,
    hidden boolean DEFAULT false NOT NULL,
    beat_at timestamp with time zone,
    open_asks text,
    stop_requested_at timestamp with time zone,
    lost_after timestamp with time zone
)
WITH (fillfactor='70');

CREATE UNLOGGED TABLE public.tickets (
    ticket_hash bytea NOT NULL,
    user_id uuid NOT NULL,
    credential_id uuid NOT NULL,
    origin text,
    expires_at timestamp with time zone NOT NULL
);

CREATE TABLE public.tokens (
    token_id uuid NOT NULL,
    user_id uuid NOT NULL,
    name text,
    scopes text[] NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    expires_at timestamp with time zone NOT NULL,
    last_used_at timestamp with time zone,
    revoked_at timestamp with time zone,
    signed boolean DEFAULT false NOT NULL,
    kid text NOT NULL
);

CREATE TABLE public.trimmed_events (
    user_id uuid NOT NULL,
    event_id text NOT NULL COLLATE pg_catalog."C",
    seq bigint NOT NULL,
    received_at timestamp with time zone NOT NULL
);

CREATE TABLE public.users (
    user_id uuid NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    active_at timestamp with time zone DEFAULT now() NOT NULL,
    epoch text NOT NULL,
    last_seq bigint DEFAULT 0 NOT NULL,
    oldest_seq bigint DEFAULT 1 NOT NULL,
    stored_bytes bigint DEFAULT 0 NOT NULL
)
WITH (fillfactor='50');

CREATE TABLE public.vapid_keys (
    only_row boolean DEFAULT true NOT NULL,
    public_key text NOT NULL,
    kid text NOT NULL,
    sealed bytea NOT NULL,
    made_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT vapid_keys_only_row_check CHECK (only_row)
);

CREATE UNLOGGED TABLE public.watching (
    process_id uuid NOT NULL,
    user_id uuid NOT NULL,
    streams integer NOT NULL
);

ALTER TABLE ONLY public.asks
    ADD CONSTRAINT asks_pkey PRIMARY KEY (user_id, ask_id);

ALTER TABLE ONLY public.audit_log
    ADD CONSTRAINT audit_log_pkey PRIMARY KEY (user_id, audit_id);

ALTER TABLE ONLY public.channels
    ADD CONSTRAINT channels_pkey PRIMARY KEY (user_id, channel_id);

ALTER TABLE ONLY public.deleted_users
    ADD CONSTRAINT deleted_users_pkey PRIMARY KEY (user_id);

ALTER TABLE ONLY public.deliveries
    ADD CONSTRAINT deliveries_pkey PRIMARY KEY (user_id, delivery_id);

ALTER TABLE ONLY public.events
    ADD CONSTRAINT events_pkey PRIMARY KEY (user_id, seq);

ALTER TABLE ONLY public.events
    ADD CONSTRAINT events_user_id_event_id_key UNIQUE (user_id, event_id);

ALTER TABLE ONLY public.housekeeping
    ADD CONSTRAINT housekeeping_pkey PRIMARY KEY (only_row);

ALTER TABLE ONLY public.links
    ADD CONSTRAINT links_link_hash_key UNIQUE (link_hash);

ALTER TABLE ONLY public.links
    ADD CONSTRAINT links_pkey PRIMARY KEY (user_id, session_id);

ALTER TABLE ONLY public.mailed_codes
    ADD CONSTRAINT mailed_codes_pkey PRIMARY KEY (only_row);

ALTER TABLE ONLY public.notifications
    ADD CONSTRAINT notifications_pkey PRIMARY KEY (user_id, "position");

ALTER TABLE ONLY public.notified_users
    ADD CONSTRAINT notified_users_pkey PRIMARY KEY (user_id);

ALTER TABLE ONLY public.processes
    ADD CONSTRAINT processes_pkey PRIMARY KEY (process_id);

ALTER TABLE ONLY public.projections
    ADD CONSTRAINT projections_pkey PRIMARY KEY (user_id);

ALTER TABLE ONLY public.readiness
    ADD CONSTRAINT readiness_pkey PRIMARY KEY (only_row);

ALTER TABLE ONLY public.receivers
    ADD CONSTRAINT receivers_pkey PRIMARY KEY (host);

ALTER TABLE ONLY public.schema_migrations
    ADD CONSTRAINT schema_migrations_pkey PRIMARY KEY (version);

ALTER TABLE ONLY public.sessions
    ADD CONSTRAINT sessions_pkey PRIMARY KEY (user_id, session_id);

ALTER TABLE ONLY public.tasks
    ADD CONSTRAINT tasks_pkey PRIMARY KEY (user_id, task_id);

ALTER TABLE ONLY public.tickets
    ADD CONSTRAINT tickets_pkey PRIMARY KEY (user_id, ticket_hash);

ALTER TABLE ONLY public.tokens
    ADD CONSTRAINT tokens_pkey PRIMARY KEY (user_id, token_id);

ALTER TABLE ONLY public.trimmed_events
    ADD CONSTRAINT trimmed_events_pkey PRIMARY KEY (user_id, event_id);

ALTER TABLE ONLY public.users
    ADD CONSTRAINT users_pkey PRIMARY KEY (user_id);

ALTER TABLE ONLY public.vapid_keys
    ADD CONSTRAINT vapid_keys_pkey PRIMARY KEY (only_row);

ALTER TABLE ONLY public.watching
    ADD CONSTRAINT watching_pkey PRIMARY KEY (process_id, user_id);

CREATE INDEX asks_by_end ON public.asks USING btree (ended_at) WHERE (state <> 'open'::text);

CREATE INDEX asks_by_event ON public.asks USING btree (user_id, event_id) WHERE (event_id IS NOT NULL);

CREATE INDEX asks_by_expiry ON public.asks USING btree (expires_at) WHERE (state = 'open'::text);

CREATE UNIQUE INDEX asks_by_id ON public.asks USING btree (ask_id);

CREATE INDEX asks_open_by_user ON public.asks USING btree (user_id, asked_at) WHERE (state = 'open'::text);

CREATE INDEX asks_to_note ON public.asks USING btree (asked_at) WHERE (noted IS DISTINCT FROM state);

CREATE INDEX audit_log_by_time ON public.audit_log USING btree (at);

CREATE INDEX channels_by_key ON public.channels USING btree (kid);

CREATE UNIQUE INDEX channels_of_devices ON public.channels USING btree (user_id, subscription_id) WHERE (subscription_id IS NOT NULL);

CREATE INDEX deleted_users_to_clear ON public.deleted_users USING btree (deleted_at) WHERE (cleared_at IS NULL);

CREATE INDEX deliveries_by_end ON public.deliveries USING btree (ended_at);

CREATE INDEX deliveries_of_channel ON public.deliveries USING btree (user_id, channel_id, delivery_id);

CREATE INDEX links_by_expiry ON public.links USING btree (expires_at);

CREATE UNIQUE INDEX links_by_session ON public.links USING btree (session_id);

CREATE INDEX notifications_by_channel ON public.notifications USING btree (user_id, channel_id, task_id, "position");

CREATE INDEX notifications_by_due ON public.notifications USING btree (due_at) WHERE (stage = ANY (ARRAY['later'::text, 'taken'::text]));

CREATE INDEX notifications_ready ON public.notifications USING btree (host, user_id, channel_id, due_at, "position") WHERE (stage = 'ready'::text);

CREATE INDEX notifications_taken ON public.notifications USING btree (host) WHERE (stage = 'taken'::text);

CREATE INDEX receivers_by_pace ON public.receivers USING btree (paced_until);

CREATE UNIQUE INDEX sessions_by_id ON public.sessions USING btree (session_id);

CREATE INDEX sessions_by_revocation ON public.sessions USING btree (revoked_at) WHERE (revoked_at IS NOT NULL);

CREATE INDEX tasks_to_note ON public.tasks USING btree (user_id) WHERE ((lease_s IS NOT NULL) AND (state = ANY (ARRAY['running'::text, 'waiting'::text])) AND (NOT forgotten) AND (lost_after IS NULL));

CREATE INDEX tasks_with_lease ON public.tasks USING btree (user_id) WHERE ((lease_s IS NOT NULL) AND (state = ANY (ARRAY['running'::text, 'waiting'::text])));

CREATE INDEX tickets_by_expiry ON public.tickets USING btree (expires_at);

CREATE UNIQUE INDEX tickets_by_hash ON public.tickets USING btree (ticket_hash);

CREATE UNIQUE INDEX tokens_by_id ON public.tokens USING btree (token_id);

CREATE INDEX tokens_by_revocation ON public.tokens USING btree (revoked_at) WHERE (revoked_at IS NOT NULL);

CREATE INDEX trimmed_events_by_time ON public.trimmed_events USING btree (received_at);

CREATE TRIGGER tasks_inserted AFTER INSERT ON public.tasks REFERENCING NEW TABLE AS written FOR EACH STATEMENT EXECUTE FUNCTION public.note_changed_tasks();

CREATE TRIGGER tasks_updated AFTER UPDATE ON public.tasks REFERENCING OLD TABLE AS before NEW TABLE AS written FOR EACH STATEMENT EXECUTE FUNCTION public.note_changed_tasks();

CREATE TRIGGER users_deleted AFTER DELETE ON public.users FOR EACH ROW EXECUTE FUNCTION public.note_deleted_user();

ALTER TABLE ONLY public.watching
    ADD CONSTRAINT watching_process_id_fkey FOREIGN KEY (process_id) REFERENCES public.processes(process_id) ON DELETE CASCADE;

INSERT INTO public.schema_migrations (version, name, checksum) VALUES (1, 'users_tokens_events', '2685f06cd5a3c1a6d4d6e14d5251e5c2f2a3902689243e9a0227b0633ce05277');
INSERT INTO public.schema_migrations (version, name, checksum) VALUES (2, 'presence', '2ce5faa2d42890c92d6afd710908daa18640cf1640028fbe4fecec4d8b298f54');
INSERT INTO public.schema_migrations (version, name, checksum) VALUES (3, 'links', '0caf4d67822e5a163cc9c59a8c814e278e80a006c97c1f3f7b5be9263bbe95f3');
INSERT INTO public.schema_migrations (version, name, checksum) VALUES (4, 'append_requests', '87bc24feb273d55a1f5406e8e2e96460a3de39efad174f7ed943b2c3bf6e1806');
INSERT INTO public.schema_migrations (version, name, checksum) VALUES (5, 'append_event', '482ecf568ba39a5c0227c118d30c272058fa7498caa09e378fd85ada9cff1b60');
INSERT INTO public.schema_migrations (version, name, checksum) VALUES (6, 'trim_from_the_oldest', '0def775f3d6927a0a79848796085668d90c5f577902a0425484501160137de52');
INSERT INTO public.schema_migrations (version, name, checksum) VALUES (7, 'bounds_under_lock', 'e683e3ca16044874f6e6b09ae23c6fb97edd5d2612df35858cb4ba172fa09c4e');
INSERT INTO public.schema_migrations (version, name, checksum) VALUES (8, 'sessions_under_lock', '63e9d4c744ed970df03e02c2bb1fe5ac5cf85ea13ef345d38710934f75911b1e');
INSERT INTO public.schema_migrations (version, name, checksum) VALUES (9, 'tasks', 'e254ba3433a8bcfc98bcb02e1d84ed49091bbcb66799d93b47ccc664d766fadd');
INSERT INTO public.schema_migrations (version, name, checksum) VALUES (10, 'deleted_users', '41cd7beba1c27983af5a7766b28ba13625d889b38790b97db50a209241844ee1');
INSERT INTO public.schema_migrations (version, name, checksum) VALUES (11, 'asks', '07101fb3f7420b81e9691cba16b4707977974fe4073a128ac47325756e728fc0');
INSERT INTO public.schema_migrations (version, name, checksum) VALUES (12, 'keys_by_user', '1df5bdd441339ffe4dfdd0f05956ba6394f064aab7df77ccbeb30e3280c5f501');
INSERT INTO public.schema_migrations (version, name, checksum) VALUES (13, 'stop_one_run', '3eb87659bf78094536e60d54e62222becb1fa18de64ed78be71e1f4ce7ce5fba');
INSERT INTO public.schema_migrations (version, name, checksum) VALUES (14, 'housekeeping', '15ba62e5e5f37d7d3569491035fa78e5941e478df1c363445a1fad6254cabc0d');
INSERT INTO public.schema_migrations (version, name, checksum) VALUES (15, 'channels', '24bac097f80ea07c997cac2743a41b7e0575a5ae7ecd6905487c27b70a183206');
INSERT INTO public.schema_migrations (version, name, checksum) VALUES (16, 'changed_tasks', 'de5a908423269f0acf80e4f5129d6831ad15b1e77d2278ebd94b2013d5d56212');
INSERT INTO public.schema_migrations (version, name, checksum) VALUES (17, 'receivers_and_devices', '76f252ec7d4dd02b32e7709774ebd7c99f3d0ad33e4e86aeb021834f2e3038d6');
INSERT INTO public.schema_migrations (version, name, checksum) VALUES (18, 'append_named_without_lock', 'd40743d92bc518eaba9c757235e6063703347b2ed4b530a1ee6face556173386');
INSERT INTO public.schema_migrations (version, name, checksum) VALUES (19, 'turns_of_hosts_and_users', '0dafc79836e899cfbe1c7239510d928f030d9117dcc283341e92b823e014b444');
INSERT INTO public.schema_migrations (version, name, checksum) VALUES (20, 'tests_in_their_turn', '59ef93d5f1aa611a21e268b926c47421954d76d9d558c74a9936f6f49ef70e48');
INSERT INTO public.schema_migrations (version, name, checksum) VALUES (21, 'failures_of_one_round', 'b2f4f841c01f5809bde298500b1f62973a01bd9bc7d01e989a5a0c7df43674c5');
INSERT INTO public.schema_migrations (version, name, checksum) VALUES (22, 'noted_tasks', '87a68febc752b6e46d3110997b71933b8daf0077faa7a03235ed4f865e71755f');
