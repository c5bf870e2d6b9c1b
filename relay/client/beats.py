"""Keeps the leases of tasks while nothing is reported of them: which ones need a beat, and when.

A task whose start has a lease is lost for its readers when it is silent for longer. So a killed
producer is seen to be dead. A beat is no event; where events flow, none is sent.
"""

import threading
import time
from collections.abc import Callable

LEASE_SECONDS = 90
BEAT_AFTER_SECONDS = LEASE_SECONDS / 3  # of silence, so that two beats may be lost
RETRY_SECONDS = 5.0  # after a beat that Relay did not answer
MAX_TASKS = 100  # that one beat may name


class Beats:
    """The tasks of one client that are under way. For any thread."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._due: dict[str, float] = {}  # task: when it needs a beat
        self._stopped = False

    def begin(self, task_id: str) -> None:
        """The task has begun, with a lease in its start."""
        with self._lock:
            self._due[task_id] = self._clock() + BEAT_AFTER_SECONDS

    def touch(self, task_id: str) -> None:
        """An event of the task was published: it needs no beat for a while."""
        with self._lock:
            if task_id in self._due:
                self._due[task_id] = self._clock() + BEAT_AFTER_SECONDS

    def end(self, task_id: str) -> None:
        """The task has ended."""
        with self._lock:
            self._due.pop(task_id, None)

    def due(self) -> list[str]:
        """The tasks that need a beat now, at most `MAX_TASKS`."""
        with self._lock:
            now = self._clock()
            if self._stopped:
                return []
            return [task_id for task_id, at in self._due.items() if at <= now][:MAX_TASKS]

    def sent(self, task_ids: list[str]) -> None:
        """Relay has taken the beat of these tasks."""
        self._postpone(task_ids, BEAT_AFTER_SECONDS)

    def retry(self, task_ids: list[str], retry_after: float | None = None) -> None:
        """Relay has not answered: try again in a while."""
        self._postpone(task_ids, max(RETRY_SECONDS, retry_after or 0))

    def stop(self) -> None:
        """Send no more beats: this Relay takes none, or not with this token."""
        self._stopped = True

    def _postpone(self, task_ids: list[str], seconds: float) -> None:
        with self._lock:
            at = self._clock() + seconds
            for task_id in task_ids:
                if task_id in self._due:
                    self._due[task_id] = at
