-- trim_stream begins where the stream does. From the index's start it walked over what it had
-- trimmed before, until a vacuum: the longer it trimmed, the longer each call took.
CREATE OR REPLACE FUNCTION trim_stream(
    of_user     uuid,
    most_events bigint,
    most_bytes  bigint,
    before      timestamptz,
    batch       integer
) RETURNS bigint
LANGUAGE plpgsql AS $$
DECLARE
    stream users%ROWTYPE;
    cut bigint;
    freed bigint;
    trimmed bigint;
BEGIN
    SELECT * INTO stream FROM users WHERE user_id = of_user FOR NO KEY UPDATE;
    SELECT max(page.seq) INTO cut
    FROM (
        SELECT e.seq, e.received_at, sum(event_bytes(e.payload)) OVER (ORDER BY e.seq)
            - event_bytes(e.payload) AS bytes_before
        FROM (
            SELECT * FROM events WHERE user_id = of_user AND seq >= stream.oldest_seq
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
