"""The thread that sends events to Relay, in order and with retries."""

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import accumulate
from typing import TYPE_CHECKING, Protocol

from relay.client.credentials import Credentials
from relay.client.outbox import BATCH_BYTES, BATCH_LINES, Outbox
from relay.client.splitting import post_in_parts, split_log
from relay.client.spool import Owner, Spool, open_left_over

if TYPE_CHECKING:
    from relay.client.posting import Answer, EventPoster, NotRelay, Refused, RetryLater

THREAD_NAME = "relay-sender"  # its name
LEFT_OVER_SECONDS = 2.0  # at the start, for events that earlier processes left over
TICK_SECONDS = 0.5  # between two looks at left-over files and the deadline
SMALL_REQUEST_BYTES = 2 * 2**10  # a proxy that refuses this refuses every request
LOOK_INTERVAL = 0.05  # seconds between two looks at a deadline that may be moved forward

Tell = Callable[[str], None]


class EventQueue(Protocol):
    """A queue of events: an outbox or a spool."""

    def head(self, most_lines: int, most_bytes: int) -> list[bytes]: ...
    def drop(self, lines: list[bytes]) -> None: ...


class Sender:
    """Delivers the events of one outbox, and those that earlier processes left over."""

    def __init__(self, outbox: Outbox, credentials: Credentials, tell: Tell) -> None:
        """`tell` is called on the sender's thread, once for each problem that needs a person."""
        self._outbox = outbox
        self._credentials = credentials
        self._tell = tell
        self._batch_lines = BATCH_LINES
        self._request_bytes = BATCH_BYTES  # less after a proxy has refused a larger request
        self._left_over: Iterator[Spool] = iter(())
        self._current: Spool | None = None
        self._closing = threading.Event()
        self._deadline = float("inf")
        self.refused = 0
        self._size_trouble: str | None = None  # why events were set aside
        self.trouble: str | None = None  # why the last attempt failed
        self.trouble_reported = False  # whether `tell` was called with it
        self.stopped = False  # refused for good: the token or the address is wrong
        self._event_refusal_reported = False
        self._thread = threading.Thread(target=self._run, name=THREAD_NAME, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def hurry(self, deadline: float) -> None:
        """Stop at `deadline`, on the monotonic clock. The earliest deadline counts."""
        self._deadline = min(self._deadline, deadline)
        self._closing.set()
        self._outbox.hurry()

    @property
    def reason(self) -> str | None:
        """Why events wait, as far as it is known."""
        return self.trouble or self._size_trouble

    def wait(self) -> None:
        """After `hurry`: wait for the thread until its deadline, which may be moved forward."""
        while self._thread.is_alive() and (left := self._deadline - time.monotonic()) > 0:
            self._thread.join(min(left, LOOK_INTERVAL))

    def _run(self) -> None:
        try:
            self._deliver()
        except Exception as error:  # a defect of ours: the program goes on, its events are kept
            self.stopped = self.trouble_reported = True
            self.trouble = f"the sender failed ({type(error).__name__}: {error})"
            self._tell(self.trouble)

    def _deliver(self) -> None:
        # imported here, so that the program does not wait for the HTTP library
        from relay.client.posting import EventPoster

        _silence_http_logs()
        with EventPoster(self._credentials) as posting:
            self._left_over = open_left_over(Owner.of(self._credentials))
            self._send_left_over(posting, LEFT_OVER_SECONDS)
            while not self.stopped:
                if self._outbox.wait(0 if self._closing.is_set() else TICK_SECONDS):
                    if not self._send(posting, self._outbox) and self._closing.is_set():
                        break
                elif self._closing.is_set():
                    break
                else:
                    self._send_left_over(posting, 0)
                if time.monotonic() >= self._deadline:
                    break
        if self._current is not None:
            self._current.close()

    def _send_left_over(self, posting: "EventPoster", seconds: float) -> None:
        """Send left-over events: one batch, or as many as fit into `seconds`."""
        until = time.monotonic() + seconds
        while not self.stopped:
            if self._current is None and (spool := next(self._left_over, None)) is not None:
                self._current = spool
            if self._current is None:
                return
            with suppress(OSError):
                sent = self._send(posting, self._current, max_attempts=1)
                if not sent and self._current.waiting:
                    return  # Relay is away: new events are next
                if sent and time.monotonic() >= min(until, self._deadline):
                    return
                if sent:
                    continue
            self._current.close()
            self._current = None

    def _send(
        self, posting: "EventPoster", queue: EventQueue, max_attempts: int | None = None
    ) -> bool:
        """Send the next batch, with retries. Returns False if there is none or it was given up."""
        from relay.client.posting import NotRelay, Refused, RetryLater, pause_before

        attempt = 0
        while lines := self._fit(queue.head(self._batch_lines, BATCH_BYTES)):
            answer = self._post(posting, lines)
            if isinstance(answer, NotRelay) and answer.is_size_limit and len(lines) > 1:
                self._request_bytes = sum(map(len, lines)) // 2
                continue
            if isinstance(answer, NotRelay) and self._is_too_large(answer, lines):
                self._note_trouble(answer)
                self._size_trouble = answer.why
                self._outbox.set_aside(lines[0])
                queue.drop(lines)
                return True
            if isinstance(answer, RetryLater | NotRelay):
                self._note_trouble(answer)
                attempt += 1
                if max_attempts is not None and attempt >= max_attempts:
                    return False
                closing = self._closing.is_set()
                pause = pause_before(attempt - 1, answer.retry_after)
                if not self._sleep(pause, answer.retry_after is None):
                    return False
                if not closing and self._closing.is_set():
                    attempt = 0  # the last attempts begin with short pauses again
                continue
            if isinstance(answer, Refused) and not self._handle_refusal(answer, lines):
                return False
            if isinstance(answer, Refused) and len(lines) > 1:
                continue
            queue.drop(lines)
            self.trouble = None
            self.trouble_reported = False
            self._batch_lines = min(BATCH_LINES, self._batch_lines * 2)
            return True
        return False

    def _fit(self, lines: list[bytes]) -> list[bytes]:
        """As many of the lines as fit into a request, at least one."""
        sizes = accumulate(map(len, lines))
        return lines[: max(1, sum(size <= self._request_bytes for size in sizes))]

    def _post(self, posting: "EventPoster", lines: list[bytes]) -> "Answer":
        """Post a batch. A single event that a proxy finds too large is posted in parts."""
        answer = posting.many(lines)
        if len(lines) == 1:
            return post_in_parts(posting, lines[0], answer)
        return answer

    def _is_too_large(self, answer: "NotRelay", lines: list[bytes]) -> bool:
        """Whether an event cannot pass a proxy's size limit, while smaller ones may."""
        if not answer.is_size_limit or len(lines) > 1:
            return False
        return len(lines[0]) >= SMALL_REQUEST_BYTES and not split_log(lines[0])

    def _note_trouble(self, answer: "RetryLater | NotRelay") -> None:
        """Remember why an attempt failed. Another program at the address is reported, once."""
        from relay.client.posting import NotRelay

        self.trouble = answer.why
        if isinstance(answer, NotRelay) and not self.trouble_reported:
            self.trouble_reported = True
            self._tell(answer.why)

    def _handle_refusal(self, answer: "Refused", lines: list[bytes]) -> bool:
        """Handle a refusal: halve the batch, drop a single event, or stop for good."""
        if not answer.is_event_error:
            self.stopped = self.trouble_reported = True
            self.trouble = answer.why
            self._tell(answer.why)
            return False
        if len(lines) > 1:
            self._batch_lines = max(1, len(lines) // 2)
            return True
        self.refused += 1
        if not self._event_refusal_reported:
            self._event_refusal_reported = True
            self._tell(answer.why)
        return True

    def _sleep(self, seconds: float, may_end_early: bool) -> bool:
        """Wait before the next attempt, and move old events to disk. False past the deadline."""
        until = time.monotonic() + seconds
        closing = self._closing.is_set()
        while (left := until - time.monotonic()) > 0:
            self._outbox.spill_old()
            if self._closing.is_set():
                if not closing and may_end_early:
                    return True
                if until > self._deadline:
                    return False
                time.sleep(left)
            else:
                self._closing.wait(min(left, TICK_SECONDS))
        return True


class _WithoutSenderThread(logging.Filter):
    """Drops log records of this thread's HTTP client: LogHandler would send them without end."""

    def filter(self, record: logging.LogRecord) -> bool:
        return record.threadName != THREAD_NAME


def _silence_http_logs() -> None:
    for name in ("httpx", "httpcore"):
        logger = logging.getLogger(name)
        if not any(isinstance(known, _WithoutSenderThread) for known in logger.filters):
            logger.addFilter(_WithoutSenderThread())
