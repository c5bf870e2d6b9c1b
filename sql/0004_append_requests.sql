-- Append requests of any users, in the order given; one answer a request, in that order.
--
-- A request is `sizes` events of one user, received at one moment. What its events are stands in
-- texts of a line an event, `task_ids` with a space for none: one long text costs the driver
-- nothing, an array a check an element. `named` says whether producers name the request's events;
-- Relay's own ids nobody else has, so nobody looks for them.
--
-- `first_seq` is the first event's place, and the others follow it, when all of a request's events
-- are new. Where a commit holds a duplicate, `seqs` and `fresh` tell it event by event instead.
-- `epoch` is null where the user is gone; nothing is stored for it.
--
-- Locks and numbers are as append_events takes and gives them, and one that was there before (it is
-- still what tells duplicates apart) may be called beside this.
CREATE FUNCTION append_requests(
    user_ids    uuid[],
    sizes       integer[],
    named       boolean[],
    receipts    timestamptz[],
    event_ids   text,
    event_types text,
    task_ids    text,
    stamps      text,
    payloads    text
) RETURNS TABLE (epoch text, first_seq bigint, seqs bigint[], fresh boolean[])
LANGUAGE plpgsql AS $$
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
