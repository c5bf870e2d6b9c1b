-- Channels, and the outbox of notifications that are on their way to them.
--
-- A notification is made in the transaction of the change that it is about: with the rows of tasks,
-- with the row of an ask, or with the mark of a task that was lost. Senders of every process take
-- those that are due, and delete one when it is delivered. What became of it stays for a week.

-- One row for each user with a channel: so a fold finds out in one step that most users have none,
-- and the row's lock lets the notifications of a user follow one another.
CREATE TABLE notified_users (
    user_id       uuid PRIMARY KEY,
    visible_until timestamptz NOT NULL DEFAULT '-infinity', -- a page is being looked at until then
    paced_until   timestamptz NOT NULL DEFAULT '-infinity', -- the rate of all channels of the user
    since         timestamptz NOT NULL DEFAULT now()
) WITH (fillfactor = 50);

CREATE TABLE channels (
    user_id        uuid NOT NULL, -- of users, without a foreign key: see migration 10
    channel_id     uuid NOT NULL,
    kind           text NOT NULL,
    kid            text NOT NULL,  -- of the signing key from which the key of `sealed` is derived
    sealed         bytea NOT NULL, -- the settings of the kind, encrypted
    shown          text NOT NULL,  -- JSON: the part of them that lists show
    events         text[] NOT NULL, -- of which states it is told
    min_duration_s double precision NOT NULL, -- of a task that succeeded
    unless_watched boolean NOT NULL,
    with_message   boolean NOT NULL,
    created_at     timestamptz NOT NULL DEFAULT now(),
    created_by     uuid NOT NULL, -- the session
    paced_until    timestamptz NOT NULL DEFAULT '-infinity',
    failures       integer NOT NULL DEFAULT 0, -- since the last delivery
    paused_until   timestamptz NOT NULL DEFAULT '-infinity', -- after a failure
    delivered_at   timestamptz, -- the last delivery
    failed_at      timestamptz, -- the last failure, and what it was
    last_error     text,
    ended_at       timestamptz, -- the receiver ended it
    PRIMARY KEY (user_id, channel_id)
) WITH (fillfactor = 50);
CREATE INDEX channels_by_key ON channels (kid);

-- What is not delivered yet. `due_at` is also how long it belongs to the sender that has taken it:
-- if that one ends, the notification is due again.
CREATE TABLE notifications (
    user_id         uuid NOT NULL,
    position        bigint GENERATED ALWAYS AS IDENTITY,
    notification_id uuid NOT NULL DEFAULT gen_random_uuid(),
    channel_id      uuid NOT NULL,
    state           text NOT NULL, -- failed, lost, waiting, succeeded, canceled; test
    made_at         timestamptz NOT NULL DEFAULT now(),
    task_id         text COLLATE "C",
    run             bigint,
    title           text,
    message         text,
    exit_code       bigint,
    duration_s      double precision,
    ask_id          uuid,
    due_at          timestamptz NOT NULL,
    attempts        integer NOT NULL DEFAULT 0,
    last_status     integer,
    last_error      text,
    PRIMARY KEY (user_id, position)
) WITH (fillfactor = 70);
CREATE INDEX notifications_by_due ON notifications (due_at);
CREATE INDEX notifications_by_channel ON notifications (user_id, channel_id, task_id, position);

-- What became of notifications: the latest of each channel.
CREATE TABLE deliveries (
    user_id         uuid NOT NULL,
    delivery_id     bigint GENERATED ALWAYS AS IDENTITY,
    channel_id      uuid NOT NULL,
    notification_id uuid NOT NULL,
    state           text NOT NULL,
    task_id         text COLLATE "C",
    run             bigint,
    made_at         timestamptz NOT NULL,
    ended_at        timestamptz NOT NULL DEFAULT now(),
    outcome         text NOT NULL
        CHECK (outcome IN ('delivered', 'failed', 'watched', 'outdated', 'left_out')),
    attempts        integer NOT NULL,
    status          integer,
    error           text,
    PRIMARY KEY (user_id, delivery_id)
);
CREATE INDEX deliveries_of_channel ON deliveries (user_id, channel_id, delivery_id);
CREATE INDEX deliveries_by_end ON deliveries (ended_at);

