"""How a task's run has ended, as it is now, or once the stream of tasks says so."""

import queue
import threading
import time

from relay.cli.exit_codes import NOT_ENDED, RELAY_AWAY, Failed
from relay.cli.named_task import task_deleted
from relay.cli.output import note
from relay.client.api_client import ApiClient, ApiError
from relay.client.credentials import Credentials
from relay.client.retry_pauses import pause_before
from relay.client.stream_messages import StreamMessage
from relay.client.stream_reader import ConnectionLost, StreamReader
from relay.client.task_board import TaskBoard
from relay.client.task_info import TaskInfo
from relay.client.task_query import TaskFilter, read_pages

SUPERSEDED = "superseded"  # the end of a run that another one has followed
MAX_READ_AHEAD = 100  # chunks of the stream that the wait has not looked at yet

Received = list[StreamMessage] | ConnectionLost | Exception


def end_of(task: TaskInfo, present: TaskInfo) -> str | None:
    """How the task's run has ended, by what the task is now; None if it has not."""
    if present.run != task.run:
        return SUPERSEDED
    return present.state if present.ended else None


def read_present(api: ApiClient, task: TaskInfo) -> TaskInfo:
    """The task as it is now. Raises ApiError, ClickException if it was deleted."""
    page = next(read_pages(api, TaskFilter(task_ids=(task.task_id,)), 1))
    if not page.tasks:
        raise task_deleted()
    return page.tasks[0]


def wait_for_end(api: ApiClient, credentials: Credentials, task: TaskInfo, seconds: float) -> str:
    """Wait until the run has ended; returns how.

    A Relay that is away is waited for; each break is a note. Raises Failed after so many seconds,
    ApiError if Relay refuses, ClickException if the task was deleted.
    """
    lost: ConnectionLost | None = None
    ends, is_lost, board = time.monotonic() + seconds, False, TaskBoard()
    received: queue.Queue[Received] = queue.Queue(MAX_READ_AHEAD)
    threading.Thread(target=_read_stream, args=(credentials, received), daemon=True).start()
    while (left := ends - time.monotonic()) > 0:
        try:
            messages = received.get(timeout=left)
        except queue.Empty:
            break
        if isinstance(messages, Exception):
            raise messages
        if isinstance(messages, ConnectionLost):
            if lost is None:  # once per break, not once per attempt
                note(f"relay: {messages.why}; trying again")
            lost = messages
            continue
        if lost is not None:
            note("relay: reconnected")
        lost = None
        present = _find(board, messages, task)
        if present is None and ends_snapshot(messages):  # it ended before many others
            present = read_patiently(api, task, ends)
        if present is None:
            continue
        if (end := end_of(task, present)) is not None:
            return end
        if present.state == "lost" and not is_lost:
            note(f"Nothing was heard of the task for {present.lease_s} s; waiting")
        is_lost = present.state == "lost"
    if lost is not None:
        why = f"{lost.why}. It is not known whether {named(task)} has ended."
        raise Failed(why, RELAY_AWAY)
    raise Failed(f"{named(task)} has not ended in time.", NOT_ENDED)


def named(task: TaskInfo) -> str:
    """The task's title and id."""
    return task.task_id if not task.title else f"{task.title} ({task.task_id})"


def _read_stream(credentials: Credentials, received: "queue.Queue[Received]") -> None:
    """Read in a thread of its own: the stream may be silent for longer than the wait may last."""
    try:
        for messages in StreamReader(credentials, {}, with_tasks=True).read():
            received.put(messages)
    except Exception as error:
        received.put(error)  # for the thread that waits


def _find(board: TaskBoard, messages: list[StreamMessage], task: TaskInfo) -> TaskInfo | None:
    """The task, if these messages say something of it. Raises ClickException if it was deleted."""
    changes = [change for change in board.apply(messages) if change.task_id == task.task_id]
    if not changes:
        return None
    if changes[-1].task is None:
        raise task_deleted()
    return changes[-1].task


def ends_snapshot(messages: list[StreamMessage]) -> bool:
    """Whether the tasks that a connection begins with are complete with these messages."""
    return any(one.control == "tasks" and not one.fields.get("more") for one in messages)


def read_patiently(api: ApiClient, task: TaskInfo, ends: float) -> TaskInfo:
    """`read_present`, tried again while Relay is away, until `ends` on the monotonic clock."""
    attempt = 0
    while True:
        try:
            return read_present(api, task)
        except ApiError as error:
            pause = pause_before(attempt, error.retry_after)
            if not error.is_temporary or time.monotonic() + pause > ends:
                raise
        attempt += 1
        time.sleep(pause)
