-- Tasks: the state that follows from a user's events, kept beside the journal.
--
-- A projection names the seq up to which its user's tasks hold. Its `revision` grows by one with
-- every change of the user's tasks, under the row's lock. So a writer that read the rows of one
-- revision can tell whether they are still the present ones, and a reader can ask what has changed.
CREATE TABLE projections (
    user_id  uuid   PRIMARY KEY REFERENCES users ON DELETE CASCADE,
    seq      bigint NOT NULL,
    revision bigint NOT NULL DEFAULT 0,
    tasks    bigint NOT NULL DEFAULT 0, -- that are not forgotten
    marks    bigint NOT NULL DEFAULT 0  -- of those that are
) WITH (fillfactor = 50);

-- No index but the key: every write changes `last_seq` and `revision`, and without an index on
-- them it stays within its page. A user has 10 000 tasks at most, so a scan of them is short.
CREATE TABLE tasks (
    user_id    uuid   NOT NULL REFERENCES projections ON DELETE CASCADE,
    task_id    text   COLLATE "C" NOT NULL,
    revision   bigint NOT NULL,
    run        bigint NOT NULL,
    state      text   NOT NULL,
    first_seq  bigint NOT NULL,
    last_seq   bigint NOT NULL,
    events     bigint NOT NULL,
    started_at timestamptz NOT NULL,
    last_at    timestamptz NOT NULL,
    started_ts text   NOT NULL, -- the producer's time, for the duration
    title      text,
    message    text,
    progress   double precision,
    metrics    text, -- JSON
    parent_id  text,
    url        text,
    lease_s    integer,
    stoppable  boolean NOT NULL DEFAULT false,
    exit_code  bigint,
    duration_s double precision,
    ended_at   timestamptz,
    forgotten  boolean NOT NULL DEFAULT false,
    hidden     boolean NOT NULL DEFAULT false,
    beat_at    timestamptz, -- the last beat of the present run
    PRIMARY KEY (user_id, task_id)
) WITH (fillfactor = 70);

-- For the readers that look once a second which leases have run out.
CREATE INDEX tasks_with_lease ON tasks (user_id)
    WHERE lease_s IS NOT NULL AND state IN ('running', 'waiting');

-- The times in which no process was ready. Leases do not run out in them.
CREATE TABLE outages (
    began_at timestamptz NOT NULL,
    ended_at timestamptz NOT NULL
);
CREATE TABLE readiness (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    ready_at timestamptz NOT NULL -- when a process was last ready
) WITH (fillfactor = 50);

-- Called by every ready process, once a second; returns the time. A pause longer than `most_pause`
-- between two calls is an outage. The commit is not waited for: a lost note shortens no lease.
CREATE FUNCTION note_ready(most_pause interval, kept interval) RETURNS timestamptz
LANGUAGE plpgsql AS $$
DECLARE
    before timestamptz;
    at timestamptz;
BEGIN
    PERFORM set_config('synchronous_commit', 'off', true);
    INSERT INTO readiness (ready_at) VALUES (clock_timestamp()) ON CONFLICT DO NOTHING;
    SELECT ready_at INTO before FROM readiness FOR UPDATE;
    at := clock_timestamp(); -- after the lock, so that the times of several processes ascend
    IF at > before + most_pause THEN
        INSERT INTO outages (began_at, ended_at) VALUES (before, at);
        DELETE FROM outages WHERE ended_at < at - kept;
    END IF;
    IF at > before THEN
        UPDATE readiness SET ready_at = at;
    END IF;
    RETURN clock_timestamp();
END
$$;

-- When a lease ends whose holder was last heard of at this time. An outage that nobody has noted
-- yet counts, too.
CREATE FUNCTION lease_ends_at(heard_at timestamptz, lease_s integer) RETURNS timestamptz
LANGUAGE sql STABLE AS $$
    SELECT heard_at + lease_s * interval '1 second' + coalesce(
        (SELECT sum(o.ended_at - greatest(o.began_at, heard_at)) FROM outages o
          WHERE o.ended_at > heard_at), interval '0'
    ) + coalesce(
        (SELECT now() - greatest(r.ready_at, heard_at) FROM readiness r
          WHERE r.ready_at < now() - interval '3 seconds' AND heard_at < now()), interval '0'
    )
$$;