-- The keys by which push services know this Relay: made once.
CREATE TABLE vapid_keys (
    only_row   boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    public_key text NOT NULL,
    kid        text NOT NULL,
    sealed     bytea NOT NULL, -- the private key, encrypted as the settings of channels are
    made_at    timestamptz NOT NULL DEFAULT now()
);

-- When the task was last heard of before it was lost, if that was noted. A later event or beat makes
-- the note void, so a task that was found again is noted again.
ALTER TABLE tasks ADD COLUMN lost_after timestamptz;

-- Keeps the latest deliveries of a channel.
CREATE FUNCTION keep_deliveries_within(of_user uuid, of_channel uuid, most integer) RETURNS void
LANGUAGE sql AS $$
    DELETE FROM deliveries WHERE user_id = of_user AND channel_id = of_channel AND delivery_id <= (
        SELECT d.delivery_id FROM deliveries d
        WHERE d.user_id = of_user AND d.channel_id = of_channel
        ORDER BY d.delivery_id DESC OFFSET most LIMIT 1
    )
$$;

-- Makes the notifications of what happened to tasks of these users, for each of their channels whose
-- rules ask for it. Returns how many are to be sent.
--
-- The rates are kept here, by the generic cell rate algorithm: a notification over the rate is due
-- later. So they hold for all processes together. An interval of 0 is no rate.
CREATE FUNCTION make_notifications(
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
            n.paced_until AS user_paced_until, c.paced_until, c.paused_until,
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
            due_at
        )
        SELECT user_id, channel_id, state, task_id, run, title, message, exit_code, duration_s,
            ask_id, greatest(
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

-- Makes the notifications of an ask without a task: no fold comes by it. Returns how many are to be
-- sent.
CREATE FUNCTION notify_of_ask(
    of_user uuid,
    of_ask  uuid,
    channel_interval interval,
    channel_burst    integer,
    user_interval    interval,
    user_burst       integer,
    most_waiting     bigint,
    most_deliveries  integer
) RETURNS bigint
LANGUAGE sql AS $$
    SELECT make_notifications(
        ARRAY[of_user], ARRAY[of_user], ARRAY['waiting'], ARRAY[NULL::text], ARRAY[NULL::bigint],
        ARRAY[NULL::text], ARRAY[NULL::text], ARRAY[NULL::bigint],
        ARRAY[NULL::double precision], ARRAY[of_ask],
        channel_interval, channel_burst, user_interval, user_burst, most_waiting, most_deliveries
    )
$$;

-- Notes the tasks whose lease has run out, of users with a channel, and makes their notifications.
-- Returns how many are to be sent. A task with an event that is not folded yet is left alone.
CREATE FUNCTION note_lost_tasks(
    most integer, -- tasks
    channel_interval interval,
    channel_burst    integer,
    user_interval    interval,
    user_burst       integer,
    most_waiting     bigint,
    most_deliveries  integer
) RETURNS bigint
LANGUAGE plpgsql AS $$
DECLARE
    locked uuid[];
    lost   record;
BEGIN
    -- the locks of the projections come before those of tasks, as in a fold
    SELECT array_agg(p.user_id) INTO locked FROM (
        SELECT p.user_id FROM projections p
        WHERE p.user_id IN (SELECT l.user_id FROM select_lost_tasks(NULL, most) l)
        ORDER BY p.user_id FOR UPDATE SKIP LOCKED
    ) p;
    IF locked IS NULL THEN
        RETURN 0;
    END IF;
    WITH noted AS (
        UPDATE tasks t SET lost_after = greatest(t.last_at, t.beat_at)
        FROM select_lost_tasks(locked, most) l
        WHERE t.user_id = ANY (locked) AND t.user_id = l.user_id AND t.task_id = l.task_id
        RETURNING t.*
    )
    SELECT array_agg(user_id) AS owners, array_agg('lost'::text) AS states,
        array_agg(task_id) AS task_ids, array_agg(run) AS runs, array_agg(title) AS titles,
        array_agg(message) AS messages, array_agg(NULL::bigint) AS exit_codes,
        array_agg(NULL::double precision) AS durations,
        array_agg(NULL::uuid) AS ask_ids
    INTO lost FROM noted;
    RETURN make_notifications(
        locked, lost.owners, lost.states, lost.task_ids, lost.runs, lost.titles, lost.messages,
        lost.exit_codes, lost.durations, lost.ask_ids,
        channel_interval, channel_burst, user_interval, user_burst, most_waiting, most_deliveries
    );
END
$$;

-- Tasks that are lost, and not noted as such, of these users or of all that have a channel.
CREATE FUNCTION select_lost_tasks(user_ids uuid[], most integer)
RETURNS TABLE (user_id uuid, task_id text)
LANGUAGE sql STABLE AS $$
    SELECT t.user_id, t.task_id
    FROM notified_users n
    JOIN tasks t ON t.user_id = n.user_id AND t.lease_s IS NOT NULL
        AND t.state IN ('running', 'waiting') AND NOT t.forgotten
    JOIN projections p ON p.user_id = t.user_id
    WHERE (user_ids IS NULL OR t.user_id = ANY (user_ids))
        AND t.lost_after IS DISTINCT FROM greatest(t.last_at, t.beat_at)
        AND now() > greatest(t.last_at, t.beat_at) + t.lease_s * interval '1 second'
        AND now() > lease_ends_at(greatest(t.last_at, t.beat_at), t.lease_s)
        -- what was lost before there was a channel is no news
        AND lease_ends_at(greatest(t.last_at, t.beat_at), t.lease_s) > n.since
        AND NOT EXISTS (
            SELECT FROM events e WHERE e.user_id = t.user_id AND e.seq > p.seq
                AND (e.task_id = t.task_id OR e.task_id IS NULL)
        )
    LIMIT most
$$;

-- Takes due notifications for a sender, until `lease` is over. At most `most_of_user` and
-- `most_of_channel` of one user and channel are under way then: `busy` are ids of both, and `counts`
-- how many the sender has of each. Of those that are `saturated` none are looked at. One of a task waits
-- for those before it.
CREATE FUNCTION take_notifications(
    most integer, most_of_user integer, most_of_channel integer,
    busy uuid[], counts integer[], saturated uuid[], lease interval
) RETURNS SETOF notifications
LANGUAGE sql AS $$
    WITH due AS MATERIALIZED (
        SELECT c.user_id, c.position,
            row_number() OVER (PARTITION BY c.user_id ORDER BY c.due_at, c.position) AS of_user,
            row_number() OVER (PARTITION BY c.user_id, c.channel_id ORDER BY c.due_at, c.position)
                AS of_channel,
            coalesce((SELECT g.count FROM unnest(busy, counts) AS g (id, count)
                WHERE g.id = c.user_id), 0) AS sent_of_user,
            coalesce((SELECT g.count FROM unnest(busy, counts) AS g (id, count)
                WHERE g.id = c.channel_id), 0) AS sent_of_channel
        FROM (
            SELECT n.* FROM notifications n
            WHERE n.due_at <= now() AND n.user_id <> ALL (saturated) AND n.channel_id <> ALL (saturated)
                AND NOT EXISTS (
                    SELECT FROM notifications e WHERE e.user_id = n.user_id
                        AND e.channel_id = n.channel_id AND e.task_id = n.task_id
                        AND e.position < n.position
                )
            ORDER BY n.due_at LIMIT 1000
        ) c
    ), taken AS (
        SELECT n.user_id, n.position FROM notifications n
        JOIN due d ON d.user_id = n.user_id AND d.position = n.position
        WHERE d.of_user + d.sent_of_user <= most_of_user
            AND d.of_channel + d.sent_of_channel <= most_of_channel AND n.due_at <= now()
        -- users with the fewest under way come first, however many wait of others
        ORDER BY d.of_user + d.sent_of_user, n.due_at LIMIT most
        FOR UPDATE OF n SKIP LOCKED
    )
    UPDATE notifications n SET due_at = now() + lease, attempts = n.attempts + 1
    FROM taken t WHERE n.user_id = t.user_id AND n.position = t.position
    RETURNING n.*
$$;

-- Writes what became of notifications that a sender had taken. `outcomes` are those of deliveries,
-- or `retry`: then it is due again in `pauses` seconds. After a failure nothing else is sent to the
-- channel for `channel_pauses`. One that `ends` its channel takes what waits for that along.
CREATE FUNCTION finish_notifications(
    user_ids    uuid[],
    positions   bigint[],
    channel_ids uuid[],
    outcomes    text[],
    statuses    integer[],
    errors      text[],
    pauses      double precision[],
    channel_pauses double precision[],
    ends        boolean[],
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
        delivered_at = CASE WHEN g.delivered THEN now() ELSE c.delivered_at END,
        failed_at = CASE WHEN g.failed THEN now() ELSE c.failed_at END,
        last_error = coalesce(g.error, c.last_error),
        ended_at = CASE WHEN g.ends THEN now() ELSE c.ended_at END
    FROM (
        SELECT user_id, channel_id, bool_or(outcome = 'delivered') AS delivered,
            bool_or(outcome IN ('retry', 'failed')) AS failed, max(pause) AS pause,
            max(error) FILTER (WHERE outcome <> 'outdated') AS error, bool_or(ends) AS ends
        FROM unnest(user_ids, channel_ids, outcomes, errors, channel_pauses, ends)
            AS g (user_id, channel_id, outcome, error, pause, ends)
        GROUP BY user_id, channel_id
    ) g
    WHERE c.user_id = g.user_id AND c.channel_id = g.channel_id;

    UPDATE notifications n SET
        due_at = now() + g.pause * interval '1 second', last_status = g.status, last_error = g.error
    FROM unnest(user_ids, positions, outcomes, statuses, errors, pauses)
        AS g (user_id, position, outcome, status, error, pause)
    WHERE n.user_id = g.user_id AND n.position = g.position AND g.outcome = 'retry';

    -- what waits for a channel that is paused now follows it at the channel's rate
    UPDATE notifications n SET
        due_at = w.paused_until + greatest(w.place - channel_burst, 0) * channel_interval
    FROM (
        SELECT n.user_id, n.position, c.paused_until,
            row_number() OVER (PARTITION BY c.user_id, c.channel_id ORDER BY n.position) AS place
        FROM channels c
        JOIN notifications n ON n.user_id = c.user_id AND n.channel_id = c.channel_id
        WHERE c.user_id = ANY (user_ids) AND c.channel_id = ANY (channel_ids)
            AND c.paused_until > now() AND n.due_at < c.paused_until
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

-- Adds a channel on behalf of a session. Returns null if the user has `most` of them, or is gone.
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
    most        bigint
) RETURNS timestamptz
LANGUAGE plpgsql AS $$
DECLARE
    added timestamptz;
BEGIN
    PERFORM FROM users WHERE user_id = of_user FOR NO KEY UPDATE;
    IF NOT FOUND OR most <= (SELECT count(*) FROM channels WHERE user_id = of_user) THEN
        RETURN NULL;
    END IF;
    INSERT INTO notified_users (user_id) VALUES (of_user) ON CONFLICT DO NOTHING;
    INSERT INTO channels (
        user_id, channel_id, kind, kid, sealed, shown, events, min_duration_s, unless_watched,
        with_message, created_by
    ) VALUES (
        of_user, new_channel, of_kind, of_key, settings, for_lists, of_events, min_seconds,
        if_watched, messages, of_session
    ) RETURNING created_at INTO added;
    INSERT INTO audit_log (user_id, action, subject)
    VALUES (of_user, 'channel_added', of_session);
    RETURN added;
END
$$;

-- Removes a channel, and what waits for it; returns whether there was one.
CREATE FUNCTION remove_channel(of_user uuid, of_channel uuid, of_session uuid) RETURNS boolean
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM FROM users WHERE user_id = of_user FOR NO KEY UPDATE;
    PERFORM FROM notified_users WHERE user_id = of_user FOR UPDATE; -- notifications are made under it
    DELETE FROM channels WHERE user_id = of_user AND channel_id = of_channel;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    DELETE FROM notifications WHERE user_id = of_user AND channel_id = of_channel;
    DELETE FROM deliveries WHERE user_id = of_user AND channel_id = of_channel;
    DELETE FROM notified_users WHERE user_id = of_user
        AND NOT EXISTS (SELECT FROM channels c WHERE c.user_id = of_user);
    INSERT INTO audit_log (user_id, action, subject)
    VALUES (of_user, 'channel_removed', of_session);
    RETURN true;
END
$$;

-- As before; what waits for the channels is sent no more.
CREATE OR REPLACE FUNCTION note_deleted_user() RETURNS trigger
LANGUAGE plpgsql AS $$
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

-- As before, with the channels.
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
