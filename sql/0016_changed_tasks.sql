-- Which tasks have changed last, so that a reader of changes asks for these and not for all.
--
-- `changed_ids` and `changed_in` are the tasks of the latest changes and the revision of each.
-- They have every change after the revision `changes_after`; it is null until the first one.
ALTER TABLE projections
    ADD COLUMN changed_ids   text[]   NOT NULL DEFAULT '{}',
    ADD COLUMN changed_in    bigint[] NOT NULL DEFAULT '{}',
    ADD COLUMN changes_after bigint;

-- Called once for each statement that changes tasks, whatever kind of change it is. What changes
-- tasks has locked their projections, and gives the tasks a new revision.
-- More than the latest 32 are forgotten: a reader that is further behind looks at all tasks.
CREATE FUNCTION note_changed_tasks() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        PERFORM note_task_changes(array_agg(n.user_id), array_agg(n.task_id), array_agg(n.revision))
        FROM written n HAVING count(*) > 0;
    ELSE
        PERFORM note_task_changes(array_agg(n.user_id), array_agg(n.task_id), array_agg(n.revision))
        FROM written n JOIN before b ON b.user_id = n.user_id AND b.task_id = n.task_id
        WHERE n.revision > b.revision HAVING count(*) > 0;
    END IF;
    RETURN NULL;
END
$$;

CREATE FUNCTION note_task_changes(owners uuid[], task_ids text[], revisions bigint[]) RETURNS void
LANGUAGE sql AS $$
    WITH changed AS (
        SELECT g.owner, min(g.revision) - 1 AS known_after,
            array_agg(g.task_id) AS ids, array_agg(g.revision) AS revisions
        FROM unnest(owners, task_ids, revisions) AS g (owner, task_id, revision)
        GROUP BY g.owner
    ), joined AS (
        SELECT c.owner, p.changed_ids || c.ids AS ids, p.changed_in || c.revisions AS revisions,
            coalesce(p.changes_after, c.known_after) AS known_after,
            greatest(cardinality(p.changed_ids) + cardinality(c.ids) - 32, 0) AS excess
        FROM changed c JOIN projections p ON p.user_id = c.owner
    )
    UPDATE projections p SET
        changed_ids = j.ids[j.excess + 1:],
        changed_in = j.revisions[j.excess + 1:],
        changes_after = greatest(
            j.known_after, (SELECT max(r) FROM unnest(j.revisions[:j.excess]) AS dropped (r))
        )
    FROM joined j WHERE p.user_id = j.owner
$$;

CREATE TRIGGER tasks_inserted AFTER INSERT ON tasks REFERENCING NEW TABLE AS written
    FOR EACH STATEMENT EXECUTE FUNCTION note_changed_tasks();
CREATE TRIGGER tasks_updated AFTER UPDATE ON tasks
    REFERENCING OLD TABLE AS before NEW TABLE AS written
    FOR EACH STATEMENT EXECUTE FUNCTION note_changed_tasks();