-- Writes the tasks that a fold has changed, and moves the projections on. A user whose tasks have
-- another revision by now is left out: its fold began with rows that are no longer the present ones.
-- `added` are the tasks of each user that were not there before, `revived` those that were marks.
CREATE FUNCTION write_projections(
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
    forgottens  boolean[]
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
            stoppable, exit_code, duration_s, ended_at, forgotten
        )
        SELECT g.owner, a.revision, g.task_id, g.run, g.state, g.first_seq, g.last_seq, g.events,
            g.started_at, g.last_at, g.started_ts, g.title, g.message, g.progress, g.metrics,
            g.parent_id, g.url, g.lease_s, g.stoppable, g.exit_code, g.duration_s, g.ended_at,
            g.forgotten
        FROM unnest(
            owners, task_ids, runs, states, first_seqs, last_seqs, counts, starts, lasts, stamps,
            titles, messages, progresses, metric_sets, parents, urls, leases, stoppables,
            exit_codes, durations, ends, forgottens
        ) AS g (
            owner, task_id, run, state, first_seq, last_seq, events, started_at, last_at,
            started_ts, title, message, progress, metrics, parent_id, url, lease_s, stoppable,
            exit_code, duration_s, ended_at, forgotten
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
            forgotten = excluded.forgotten,
            beat_at = CASE WHEN t.run = excluded.run THEN t.beat_at END
    )
    SELECT a.user_id, a.revision FROM advanced a;

    PERFORM keep_tasks_within(p.user_id, most) FROM projections p
    WHERE p.user_id = ANY (user_ids) AND (p.tasks > most OR p.marks > most);
END
$$;

-- Forgets the tasks beyond the bound: those that ended first, then those silent longest. Of the
-- marks that forgotten tasks leave, the same number is kept. The caller has locked the projection.
CREATE FUNCTION keep_tasks_within(of_user uuid, most bigint) RETURNS void
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
    UPDATE tasks t SET forgotten = true, revision = projection.revision
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

-- As before, but no further than the user's tasks hold: a task outlives its trimmed events.
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
    projected bigint;
    cut bigint;
    freed bigint;
    trimmed bigint;
BEGIN
    SELECT p.seq INTO projected FROM projections p WHERE p.user_id = of_user;
    SELECT * INTO stream FROM users WHERE user_id = of_user FOR NO KEY UPDATE;
    SELECT max(page.seq) INTO cut
    FROM (
        SELECT e.seq, e.received_at, sum(event_bytes(e.payload)) OVER (ORDER BY e.seq)
            - event_bytes(e.payload) AS bytes_before
        FROM (
            SELECT * FROM events
            WHERE user_id = of_user AND seq >= stream.oldest_seq AND seq <= projected
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

-- The next revision of a user's tasks, whose row is then locked; null if there are none.
CREATE FUNCTION begin_revision(of_user uuid) RETURNS bigint
LANGUAGE plpgsql AS $$
DECLARE
    begun bigint;
BEGIN
    UPDATE projections SET revision = revision + 1 WHERE user_id = of_user
    RETURNING revision INTO begun;
    RETURN begun;
END
$$;

CREATE FUNCTION set_tasks_hidden(of_user uuid, ids text[], wanted boolean) RETURNS SETOF text
LANGUAGE plpgsql AS $$
DECLARE
    begun bigint := begin_revision(of_user);
BEGIN
    UPDATE tasks SET hidden = wanted, revision = begun
    WHERE user_id = of_user AND task_id = ANY (ids) AND NOT forgotten AND hidden <> wanted;
    RETURN QUERY SELECT t.task_id FROM tasks t
    WHERE t.user_id = of_user AND t.task_id = ANY (ids) AND NOT t.forgotten;
END
$$;

CREATE FUNCTION forget_tasks(of_user uuid, of_task text, most_marks bigint) RETURNS bigint
LANGUAGE plpgsql AS $$
DECLARE
    begun bigint := begin_revision(of_user);
    forgotten_now bigint;
BEGIN
    UPDATE tasks SET forgotten = true, hidden = false, revision = begun
    WHERE user_id = of_user AND NOT forgotten
        AND (task_id = of_task
            OR of_task IS NULL AND state IN ('succeeded', 'failed', 'canceled'));
    GET DIAGNOSTICS forgotten_now = ROW_COUNT;
    UPDATE projections SET tasks = tasks - forgotten_now, marks = marks + forgotten_now
    WHERE user_id = of_user;
    PERFORM keep_tasks_within(of_user, most_marks);
    RETURN forgotten_now;
END
$$;

-- A beat that takes back a verdict of `lost` is a change that readers hear of.
CREATE FUNCTION renew_leases(of_user uuid, ids text[], wait integer) RETURNS void
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
    UPDATE tasks SET beat_at = now() + wait * interval '1 second', revision = coalesce(begun, revision)
    WHERE user_id = of_user AND task_id = ANY (ids) AND state IN ('running', 'waiting')
        AND NOT forgotten;
END
$$;
