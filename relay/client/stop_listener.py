"""Hears when a person asks a task to stop: a thread of its own waits for it at Relay.

The waiting call is a beat, so it keeps the leases of these tasks, too.

A stop belongs to its run. Until Relay has stored the start of a run, the stop that it reports is
one of the run before, so the thread listens for a run from then on.
"""

import signal
import threading
from collections.abc import Callable, Sequence
from itertools import islice

from relay.client.beats import MAX_TASKS
from relay.client.credentials import Credentials
from relay.client.post_answers import NotRelay, Refused, RetryLater, Stored
from relay.client.retry_pauses import pause_before
from relay.client.trouble import Tell

WAIT_SECONDS = 8  # of one round of calls, each of at least a second: less than an answer may take
NO_THREAD_SECONDS = 1.0  # before a stop for which the system had no thread is tried again
GRACE_SECONDS = 10.0  # between two signals of one stop
STEPS = (signal.SIGINT, signal.SIGTERM, signal.SIGKILL)

OnStop = Callable[[], None]


class _Run:
    """One run of a task. `start` is its start's line, until Relay has stored it."""

    def __init__(self, on_stop: OnStop, start: bytes) -> None:
        self.on_stop = on_stop
        self.start: bytes | None = start


class StopListener:
    """The runs of one client that can be stopped. For any thread."""

    def __init__(self, credentials: Credentials, tell: Tell) -> None:
        """`tell` is called once if Relay refuses the calls: no run can be stopped from then on.

        Also where the system refuses the thread that makes them: a later run tries again.
        """
        self._credentials = credentials
        self._tell = tell
        self._lock = threading.Lock()
        self._runs: dict[str, _Run] = {}
        self._closed = threading.Event()
        self._thread: threading.Thread | None = None

    def begin(self, task_id: str, on_stop: OnStop, start: bytes) -> None:
        """Call `on_stop`, once and in a thread, when this run is asked to stop.

        `start` is the line of the run's start. Call this before it is queued.
        """
        with self._lock:
            self._runs[task_id] = _Run(on_stop, start)

    def have_stored(self, lines: Sequence[bytes]) -> None:
        """Relay has stored these events: listen for the runs whose starts are among them."""
        try:
            with self._lock:
                starts = {run.start: run for run in self._runs.values() if run.start is not None}
                begun = [starts[line] for line in lines if line in starts] if starts else []
                for run in begun:
                    run.start = None
                if begun and self._thread is None and not self._closed.is_set():
                    self._thread = _start_thread(self._run, "relay-stops")
        except RuntimeError as error:
            self._tell(f"tasks cannot be stopped from elsewhere: {error}")

    def end(self, task_id: str) -> None:
        """The run has ended."""
        with self._lock:
            self._runs.pop(task_id, None)

    def close(self) -> None:
        """Listen no longer. A call that waits is left to its end."""
        self._closed.set()

    def _run(self) -> None:
        # imported here, so that the program does not wait for the HTTP library
        from relay.client.posting import EventPoster

        attempt = 0
        with EventPoster(self._credentials) as posting:
            while calls := self._next_calls():
                wait = max(1, WAIT_SECONDS // len(calls))
                for runs in calls:
                    if self._closed.is_set():
                        return
                    match posting.beat(list(runs), wait=wait):
                        case Stored(receipt=receipt):
                            attempt = 0
                            if not self._stop(runs, receipt["stop"]):
                                self._closed.wait(NO_THREAD_SECONDS)
                        case Refused(why=why):  # an older Relay, or a token that has ended
                            if not self._closed.is_set():
                                self._tell(f"tasks can no longer be stopped from elsewhere: {why}")
                            return
                        case RetryLater(retry_after=pause) | NotRelay(retry_after=pause):
                            self._closed.wait(pause_before(attempt, pause))
                            attempt += 1

    def _next_calls(self) -> list[dict[str, _Run]]:
        """What to listen for, as much in each call as it may name; without any, the thread ends."""
        with self._lock:
            stored = iter([named for named in self._runs.items() if named[1].start is None])
            calls = []
            while runs := dict(islice(stored, MAX_TASKS)):
                calls.append(runs)
            if not calls:
                self._thread = None
            return calls

    def _stop(self, runs: dict[str, _Run], task_ids: Sequence[str]) -> bool:
        """Stop those of the runs that were listened for and have not ended since.

        Returns False where the system refuses a thread: Relay's next answer names what is left.
        """
        for task_id in task_ids:
            with self._lock:
                run = runs.get(task_id)
                if run is None or self._runs.get(task_id) is not run:
                    continue
                try:
                    _start_thread(run.on_stop, "relay-stop")
                except RuntimeError:
                    return False
                del self._runs[task_id]
        return True


def _start_thread(target: Callable[[], None], name: str) -> threading.Thread:
    """Start a thread. Raises RuntimeError at the limit of processes."""
    thread = threading.Thread(target=target, name=name, daemon=True)
    thread.start()
    return thread


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
