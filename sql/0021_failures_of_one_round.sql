-- As before; the failures of one round count as one. Up to four calls of a channel are under way at a
-- time, and what became of them is written in several batches: each counted, and a channel that had
-- failed once was paused as after four failures. A result without a pause is no failure of the receiver.
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

-- As before; a hidden task that is forgotten here is not hidden when it starts again, as one that a
-- person has forgotten.
CREATE OR REPLACE FUNCTION keep_tasks_within(of_user uuid, most bigint) RETURNS void
LANGUAGE plpgsql AS $$
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
