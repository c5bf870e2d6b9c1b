-- A channel knows which host it calls, and which device it is of.
--
-- Calls of a host are counted for all processes, where a sender takes what is due: many users' channels
-- may lead to one receiver. A device is known by its subscription. It is one channel of its user, however
-- often it subscribes, and is notified as long as its session has not ended.

-- All locks are taken at once or none, as in migration 10.
DO $$
BEGIN
    FOR attempt IN 1..500 LOOP
        BEGIN
            LOCK TABLE channels, notifications IN ACCESS EXCLUSIVE MODE NOWAIT;
            EXIT;
        EXCEPTION WHEN lock_not_available THEN
            PERFORM pg_sleep(0.01);
        END;
    END LOOP;
END
$$;
LOCK TABLE channels, notifications IN ACCESS EXCLUSIVE MODE;

ALTER TABLE channels
    ADD COLUMN host            text, -- that is called; null of mail, which one server takes
    ADD COLUMN subscription_id text, -- of a device: the SHA-256 of its address, in hex
    ADD COLUMN asked_until     timestamptz NOT NULL DEFAULT '-infinity'; -- by a Retry-After
UPDATE channels SET
    host = coalesce(
        shown::json ->> 'service',
        rtrim(btrim(lower(substring(shown::json ->> 'url' FROM '^\w+://(\[[^]]+\]|[^/:]+)')), '[]'), '.')
    ),
    subscription_id = shown::json ->> 'subscription_id';
DELETE FROM channels c USING channels newer -- one that subscribed twice
WHERE newer.user_id = c.user_id AND newer.subscription_id = c.subscription_id
    AND (newer.created_at, newer.channel_id) > (c.created_at, c.channel_id);
DELETE FROM notifications n WHERE NOT EXISTS (
    SELECT FROM channels c WHERE c.user_id = n.user_id AND c.channel_id = n.channel_id
);
CREATE UNIQUE INDEX channels_of_devices ON channels (user_id, subscription_id)
    WHERE subscription_id IS NOT NULL;

-- `under_way` is of one that a sender has taken, until it says what became of it. If that sender ends,
-- the notification is due again, and is under way no more.
ALTER TABLE notifications
    ADD COLUMN host      text, -- of its channel
    ADD COLUMN under_way boolean NOT NULL DEFAULT false;
UPDATE notifications n SET host = c.host
FROM channels c WHERE c.user_id = n.user_id AND c.channel_id = n.channel_id;
CREATE INDEX notifications_under_way ON notifications (host) WHERE under_way;

-- The hosts that were called in the last hour, and the rate of each.
CREATE TABLE receivers (
    host        text PRIMARY KEY,
    paced_until timestamptz NOT NULL DEFAULT now()
) WITH (fillfactor = 50);

-- The rate of all mailed codes together.
CREATE TABLE mailed_codes (
    only_row    boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    paced_until timestamptz NOT NULL DEFAULT now()
);

-- Counts a code that is to be mailed; returns 0, or in how many seconds one may be.
CREATE FUNCTION take_mail_code(code_interval interval, code_burst integer) RETURNS double precision
LANGUAGE plpgsql AS $$
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

