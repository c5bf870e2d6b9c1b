-- As before; a test counts for its rates from the moment in which its turn has come. now() is when its
-- transaction began: one that began first and waited for another was refused, for the milliseconds
-- between the two, though the rates had room for it.
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
