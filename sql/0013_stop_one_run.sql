-- A request to stop may name its run: one that begins while the request is on its way is not stopped.
--
-- The function without a run stays for processes of the version before.
CREATE FUNCTION request_stop(of_user uuid, of_task text, of_run bigint, of_session uuid)
    RETURNS boolean
    LANGUAGE plpgsql
    AS $$
DECLARE
    begun bigint;
    task tasks;
BEGIN
    PERFORM FROM projections WHERE user_id = of_user FOR UPDATE;
    SELECT * INTO task FROM tasks t
    WHERE t.user_id = of_user AND t.task_id = of_task AND NOT t.forgotten;
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    IF task.state NOT IN ('running', 'waiting') OR NOT task.stoppable OR task.run <> of_run THEN
        RETURN false;
    END IF;
    IF task.stop_requested_at IS NULL THEN
        begun := begin_revision(of_user);
        UPDATE tasks SET stop_requested_at = now(), revision = begun
        WHERE user_id = of_user AND task_id = of_task;
        INSERT INTO audit_log (user_id, action, subject)
        VALUES (of_user, 'stop_requested', of_session);
    END IF;
    RETURN true;
END
$$;