-- As before; a notification has the host of its channel.
CREATE OR REPLACE FUNCTION make_notifications(
    user_ids   uuid[], -- those of the owners whose change was made
    owners     uuid[],
    states     text[],
    task_ids   text[],
    runs       bigint[],
    titles     text[],
    messages   text[],
    exit_codes bigint[],
    durations  double precision[],
    ask_ids    uuid[],
    channel_interval interval,
    channel_burst    integer,
    user_interval    interval,
    user_burst       integer,
    most_waiting     bigint,  -- of one channel
    most_deliveries  integer  -- of one channel
) RETURNS bigint
LANGUAGE plpgsql AS $$
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
            row_number() OVER (PARTITION BY user_id, channel_id ORDER BY place) AS of_channel
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
            host, due_at
        )
        SELECT user_id, channel_id, state, task_id, run, title, message, exit_code, duration_s,
            ask_id, host, greatest(
                now(), paused_until,
                greatest(user_paced_until, now()) + (of_user - user_burst) * user_interval,
                greatest(paced_until, now()) + (of_channel - channel_burst) * channel_interval
            )
        FROM placed ORDER BY place, channel_id
        RETURNING 1
    )
    SELECT count(*) INTO made FROM made;

    PERFORM keep_deliveries_within(c.user_id, c.channel_id, most_deliveries)
    FROM channels c WHERE c.user_id = ANY (owners) AND c.user_id = ANY (user_ids);
    RETURN made;
END
$$;

