-- What a sender may take is found by an index, in turns of hosts and of users.
--
-- A notification is in one of four stages, and only those that may be taken now are in the index that
-- senders look through. So a look costs what it takes, however much waits.

-- All locks are taken at once or none, as in migration 10.
DO $$
BEGIN
    FOR attempt IN 1..500 LOOP
        BEGIN
            LOCK TABLE channels, notifications, receivers IN ACCESS EXCLUSIVE MODE NOWAIT;
            EXIT;
        EXCEPTION WHEN lock_not_available THEN
            PERFORM pg_sleep(0.01);
        END;
    END LOOP;
END
$$;
LOCK TABLE channels, notifications, receivers IN ACCESS EXCLUSIVE MODE;

-- later:  is looked at when it is due
-- behind: is due, and an earlier one of its task is not over
-- ready:  may be taken
-- taken:  is under way; if its sender says nothing of it until it is due again, it is later
ALTER TABLE notifications
    ADD COLUMN stage text NOT NULL DEFAULT 'later'
        CHECK (stage IN ('later', 'behind', 'ready', 'taken'));
UPDATE notifications SET stage = 'taken' WHERE under_way;
DROP INDEX notifications_by_due;
DROP INDEX notifications_under_way;
ALTER TABLE notifications DROP COLUMN under_way;

-- What goes by mail has the host `@`, which no address has, and no bounds. Turns are in the order of
-- bytes, as processes compare texts.
UPDATE notifications SET host = '@' WHERE host IS NULL;
ALTER TABLE notifications
    ALTER COLUMN host TYPE text COLLATE "C",
    ALTER COLUMN host SET DEFAULT '@',
    ALTER COLUMN host SET NOT NULL;
CREATE INDEX notifications_by_due ON notifications (due_at) WHERE stage IN ('later', 'taken');
CREATE INDEX notifications_ready ON notifications (host, user_id, channel_id, due_at, position)
    WHERE stage = 'ready';
CREATE INDEX notifications_taken ON notifications (host) WHERE stage = 'taken';

-- `turn_of` is the user of whom something was sent to the host last: the next one in order comes next.
ALTER TABLE receivers
    ALTER COLUMN host TYPE text COLLATE "C",
    ADD COLUMN turn_of uuid NOT NULL DEFAULT '00000000-0000-0000-0000-000000000000';
CREATE INDEX receivers_by_pace ON receivers (paced_until);

-- As before; one that is due, and behind none of its task, is ready.
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

-- Ends the pause of a channel for what waits for it, which keeps the distances of the channel's rate.
CREATE FUNCTION end_pause(of_user uuid, of_channel uuid) RETURNS void
LANGUAGE sql AS $$
    UPDATE notifications n SET due_at = greatest(now(), n.due_at - (c.paused_until - now()))
    FROM channels c
    WHERE c.user_id = of_user AND c.channel_id = of_channel AND c.paused_until > now()
        AND n.user_id = of_user AND n.channel_id = of_channel AND n.stage = 'later'
$$;

-- As before; what was behind one that is over is looked at, a delivery ends the pause of what waits,
-- and a wish of the receiver holds until its time has come.
CREATE OR REPLACE FUNCTION finish_notifications(
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

    -- `failures` begins anew with a delivery; several failures at once count as one. A delivery ends a
    -- pause, and not what the receiver has asked for: it was under way before
    UPDATE channels c SET
        failures = CASE WHEN g.delivered THEN 0 WHEN g.failed THEN c.failures + 1
            ELSE c.failures END,
        paused_until = CASE
            WHEN g.delivered THEN greatest(c.asked_until, now() + g.wish * interval '1 second')
            WHEN g.pause IS NULL THEN c.paused_until
            ELSE greatest(c.asked_until, now() + g.pause * interval '1 second') END,
        asked_until = greatest(c.asked_until, now() + g.wish * interval '1 second'),
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

-- As before. There are few of them, because each was called a moment ago.
CREATE OR REPLACE FUNCTION closed_receivers(
    host_interval interval, host_burst integer, most_calls integer
) RETURNS SETOF text
LANGUAGE sql STABLE AS $$
    SELECT r.host FROM receivers r
    WHERE host_interval > interval '0' AND r.host <> '@'
        AND r.paced_until > now() + (host_burst - 1) * host_interval
    UNION
    SELECT n.host FROM notifications n
    WHERE n.stage = 'taken' AND n.due_at > now() AND n.host <> '@'
    GROUP BY n.host HAVING count(*) >= most_calls
$$;

-- Has those that are due looked at: they are ready, or behind another one of their task. At most `most`
-- at a time, and those first that have been due longest. Returns how many they were.
CREATE FUNCTION ready_notifications(most integer) RETURNS integer
LANGUAGE plpgsql AS $$
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

-- The next hosts for which something is ready: those after `after_host`, then from the first one on.
-- `closed` are left out. Each host is one step in the index, however much waits for it.
CREATE FUNCTION hosts_in_turn(after_host text, closed text[], most integer) RETURNS text[]
LANGUAGE plpgsql STABLE AS $$
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

-- The next users of whom something is ready for a host, in the same way.
CREATE FUNCTION users_in_turn(of_host text, after_user uuid, without uuid[], most integer)
RETURNS uuid[]
LANGUAGE plpgsql STABLE AS $$
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

-- Takes what is ready for a sender, until `lease` is over. At most `most_of_user` and `most_of_channel`
-- of one user and channel are under way then: `busy` are ids of both, and `counts` how many the sender
-- has of each. Of those that are `saturated` none are taken.
--
-- Of one host at most `most_calls` are under way, of all processes, at the rate of `host_interval` and
-- `host_burst` (GCRA; an interval of 0 is no rate). Hosts have turns, from the one after `after_host` on;
-- users have turns at a host, which all processes share; and where fewer can be taken than have a turn,
-- users with the fewest under way come first.
DROP FUNCTION take_notifications(
    integer, integer, integer, uuid[], integer[], uuid[], interval, interval, integer, integer
);
CREATE FUNCTION take_notifications(
    most integer, most_of_user integer, most_of_channel integer,
    busy uuid[], counts integer[], saturated uuid[], lease interval,
    host_interval interval, host_burst integer, most_calls integer,
    after_host text
) RETURNS SETOF notifications
LANGUAGE plpgsql
-- each statement follows an index for a few steps, whatever the statistics say of a table that is
-- empty most of the time; what is sorted all the same are a few rows
SET enable_seqscan = off SET enable_bitmapscan = off SET enable_hashjoin = off
SET enable_mergejoin = off SET enable_sort = off
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

-- As before; a test is ready at once, because it has no task.
CREATE OR REPLACE FUNCTION add_test(
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
    INSERT INTO notifications AS n (user_id, channel_id, state, host, due_at, stage)
    VALUES (of_user, of_channel, 'test', coalesce(reached.host, '@'), now(), 'ready')
    RETURNING n.notification_id INTO notification_id;
    INSERT INTO audit_log (user_id, action, subject) VALUES (of_user, 'channel_tested', of_session);
    outcome := 'made';
    RETURN NEXT;
END
$$;

-- As before; the channels are locked first.
CREATE OR REPLACE FUNCTION drop_channels(of_user uuid, of_channels uuid[]) RETURNS void
LANGUAGE plpgsql AS $$
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

-- As before; what waits for a channel of which another subscription takes the place is paused no longer,
-- and the channels are locked in their order.
CREATE OR REPLACE FUNCTION add_channel(
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
