"""Sends Relay what a command prints, from a thread of its own: the command never waits for it."""

import signal
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from relay.client.credentials import Credentials
from relay.client.stop_listener import OnStop
from relay.runner.lines import QUIET_SECONDS, LineSplitter
from relay.runner.progress import LatestProgress, Progress, progress_of_bars, progress_of_lines
from relay.runner.redaction import Mask

if TYPE_CHECKING:
    from relay.client import Client

MAX_WAITING = 8 * 2**20  # bytes of output that are not read yet; further ones are dropped
MAX_BATCH = 128 * 2**10  # bytes read at once, so that the threads that copy run in between
GATHER_SECONDS = 0.01  # blocks that come within it are read together
MAX_READ_SECONDS = 30.0  # at the end, until all output is processed; the network is not waited for
MAX_TITLE = 200  # characters
INTERRUPTED = 128 + signal.SIGINT  # exit code after Ctrl-C, as shells give it

OnNote = Callable[[str], None]


class Recorder:
    """The thread that turns output into events, and the client that sends them."""

    def __init__(
        self, credentials: Credentials, title: str, task_id: str, mask: Mask, on_note: OnNote
    ) -> None:
        """`on_note` is called with notes for the user, such as what was not delivered."""
        self._credentials = credentials
        self._title = mask(title)[:MAX_TITLE]
        self._task_id = task_id
        self._mask = mask
        self._on_note = on_note
        self._lines: dict[str, LineSplitter] = {}
        self._progress: dict[str, LatestProgress] = {}
        self._blocks: deque[tuple[str, bytes]] = deque()
        self._size = 0
        self._dropped = 0
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._ended = threading.Event()
        self._client: Client | None = None
        self._given_up = False
        self._on_stop: OnStop | None = None
        self._asked_to_stop = False
        self._thread = threading.Thread(target=self._run, name="relay-recorder", daemon=True)

    def start(self, on_stop: OnStop | None = None) -> None:
        """Start the thread. With `on_stop` the task says that it can be stopped from the page."""
        self._on_stop = on_stop
        self._thread.start()

    def tell_stop(self, line: str) -> None:
        """Log what is done because a person asked the command to stop."""
        self._asked_to_stop = True
        if self._client is not None:
            self._client.log(line, self._task_id, level="warning")

    def feed(self, stream: str, block: bytes) -> None:
        """Take a block of output. Past MAX_WAITING it is dropped, and logged as a gap."""
        with self._lock:
            if self._size + len(block) > MAX_WAITING:
                self._dropped += len(block)
                return
            self._blocks.append((stream, block))
            self._size += len(block)
        self._wake.set()

    def finish(self, returncode: int, duration: float, message: str | None, wait: float) -> None:
        """Record how the command ended. Deliver for `wait` seconds; the rest is kept on disk."""
        deadline = time.monotonic() + wait
        self._ended.set()
        self._wake.set()
        self._thread.join(max(wait, MAX_READ_SECONDS))
        if (client := self._client) is None or self._thread.is_alive():
            self._on_note("the command's output could not be published in time")
            return
        payload: dict[str, Any] = {"title": self._title, "exit_code": returncode}
        if message is not None:
            payload["message"] = self._mask(message)
        if returncode and (returncode == INTERRUPTED or self._asked_to_stop):
            payload["canceled"] = True
        kind = "task_failed" if returncode else "task_succeeded"
        client.publish(kind, {**payload, "duration_s": round(duration, 3)}, self._task_id)
        client.close(0.0 if self._given_up else max(0.1, deadline - time.monotonic()))

    def give_up(self) -> None:
        """End the wait in `finish`: keep what is not delivered."""
        self._given_up = True
        if self._client is not None:
            self._client.give_up()

    def _run(self) -> None:
        # Imported here, so that the command starts before the libraries for sending are read.
        from relay.client import Client

        client = self._client = Client(credentials=self._credentials, tell=self._on_note)
        client.start_task(self._task_id, self._title, self._on_stop)
        while not (self._ended.is_set() and not self._blocks):
            self._wake.wait(QUIET_SECONDS / 4 if self._unfinished else None)
            self._wake.clear()
            self._ended.wait(GATHER_SECONDS)
            for stream, block in self._take():
                self._record(client, stream, block)
            self._log_gap(client)
            self._log_unfinished(client)
        for stream, lines in self._lines.items():
            self._publish(client, stream, *lines.end())

    def _take(self) -> list[tuple[str, bytes]]:
        """Take all waiting blocks, with successive blocks of one stream joined."""
        with self._lock:
            blocks, self._blocks = self._blocks, deque()
            self._size = 0
        joined: list[tuple[str, bytes]] = []
        run: list[bytes] = []
        size = 0
        for number, (stream, block) in enumerate(blocks):
            run.append(block)
            size += len(block)
            last = number + 1 == len(blocks) or blocks[number + 1][0] != stream
            if last or size >= MAX_BATCH:
                joined.append((stream, b"".join(run)))
                run, size = [], 0
        return joined

    def _record(self, client: "Client", stream: str, block: bytes) -> None:
        lines = self._lines.get(stream)
        if lines is None:
            lines = self._lines[stream] = LineSplitter(self._mask)
            self._progress[stream] = LatestProgress()
        self._publish(client, stream, *lines.feed(block, time.monotonic()))

    def _publish(self, client: "Client", stream: str, text: str | None, bars: str | None) -> None:
        self._log(client, stream, text)
        of_bars = None if bars is None else progress_of_bars(bars)
        of_lines = None if text is None else progress_of_lines(text)
        # Lines below bars that are finished are newer than the bars.
        found = of_bars or of_lines if self._lines[stream].unfinished else of_lines or of_bars
        self._publish_progress(client, stream, found)

    def _publish_progress(self, client: "Client", stream: str, found: Progress | None) -> None:
        unfinished = self._lines[stream].unfinished
        progress = self._progress[stream].take(found, unfinished, time.monotonic())
        if progress is not None:
            payload = {"progress": progress.fraction, "message": progress.message}
            client.publish("task_progress", payload, self._task_id)

    def _log(self, client: "Client", stream: str, text: str | None) -> None:
        if text is not None:
            # with the end of the last line, which may be blank
            client.log(f"{text}\n", self._task_id, stream=stream)

    def _log_gap(self, client: "Client") -> None:
        with self._lock:
            dropped, self._dropped = self._dropped, 0
        if dropped:
            note = f"… {dropped} bytes of output are not shown: they came too fast"
            client.log(note, self._task_id, level="warning")

    @property
    def _unfinished(self) -> bool:
        return any(lines.unfinished for lines in self._lines.values())

    def _log_unfinished(self, client: "Client") -> None:
        now = time.monotonic()
        for stream, lines in self._lines.items():
            self._log(client, stream, lines.quiet(now))
            self._publish_progress(client, stream, None)
