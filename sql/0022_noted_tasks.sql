-- A look for tasks that were lost finds those alone that are not noted yet.
--
-- It came each second to every task that had ever been lost, because the note was void once the time in
-- it was no longer when the task was heard of last. Now an event or a beat removes the note, so that an
-- index can leave out what is noted.

-- Nothing writes tasks meanwhile: a statement that waited for a row of the update would have a lock
-- that the index waits for.
LOCK TABLE tasks IN SHARE ROW EXCLUSIVE MODE;

UPDATE tasks SET lost_after = NULL
WHERE lease_s IS NOT NULL AND state IN ('running', 'waiting')
    AND lost_after <> greatest(last_at, beat_at);

-- `lost_after` stays null from event to event, so these updates stay in place (HOT).
CREATE INDEX tasks_to_note ON tasks (user_id)
    WHERE lease_s IS NOT NULL AND state IN ('running', 'waiting') AND NOT forgotten
        AND lost_after IS NULL;

-- As before; what was heard of again is no longer noted as lost. Events that are folded once more, by a
-- rebuild, are no news.
CREATE OR REPLACE FUNCTION write_projections(
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

-- As before; what was heard of again is no longer noted as lost.
CREATE OR REPLACE FUNCTION renew_leases(of_user uuid, ids text[], wait integer) RETURNS void
LANGUAGE plpgsql AS $$
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

-- Notes the tasks whose lease has run out, of users with a channel, and makes their notifications.
-- Returns how many are to be sent. A task with an event that is not folded yet is left alone. One that
-- was lost before there was a channel is noted, too, so that no look comes to it again.
CREATE OR REPLACE FUNCTION note_lost_tasks(
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

-- Tasks that are lost, and not noted as such, of these users or of all that have a channel.
DROP FUNCTION select_lost_tasks(uuid[], integer);
CREATE FUNCTION select_tasks_to_note(user_ids uuid[], most integer)
RETURNS TABLE (user_id uuid, task_id text)
LANGUAGE sql STABLE AS $$
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
