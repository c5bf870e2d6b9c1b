"""The queue of events to be sent: in memory while Relay answers, on disk while it does not.

Producers add events and never wait. Logs with the same key are joined until they are taken, and
progress is limited to a few events a second. One sender takes events, oldest first, and drops them
once Relay has stored them. Events in the file are always older than those in memory.
"""

import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress

from relay.client.drafts import ENDINGS, MILESTONES, Draft, log_drafts
from relay.client.spool import RESERVE_BYTES, Spool

MAX_MEMORY_BYTES = 4 * 2**20  # beyond, events are moved to disk, or lost where that has no room
BATCH_LINES = 1_000  # Relay's limit for one request
BATCH_BYTES = 512 * 2**10  # half of Relay's limit, so that a slow connection sends it in time
SEND_AT_BYTES = 64 * 2**10  # events of this size together are sent at once
SEND_AFTER_SECONDS = 0.05  # events that have waited so long are sent, however few
SPILL_AFTER_SECONDS = 1.0  # while Relay is away, older events are moved to disk
PROGRESS_INTERVAL = 0.25  # seconds between two progress events of a task
MAX_TASKS = 1_000  # tasks for which the last progress and its time are kept


class Outbox:
    """The queue between producers and the sender. For any thread."""

    def __init__(self, make_spool: Callable[[], Spool]) -> None:
        """`make_spool` is called when a file is needed. It may raise OSError."""
        self._make_spool = make_spool
        self._changed = threading.Condition()
        self._spool: Spool | None = None
        self._sending: list[bytes] = []  # the batch that `head` returned
        self._drafts: deque[Draft] = deque()
        self._held_progress: dict[str | None, Draft] = {}  # progress that is not due yet
        self._progress_times: dict[str | None, float] = {}  # when a task's progress was last queued
        self._size = 0
        self._urgent = False
        self._aside: Spool | None = None  # events that another program refuses, and no others
        self._gap = 0  # events lost since the last one that was queued
        self.kept_on_disk = 0
        self.lost = 0
        self._has_no_file = False  # it could not be created

    # -- for producers

    def put(self, draft: Draft) -> None:
        """Add an event, without waiting. One that exceeds all limits is counted as lost."""
        with self._changed:
            if draft.event_type == "task_progress" and not self._try_start_interval(draft):
                self._held_progress[draft.task_id] = draft
            else:
                if draft.event_type in MILESTONES:
                    self._queue_progress(draft.task_id)
                    if draft.event_type in ENDINGS:
                        self._progress_times.pop(draft.task_id, None)
                self._append(draft)
            self._changed.notify_all()

    def _try_start_interval(self, draft: Draft) -> bool:
        """Start a task's next interval, if the last one is over and no progress is held."""
        if draft.task_id in self._held_progress:
            return False
        if draft.created - self._progress_times.get(draft.task_id, 0) < PROGRESS_INTERVAL:
            return False
        if len(self._progress_times) >= MAX_TASKS:
            self._queue_all_progress()
            self._progress_times.clear()
        self._progress_times[draft.task_id] = draft.created
        return True

    def _queue_progress(self, task_id: str | None) -> None:
        if (draft := self._held_progress.pop(task_id, None)) is not None:
            self._progress_times[task_id] = time.monotonic()
            self._append(draft)

    def _queue_all_progress(self) -> None:
        for task in list(self._held_progress):
            self._queue_progress(task)

    def _append(self, draft: Draft) -> None:
        """Queue an event. Without room, starts and ends of tasks are the last to be lost."""
        if draft.key is not None and self._join(draft):
            return
        if self._size + draft.size > MAX_MEMORY_BYTES:
            self._spill()
        reserve = RESERVE_BYTES if draft.event_type in MILESTONES else 0
        if self._size + draft.size > MAX_MEMORY_BYTES + reserve:
            self._count_lost()
            return
        if self._gap and draft.event_type not in ENDINGS:
            self._queue_gap_note(draft.task_id)
        self._drafts.append(draft)
        self._size += draft.size

    def _join(self, draft: Draft) -> bool:
        """Join a log to the last event, or to the last but one if stdout and stderr alternate."""
        candidates = [self._drafts[-1]] if self._drafts else []
        if len(self._drafts) > 1 and self._drafts[-1].key not in (None, draft.key):
            candidates.append(self._drafts[-2])
        for back, other in enumerate(candidates):
            if back == 0 or draft.created - other.created <= SEND_AFTER_SECONDS:
                before = other.size
                if other.join(draft):
                    self._size += other.size - before
                    return True
        return False

    def _count_lost(self) -> None:
        self.lost += 1
        self._gap += 1

    def _queue_gap_note(self, task_id: str | None) -> None:
        count, self._gap = self._gap, 0
        note = f"… {count} events are missing here: Relay was away, and the buffer was full"
        for draft in log_drafts(note, task_id, {"level": "warning"}):
            self._drafts.append(draft)
            self._size += draft.size

    # -- for the sender

    @property
    def empty(self) -> bool:
        return self.wait_until_empty(0)

    @property
    def waiting(self) -> int:
        """How many events are neither delivered nor lost, without those of earlier processes."""
        with self._changed:
            return (
                self.kept_on_disk
                + len(self._sending)
                + len(self._drafts)
                + len(self._held_progress)
            )

    @property
    def _on_disk(self) -> bool:
        return self._spool is not None and self._spool.waiting > 0

    def set_urgent(self, urgent: bool) -> None:
        """Make all events due at once, or no longer."""
        with self._changed:
            self._urgent = urgent
            self._changed.notify_all()

    def wait(self, seconds: float) -> bool:
        """Wait until an event is due to be sent; returns False after `seconds`."""
        deadline = time.monotonic() + seconds
        with self._changed:
            while (pause := self._pause()) > 0:
                left = deadline - time.monotonic()
                if left <= 0:
                    return False
                self._changed.wait(min(pause, left))
            return True

    def wait_until_empty(self, seconds: float) -> bool:
        """Wait until all events are delivered; returns False after `seconds`."""
        with self._changed:
            return self._changed.wait_for(
                lambda: not (self._on_disk or self._in_memory or self._aside), seconds
            )

    @property
    def _in_memory(self) -> bool:
        return bool(self._sending or self._drafts or self._held_progress)

    def _pause(self) -> float:
        """Seconds until an event is due."""
        if self._on_disk or self._sending or self._size >= SEND_AT_BYTES:
            return 0
        if self._urgent and (self._drafts or self._held_progress):
            return 0
        now = time.monotonic()
        dues = [
            self._progress_times.get(task, 0) + PROGRESS_INTERVAL for task in self._held_progress
        ]
        if self._drafts:
            dues.append(self._drafts[0].created + SEND_AFTER_SECONDS)
        return max(0, min(dues) - now) if dues else 3600

    def head(self, most_lines: int = BATCH_LINES, most_bytes: int = BATCH_BYTES) -> list[bytes]:
        """The next events to send, as lines. Returns the same ones until they are dropped."""
        with self._changed:
            if self._spool is not None and self._spool.waiting:
                return self._spool.head(most_lines, most_bytes)
            if not self._sending:
                now = time.monotonic()
                for task, draft in list(self._held_progress.items()):
                    if self._urgent or now - self._progress_times.get(task, 0) >= PROGRESS_INTERVAL:
                        self._queue_progress(draft.task_id)
                self._take(most_lines, most_bytes)
            return self._sending[:most_lines]

    def _take(self, most_lines: int, most_bytes: int) -> None:
        size = 0
        while self._drafts and len(self._sending) < most_lines:
            size += self._drafts[0].size + 1
            if size > most_bytes and self._sending:
                break
            self._sending.append(self._drafts.popleft().line())

    def drop(self, lines: list[bytes]) -> None:
        """Remove lines that `head` returned, also if they have been moved to disk since."""
        with self._changed:
            on_disk = 0
            if self._spool is not None and self._spool.waiting:
                on_disk = self._spool.drop(lines)
                self.kept_on_disk -= on_disk
            if on_disk < len(lines):
                del self._sending[: len(lines) - on_disk]
                if not self._sending:
                    self._size = sum(draft.size for draft in self._drafts)
            self._changed.notify_all()

    def set_aside(self, line: bytes) -> None:
        """Keep an event on disk for the next run: another program refuses it. Then `drop` it.

        Without a file, or room in it, the event is lost.
        """
        with self._changed:
            with suppress(OSError):
                self._aside = self._aside or self._make_spool()
                if self._aside.add(line, important=True):
                    self.kept_on_disk += 1
                    return
            self._count_lost()

    def spill_old(self) -> None:
        """While Relay is away: move events to disk that are older than `SPILL_AFTER_SECONDS`."""
        with self._changed:
            if self._sending or (
                self._drafts and time.monotonic() - self._drafts[0].created > SPILL_AFTER_SECONDS
            ):
                self._spill(anew=True)

    # -- disk

    def spill(self) -> None:
        """Move all events to disk, as far as there is room."""
        with self._changed:
            self._queue_all_progress()
            self._spill(anew=True)

    def _spill(self, *, anew: bool = False) -> None:
        """Append the events in memory to the file. Without a file they stay in memory.

        A file that could not be created is tried again if `anew`: not by each event that is put.
        """
        if self._spool is None and (anew or not self._has_no_file):
            try:
                self._spool = self._make_spool()
            except OSError:
                self._has_no_file = True
        if self._spool is None:
            return
        with suppress(OSError):
            while self._sending:
                self._write(self._sending[0], important=True)
                del self._sending[0]
            while self._drafts:
                draft = self._drafts[0]
                self._write(draft.line(), important=draft.event_type in MILESTONES)
                self._drafts.popleft()
        self._size = sum(map(len, self._sending)) + sum(draft.size for draft in self._drafts)

    def _write(self, line: bytes, *, important: bool) -> None:
        assert self._spool is not None
        if self._spool.add(line, important=important):
            self.kept_on_disk += 1
        else:
            self._count_lost()

    def close(self) -> None:
        """Close the file. It is deleted if empty, else left for a later process."""
        with self._changed, suppress(OSError):
            for spool in filter(None, (self._spool, self._aside)):
                spool.close()
            self._spool = self._aside = None
