-- Append one event of one user: what a commit holds when little is going on.
--
-- It answers the row that append_requests would, in a third of its time: each statement here names
-- one row. `named` says whether the producer named the event; Relay's own ids nobody else has.
-- Locks and numbers are as append_requests takes and gives them.
CREATE FUNCTION append_event(
    of_user    uuid,
    named      boolean,
    receipt    timestamptz,
    event_id   text,
    event_type text,
    task_id    text,
    stamp      text,
    payload    text
) RETURNS TABLE (epoch text, first_seq bigint, seqs bigint[], fresh boolean[])
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    -- what columns are called too
    new_id      text := append_event.event_id;
    new_type    text := append_event.event_type;
    new_task    text := append_event.task_id;
    new_payload text := append_event.payload;
    known_seq   bigint;
BEGIN
    IF named THEN
        SELECT u.epoch INTO epoch FROM users u WHERE u.user_id = of_user FOR NO KEY UPDATE;
        -- a new statement, so a new snapshot: it sees what the lock's last holder committed
        SELECT coalesce(
            (SELECT e.seq FROM events e WHERE e.user_id = of_user AND e.event_id = new_id),
            (SELECT t.seq FROM trimmed_events t WHERE t.user_id = of_user AND t.event_id = new_id)
        ) INTO known_seq;
        IF known_seq IS NOT NULL THEN
            seqs := ARRAY[known_seq];
            fresh := ARRAY[false];
            RETURN NEXT;
            RETURN;
        END IF;
    END IF;

    UPDATE users u
    SET last_seq = u.last_seq + 1, stored_bytes = u.stored_bytes + event_bytes(new_payload),
        active_at = now()
    WHERE u.user_id = of_user
    RETURNING u.epoch, u.last_seq INTO epoch, first_seq;
    IF FOUND THEN
        INSERT INTO events (user_id, seq, event_id, event_type, task_id, ts, received_at, payload)
        VALUES (of_user, first_seq, new_id, new_type, new_task, stamp, receipt, new_payload);
    END IF;
    RETURN NEXT;
END
$$;
