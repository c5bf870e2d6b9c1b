"""Folds a task again although some of its older events may be gone.

Their effect is only in the stored task. One that its stored events made comes out as it went in.
"""

import msgspec

from relay.tasks.task import FoldedTask

# Stands for runs that are trimmed: what comes before the first start changes nothing.
_EARLIER_RUNS = 0


def base_of(stored: FoldedTask | None, oldest_seq: int) -> FoldedTask | None:
    """What to fold the stored events onto, those from `oldest_seq` on; `stored` is not changed."""
    if stored is None or oldest_seq <= 1:
        return None
    if stored.first_seq < oldest_seq:
        return _reopened(stored)
    if stored.run == 1:
        return None  # its first run began after what is trimmed
    return FoldedTask(
        task_id=stored.task_id,
        run=_EARLIER_RUNS,
        state="succeeded",
        first_seq=0,
        last_seq=0,
        events=0,
        started_at=stored.started_at,
        last_at=stored.last_at,
        started_ts=stored.started_ts,
        title=stored.title,
        parent_id=stored.parent_id,
        open_asks=stored.open_asks,
    )


def _reopened(stored: FoldedTask) -> FoldedTask:
    """The task before its end: the event of the end may be among those that are folded."""
    base = msgspec.structs.replace(stored)
    base.events = 0
    if base.ended:
        base.state = "running"
        base.exit_code = base.duration_s = base.ended_at = None
    return base


def completed(
    stored: FoldedTask | None, folded: FoldedTask | None, oldest_seq: int
) -> FoldedTask | None:
    """The task after the fold onto `base_of(stored, oldest_seq)`, with what is trimmed counted.

    None: the events know of no such task.
    """
    if stored is None or oldest_seq <= 1:
        return folded
    if folded is None or folded.run == _EARLIER_RUNS:
        return stored  # nothing that is stored tells more
    if stored.first_seq >= oldest_seq:
        folded.run = stored.run
    elif folded.first_seq == stored.first_seq:
        if stored.ended and folded.ended_at != stored.ended_at:
            return stored  # it ended in the part that is trimmed
        folded.events = stored.events
    return folded
