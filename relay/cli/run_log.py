"""Prints the log of one run of a task: what is stored, then what comes."""

from collections.abc import Iterable

from relay.cli import output
from relay.cli.event_tasks import ENDS, task_id_of
from relay.cli.followed import follow, starts_over
from relay.cli.named_task import task_deleted
from relay.cli.run_end import SUPERSEDED, end_of, ends_snapshot, read_patiently
from relay.client.api_client import ApiClient, ApiError
from relay.client.credentials import Credentials
from relay.client.stream_messages import StreamEvent, StreamMessage
from relay.client.stream_reader import StreamReader
from relay.client.task_board import TaskBoard
from relay.client.task_info import TaskInfo
from relay.client.task_log import LoggedEvent, download_log
from relay.tasks.reported import printed_message


class RunLog:
    """A run's log. `end` is how the run ended: a task's state or `SUPERSEDED`, None before."""

    def __init__(
        self, credentials: Credentials, task: TaskInfo, run: int | None, *, as_json: bool
    ) -> None:
        self._credentials = credentials
        self._task = task
        self._run = run
        self._as_json = as_json
        self._present = task  # as it is now
        self._last_seq = 0  # of the last event that was read
        self._is_lost = False
        self.end: str | None = None

    def download(self, *, must_be_stored: bool) -> None:
        """Print what is stored. Raises `ApiError`; if nothing has to be stored, not 404."""
        try:
            for events in download_log(self._credentials, self._task.task_id, self._run):
                self._show(events)
                self._last_seq = events[-1].event.seq
                for one in events:
                    self.end = self.end or _end_of(one.event)
        except ApiError as error:
            never_was = self._run is not None and self._run > self._task.run
            if must_be_stored or never_was or not error.is_refusal(404):
                raise
        if self._run is not None and self._run < self._task.run:
            self.end = self.end or SUPERSEDED
        elif self._task.ended and self._last_seq <= self._task.last_seq:
            self.end = self._task.state  # its event may be trimmed

    def follow(self, cursor: str) -> None:
        """Print what comes after this cursor and was not downloaded, until the run ends.

        Raises `ApiError` if Relay refuses, ClickException if the task is deleted.
        """
        stream = StreamReader(self._credentials, {"after": cursor}, with_tasks=True)
        board = TaskBoard()
        for received in follow(stream):
            for change in board.apply(received):
                if change.task_id == self._task.task_id:
                    self._note_state(change.task)
            if ends_snapshot(received) and self._task.task_id not in board.tasks:
                self._note_state(self._read_present())  # it ended before many others
            self._take(received)
            if self.end is None and self._has_passed(stream.cursor):
                self._note_end(end_of(self._task, self._present))
            if self.end is not None:
                return

    def _read_present(self) -> TaskInfo:
        """The task as it is now. Raises `ApiError`, ClickException if it was deleted."""
        with ApiClient(self._credentials.url, self._credentials.token) as api:
            return read_patiently(api, self._task, float("inf"))

    def _has_passed(self, cursor: str | None) -> bool:
        """Whether all of the task's events come before this: what was not read is not stored."""
        return cursor is not None and int(cursor.rpartition(".")[2]) >= self._present.last_seq

    def _take(self, received: list[StreamMessage]) -> None:
        """Print the run's events among these messages."""
        events: list[LoggedEvent] = []
        for one in received:
            if starts_over(one):
                self._last_seq = 0  # a new numbering
            if one.event is None or not self._is_new(one.event):
                continue
            self._last_seq = one.event.seq
            if one.event.event_type == "task_started" or self._is_of_later_run(one.event):
                self._note_end(SUPERSEDED)
                break
            events.append(LoggedEvent(one.event, one.raw))
            self.end = _end_of(one.event)
            if self.end is not None:
                break
        self._show(events)

    def _is_new(self, event: StreamEvent) -> bool:
        return event.seq > self._last_seq and task_id_of(event) == self._task.task_id

    def _is_of_later_run(self, event: StreamEvent) -> bool:
        """Whether the start of another run came before, among the events that are not stored."""
        return self._present.run != self._task.run and event.seq >= self._present.first_seq

    def _note_end(self, end: str | None) -> None:
        self.end = end
        if end == SUPERSEDED:
            output.note("relay: the task was started again: that is another run")

    def _note_state(self, task: TaskInfo | None) -> None:
        """Say that a producer is silent, or is heard of again."""
        if task is None:
            raise task_deleted()
        self._present = task
        if task.state == "lost" and not self._is_lost:
            output.note(f"relay: nothing was heard of the task for {task.lease_s} s; waiting")
        elif task.state != "lost" and self._is_lost:
            output.note("relay: the task is heard of again")
        self._is_lost = task.state == "lost"

    def _show(self, events: Iterable[LoggedEvent]) -> None:
        if self._as_json:
            output.show_json_lines(one.raw for one in events)
        else:
            logs = (one.event for one in events if one.event.event_type == "log")
            messages = (printed_message(bytes(event.payload).decode()) for event in logs)
            output.show_printed(message for message in messages if message is not None)


def _end_of(event: StreamEvent) -> str | None:
    """How an event ends its run; None if it does not."""
    return event.event_type.removeprefix("task_") if event.event_type in ENDS else None
