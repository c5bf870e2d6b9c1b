"""Hears when a person asks a task to stop: a thread of its own waits for it at Relay.

The waiting call is a beat, so it keeps the leases of these tasks, too.
"""

import signal
import threading
from collections.abc import Callable

from relay.client.beats import MAX_TASKS
from relay.client.credentials import Credentials
from relay.client.post_answers import NotRelay, Refused, RetryLater, Stored
from relay.client.retry_pauses import pause_before

WAIT_SECONDS = 8  # of one call: less than an answer may take
GRACE_SECONDS = 10.0  # between two signals of one stop
STEPS = (signal.SIGINT, signal.SIGTERM, signal.SIGKILL)

OnStop = Callable[[], None]


class StopListener:
    """The tasks of one client that can be stopped. For any thread."""

    def __init__(self, credentials: Credentials) -> None:
        self._credentials = credentials
        self._lock = threading.Lock()
        self._tasks: dict[str, OnStop] = {}
        self._closed = threading.Event()
        self._thread: threading.Thread | None = None

    def begin(self, task_id: str, on_stop: OnStop) -> None:
        """Call `on_stop`, once and in a thread, when this task is asked to stop."""
        with self._lock:
            self._tasks[task_id] = on_stop
            if self._thread is None and not self._closed.is_set():
                self._thread = threading.Thread(target=self._run, name="relay-stops", daemon=True)
                self._thread.start()

    def end(self, task_id: str) -> None:
        """The task has ended."""
        with self._lock:
            self._tasks.pop(task_id, None)

    def close(self) -> None:
        """Listen no longer. A call that waits is left to its end."""
        self._closed.set()

    def _run(self) -> None:
        # imported here, so that the program does not wait for the HTTP library
        from relay.client.posting import EventPoster

        attempt = 0
        with EventPoster(self._credentials) as posting:
            while not self._closed.is_set():
                with self._lock:
                    task_ids = list(self._tasks)[:MAX_TASKS]
                    if not task_ids:
                        self._thread = None
                        return
                match posting.beat(task_ids, wait=WAIT_SECONDS):
                    case Stored(receipt=receipt):
                        attempt = 0
                        self._stop(receipt["stop"])
                    case Refused():  # an older Relay, or a token that may not publish any more
                        return
                    case RetryLater(retry_after=pause):
                        self._closed.wait(pause_before(attempt, pause))
                        attempt += 1
                    case NotRelay():
                        self._closed.wait(pause_before(attempt))
                        attempt += 1

    def _stop(self, task_ids: list[str]) -> None:
        for task_id in task_ids:
            with self._lock:
                on_stop = self._tasks.pop(task_id, None)
            if on_stop is not None:
                threading.Thread(target=on_stop, name="relay-stop", daemon=True).start()


def stop_in_steps(
    send: Callable[[int], None],
    wait_for_end: Callable[[float], bool],
    report: Callable[[str], None],
) -> None:
    """Interrupt, then terminate, then kill, with a grace between. Each is reported first.

    `wait_for_end` waits so many seconds, and returns whether it has ended.
    """
    for number in STEPS:
        report(f"asked to stop: {number.name} is sent")
        send(number)
        if wait_for_end(GRACE_SECONDS):
            return
