-- Append one event of one user without locking its row first where the producer named the event.
--
-- One snapshot says how far the stream has got and whether the event is in it. The row is then
-- advanced only if it still is where the snapshot saw it: appends change last_seq and events in one
-- transaction, so nothing can have been stored in between. Otherwise the function looks again, now
-- under the lock. A duplicate takes no lock and writes nothing.
CREATE OR REPLACE FUNCTION append_event(
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