-- As before. `wishes` are the seconds for which receivers ask not to be called: a test obeys them, too.
-- `settings` are those that were used, as they were sealed: what others than the channel's present
-- ones have met says nothing of it, and the notification is due again at once.
DROP FUNCTION finish_notifications(
    uuid[], bigint[], uuid[], text[], integer[], text[], double precision[], double precision[],
    boolean[], interval, integer, integer
);
CREATE FUNCTION finish_notifications(
    user_ids    uuid[],
    positions   bigint[],
    channel_ids uuid[],
    outcomes    text[],
    statuses    integer[],
    errors      text[],
    pauses      double precision[],
    channel_pauses double precision[],
    wishes      double precision[],
    ends        boolean[],
    settings    bytea[],
    channel_interval interval,
    channel_burst    integer,
    most_deliveries  integer
) RETURNS void
LANGUAGE plpgsql AS $$
#variable_conflict use_column
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
    )
    INSERT INTO deliveries (
        user_id, channel_id, notification_id, state, task_id, run, made_at, outcome, attempts,
        status, error
    )
    SELECT user_id, channel_id, notification_id, state, task_id, run, made_at, outcome, attempts,
        status, error
    FROM ended ORDER BY position;

    -- `failures` begins anew with a delivery; several failures at once count as one
    UPDATE channels c SET
        failures = CASE WHEN g.delivered THEN 0 WHEN g.failed THEN c.failures + 1
            ELSE c.failures END,
        paused_until = CASE WHEN g.delivered THEN '-infinity' WHEN g.pause IS NULL
            THEN c.paused_until ELSE now() + g.pause * interval '1 second' END,
        asked_until = CASE WHEN g.delivered THEN '-infinity' WHEN g.wish IS NULL
            THEN c.asked_until ELSE now() + g.wish * interval '1 second' END,
        delivered_at = CASE WHEN g.delivered THEN now() ELSE c.delivered_at END,
        failed_at = CASE WHEN g.failed THEN now() ELSE c.failed_at END,
        last_error = coalesce(g.error, c.last_error),
        ended_at = CASE WHEN g.ends THEN now() ELSE c.ended_at END
    FROM (
        SELECT user_id, channel_id, bool_or(outcome = 'delivered') AS delivered,
            bool_or(outcome IN ('retry', 'failed')) AS failed, max(pause) AS pause,
            max(wish) AS wish,
            max(error) FILTER (WHERE outcome <> 'outdated') AS error, bool_or(ends) AS ends
        FROM unnest(user_ids, channel_ids, outcomes, errors, channel_pauses, wishes, ends)
            AS g (user_id, channel_id, outcome, error, pause, wish, ends)
        GROUP BY user_id, channel_id
    ) g
    WHERE c.user_id = g.user_id AND c.channel_id = g.channel_id;

    UPDATE notifications n SET
        due_at = now() + g.pause * interval '1 second', last_status = g.status,
        last_error = g.error, under_way = false
    FROM unnest(user_ids, positions, outcomes, statuses, errors, pauses)
        AS g (user_id, position, outcome, status, error, pause)
    WHERE n.user_id = g.user_id AND n.position = g.position AND g.outcome = 'retry';

    -- what waits for a channel that is paused now follows it at the channel's rate; what is under way
    -- stays its sender's
    UPDATE notifications n SET
        due_at = w.paused_until + greatest(w.place - channel_burst, 0) * channel_interval,
        under_way = false
    FROM (
        SELECT n.user_id, n.position, c.paused_until,
            row_number() OVER (PARTITION BY c.user_id, c.channel_id ORDER BY n.position) AS place
        FROM channels c
        JOIN notifications n ON n.user_id = c.user_id AND n.channel_id = c.channel_id
        WHERE c.user_id = ANY (user_ids) AND c.channel_id = ANY (channel_ids)
            AND c.paused_until > now() AND n.due_at < c.paused_until
            AND NOT (n.under_way AND n.due_at > now())
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

-- The hosts to which nothing can be sent now: their rate is used up, or as many calls are under way as
-- there may be.
CREATE FUNCTION closed_receivers(host_interval interval, host_burst integer, most_calls integer)
RETURNS SETOF text
LANGUAGE sql STABLE AS $$
    SELECT r.host FROM receivers r
    WHERE host_interval > interval '0' AND r.paced_until > now() + (host_burst - 1) * host_interval
    UNION
    SELECT n.host FROM notifications n
    WHERE n.under_way AND n.due_at > now() AND n.host IS NOT NULL
    GROUP BY n.host HAVING count(*) >= most_calls
$$;

-- As before; and of one host at most `most_calls` are under way, of all processes, at the rate of
-- `host_interval` and `host_burst` (GCRA; an interval of 0 is no rate). Where fewer may be sent than are
-- due, users with the fewest under way come first there, too. What has no host has no such bound.
DROP FUNCTION take_notifications(integer, integer, integer, uuid[], integer[], uuid[], interval);
CREATE FUNCTION take_notifications(
    most integer, most_of_user integer, most_of_channel integer,
    busy uuid[], counts integer[], saturated uuid[], lease interval,
    host_interval interval, host_burst integer, most_calls integer
) RETURNS SETOF notifications
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    closed text[];
    called text[];
    owners uuid[];
    places bigint[];
BEGIN
    -- those that are closed are left out here, so that what waits for them is not looked through
    SELECT coalesce(array_agg(c), '{}') INTO closed
    FROM closed_receivers(host_interval, host_burst, most_calls) c;
    SELECT array_agg(c.user_id), array_agg(c.position), array_agg(DISTINCT c.host)
    INTO owners, places, called
    FROM (
        SELECT n.user_id, n.position, n.host FROM notifications n
        WHERE n.due_at <= now() AND n.user_id <> ALL (saturated) AND n.channel_id <> ALL (saturated)
            AND (n.host IS NULL OR n.host <> ALL (closed))
            AND NOT EXISTS (
                SELECT FROM notifications e WHERE e.user_id = n.user_id
                    AND e.channel_id = n.channel_id AND e.task_id = n.task_id
                    AND e.position < n.position
            )
        ORDER BY n.due_at LIMIT 1000
    ) c;
    IF owners IS NULL THEN
        RETURN;
    END IF;
    INSERT INTO receivers (host) SELECT h FROM unnest(called) h WHERE h IS NOT NULL ORDER BY h
    ON CONFLICT DO NOTHING;
    -- from here on no other process takes anything for these hosts: each counts what the one before took
    PERFORM FROM receivers r WHERE r.host = ANY (called) ORDER BY r.host FOR NO KEY UPDATE;

    RETURN QUERY
    WITH due AS MATERIALIZED (
        SELECT c.user_id, c.position, c.host, c.due_at,
            row_number() OVER (PARTITION BY c.user_id, c.channel_id ORDER BY c.due_at, c.position)
                + coalesce(b.count, 0) AS of_channel
        FROM unnest(owners, places) AS g (user_id, position)
        JOIN notifications c ON c.user_id = g.user_id AND c.position = g.position AND c.due_at <= now()
        LEFT JOIN unnest(busy, counts) AS b (id, count) ON b.id = c.channel_id
    ), of_users AS MATERIALIZED (
        SELECT d.*, row_number() OVER (PARTITION BY d.user_id ORDER BY d.due_at, d.position)
            + coalesce(b.count, 0) AS of_user
        FROM due d LEFT JOIN unnest(busy, counts) AS b (id, count) ON b.id = d.user_id
        WHERE d.of_channel <= most_of_channel
    ), fitting AS MATERIALIZED (
        SELECT o.*, row_number() OVER (PARTITION BY o.host ORDER BY o.of_user, o.due_at, o.position)
            AS of_host
        FROM of_users o WHERE o.of_user <= most_of_user
    ), room AS MATERIALIZED (
        SELECT r.host, least(most_calls - coalesce(b.calls, 0), CASE
            WHEN host_interval > interval '0' THEN floor(host_burst
                - extract(epoch FROM greatest(r.paced_until, now()) - now())
                / extract(epoch FROM host_interval))
            ELSE most END) AS calls
        FROM receivers r
        LEFT JOIN (
            SELECT n.host, count(*) AS calls FROM notifications n
            WHERE n.under_way AND n.due_at > now() GROUP BY n.host
        ) b ON b.host = r.host
        WHERE r.host = ANY (called)
    ), taken AS (
        SELECT n.user_id, n.position, n.host FROM notifications n
        JOIN fitting f ON f.user_id = n.user_id AND f.position = n.position
        LEFT JOIN room r ON r.host = f.host
        WHERE n.due_at <= now() AND (f.host IS NULL OR f.of_host <= r.calls)
        -- users with the fewest under way come first, however many wait of others
        ORDER BY f.of_user, n.due_at LIMIT most
        FOR UPDATE OF n SKIP LOCKED
    ), charged AS (
        UPDATE receivers r SET paced_until = greatest(r.paced_until, now()) + t.calls * host_interval
        FROM (SELECT host, count(*) AS calls FROM taken GROUP BY host) t WHERE r.host = t.host
    )
    UPDATE notifications n SET due_at = now() + lease, attempts = n.attempts + 1, under_way = true
    FROM taken t WHERE n.user_id = t.user_id AND n.position = t.position
    RETURNING n.*;
END
$$;

-- Puts a test into the outbox of a channel, to be sent at once. It counts for the rates of the channel
-- and of the user, and waits for no pause but one that the receiver has asked for. `outcome`: `made`,
-- or what is in the way: `blocked` (there is no such channel, it has ended, or `most_waiting` wait for
-- it), `asked` by the receiver, the rate of the `channel` or of the `user`. The last three end in `wait_s`.
CREATE FUNCTION add_test(
    of_user    uuid,
    of_channel uuid,
    of_session uuid,
    channel_interval interval,
    channel_burst    integer,
    user_interval    interval,
    user_burst       integer,
    most_waiting     bigint
) RETURNS TABLE (outcome text, notification_id uuid, wait_s double precision)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    reached channels%ROWTYPE;
    of_all  timestamptz;
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
    waits := ARRAY[
        greatest(reached.asked_until, now()) - now(),
        CASE WHEN channel_interval > interval '0' THEN
            greatest(reached.paced_until, now()) - now() - (channel_burst - 1) * channel_interval END,
        CASE WHEN user_interval > interval '0' THEN
            greatest(of_all, now()) - now() - (user_burst - 1) * user_interval END
    ];
    FOR number IN 1..3 LOOP
        IF waits[number] > interval '0' THEN
            outcome := (ARRAY['asked', 'channel', 'user'])[number];
            wait_s := extract(epoch FROM waits[number]);
            RETURN NEXT;
            RETURN;
        END IF;
    END LOOP;
    UPDATE notified_users n SET paced_until = greatest(n.paced_until, now()) + user_interval
    WHERE n.user_id = of_user;
    UPDATE channels c SET paced_until = greatest(c.paced_until, now()) + channel_interval
    WHERE c.user_id = of_user AND c.channel_id = of_channel;
    INSERT INTO notifications AS n (user_id, channel_id, state, host, due_at)
    VALUES (of_user, of_channel, 'test', reached.host, now())
    RETURNING n.notification_id INTO notification_id;
    INSERT INTO audit_log (user_id, action, subject) VALUES (of_user, 'channel_tested', of_session);
    outcome := 'made';
    RETURN NEXT;
END
$$;

-- Deletes channels of a user, and what waits for them.
CREATE FUNCTION drop_channels(of_user uuid, of_channels uuid[]) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM lock_user(of_user);
    PERFORM FROM notified_users WHERE user_id = of_user FOR UPDATE; -- notifications are made under it
    DELETE FROM channels WHERE user_id = of_user AND channel_id = ANY (of_channels);
    DELETE FROM notifications WHERE user_id = of_user AND channel_id = ANY (of_channels);
    DELETE FROM deliveries WHERE user_id = of_user AND channel_id = ANY (of_channels);
    DELETE FROM notified_users WHERE user_id = of_user
        AND NOT EXISTS (SELECT FROM channels c WHERE c.user_id = of_user);
END
$$;

-- Removes a channel, and what waits for it; returns whether there was one.
CREATE OR REPLACE FUNCTION remove_channel(of_user uuid, of_channel uuid, of_session uuid) RETURNS boolean
LANGUAGE plpgsql AS $$
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

-- Adds a channel on behalf of a session. A device is one channel: if its subscription is known already,
-- or that which it `replaces`, the channel of that is changed and keeps its id, because what waits for it
-- is sent on. `outcome`:
--   added, replaced: it is stored
--   other: the channel has the id `kept`, and its settings have to be sealed for that; nothing is changed
--   unknown: there is no channel of what it replaces
--   full: the user has `most` of them
--   gone: the user is gone, or the session of a device has ended
DROP FUNCTION add_channel(
    uuid, uuid, text, text, bytea, text, text[], double precision, boolean, boolean, uuid, bigint
);
CREATE FUNCTION add_channel(
    of_user     uuid,
    new_channel uuid,
    of_kind     text,
    of_key      text,
    settings    bytea,
    for_lists   text,
    of_events   text[],
    min_seconds double precision,
    if_watched  boolean,
    messages    boolean,
    of_session  uuid,
    of_host     text,
    of_device   text,
    replaces    text,
    most        bigint
) RETURNS TABLE (outcome text, kept uuid)
LANGUAGE plpgsql AS $$
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
        IF former <> kept THEN
            PERFORM drop_channels(of_user, ARRAY[former]);
        END IF;
        -- what its receiver had asked for, and how it had failed, is of the subscription before
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
        UPDATE notifications n SET host = of_host WHERE n.user_id = of_user AND n.channel_id = kept;
        INSERT INTO audit_log (user_id, action, subject)
        VALUES (of_user, 'channel_replaced', of_session);
    END IF;
    RETURN NEXT;
END
$$;

-- Removes the channels of devices whose session has ended: those that `of_session` added, or with
-- `others` those that any other one added, also one that had expired.
CREATE FUNCTION remove_devices(of_user uuid, of_session uuid, others boolean) RETURNS void
LANGUAGE plpgsql AS $$
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

-- Ends a session, with the channel of its device.
CREATE FUNCTION end_session(of_session uuid, of_user uuid) RETURNS void
LANGUAGE plpgsql AS $$
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

-- As before, with the channels of other devices.
CREATE OR REPLACE FUNCTION end_other_sessions(of_session uuid, of_user uuid) RETURNS uuid[]
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
