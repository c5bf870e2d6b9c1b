"""The thread that brings events to Relay: in order, again and again, and nobody waits for it."""

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, Protocol

from relay.client.credentials import Credentials
from relay.client.outbox import BATCH_BYTES, BATCH_LINES, Outbox
from relay.client.spool import Owner, Spool, left_over

if TYPE_CHECKING:
    from relay.client.posting import Posting, Refused

THREAD = "relay-sender"  # its name
HEAD_START = 2.0  # seconds; so long what was left over goes before what happens now
TICK = 0.5  # seconds between looks at what nobody wakes us for
LOOK = 0.05  # seconds between looks at a deadline that may be drawn nearer

Tell = Callable[[str], None]


class Queue(Protocol):
    """Where events wait in order."""

    def head(self, most_lines: int, most_bytes: int) -> list[bytes]: ...
    def drop(self, lines: list[bytes]) -> None: ...


class Sender:
    """Delivers one outbox, and what earlier processes of the same owner left over."""

    def __init__(self, outbox: Outbox, credentials: Credentials, tell: Tell) -> None:
        """`tell` hears, once each and on the sender's thread, what a person has to do."""
        self._outbox = outbox
        self._credentials = credentials
        self._tell = tell
        self._most = BATCH_LINES
        self._left: Iterator[Spool] = iter(())
        self._old: Spool | None = None
        self._closing = threading.Event()
        self._deadline = float("inf")
        self.refused = 0
        self.trouble: str | None = None  # why it is not there yet
        self.stopped = False  # and never will be, with this token at this address
        self._told_of_events = False
        self._thread = threading.Thread(target=self._run, name=THREAD, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def hurry(self, deadline: float) -> None:
        """Try for no longer than until `deadline`, on the monotonic clock; the earliest counts."""
        self._deadline = min(self._deadline, deadline)
        self._closing.set()
        self._outbox.hurry()

    def wait(self) -> None:
        """After `hurry`: wait for the thread until its deadline, which may be drawn nearer."""
        while self._thread.is_alive() and (left := self._deadline - time.monotonic()) > 0:
            self._thread.join(min(left, LOOK))

    def _run(self) -> None:
        # imported here: what one wants to watch need not wait for an HTTP library
        from relay.client.posting import Posting

        _hush()
        with Posting(self._credentials) as posting:
            self._left = left_over(Owner.of(self._credentials))
            self._send_left_over(posting, HEAD_START)
            while not self.stopped:
                if self._outbox.wait(0 if self._closing.is_set() else TICK):
                    if not self._send(posting, self._outbox) and self._closing.is_set():
                        break
                elif self._closing.is_set():
                    break
                else:
                    self._send_left_over(posting, 0)
                if time.monotonic() >= self._deadline:
                    break
        if self._old is not None:
            self._old.close()

    def _send_left_over(self, posting: "Posting", seconds: float) -> None:
        """A batch of it, or as many as go into `seconds`."""
        until = time.monotonic() + seconds
        while not self.stopped:
            if self._old is None and (spool := next(self._left, None)) is not None:
                self._old = spool
            if self._old is None:
                return
            with suppress(OSError):
                sent = self._send(posting, self._old, tries=1)
                if not sent and self._old.waiting:
                    return  # not now; what happens now has its turn
                if sent and time.monotonic() >= min(until, self._deadline):
                    return
                if sent:
                    continue
            self._old.close()
            self._old = None

    def _send(self, posting: "Posting", queue: Queue, tries: int | None = None) -> bool:
        """Bring the next batch to its end; False when there is none, or it was given up."""
        from relay.client.posting import Away, Refused, pause_before

        attempt = 0
        while lines := queue.head(self._most, BATCH_BYTES):
            answer = posting.many(lines)
            if isinstance(answer, Away):
                self.trouble = answer.why
                attempt += 1
                if tries is not None and attempt >= tries:
                    return False
                closing = self._closing.is_set()
                if not self._sleep(pause_before(attempt - 1, answer.after), answer.after is None):
                    return False
                if not closing and self._closing.is_set():
                    attempt = 0  # the last tries follow each other quickly
                continue
            if isinstance(answer, Refused) and not self._sift(answer, lines):
                return False
            if isinstance(answer, Refused) and len(lines) > 1:
                continue
            queue.drop(lines)
            self.trouble = None
            self._most = min(BATCH_LINES, self._most * 2)
            return True
        return False

    def _sift(self, answer: "Refused", lines: list[bytes]) -> bool:
        """What to do about a refusal: halve the batch, leave one event out, or end it all."""
        if not answer.of_the_events:
            self.stopped = True
            self.trouble = answer.why
            self._tell(answer.why)
            return False
        if len(lines) > 1:
            self._most = max(1, len(lines) // 2)
            return True
        self.refused += 1
        if not self._told_of_events:
            self._told_of_events = True
            self._tell(answer.why)
        return True

    def _sleep(self, seconds: float, may_end_early: bool) -> bool:
        """Wait before the next try, and put on disk what gathers; False when it is not worth it."""
        until = time.monotonic() + seconds
        closing = self._closing.is_set()
        while (left := until - time.monotonic()) > 0:
            self._outbox.age()
            if self._closing.is_set():
                if not closing and may_end_early:
                    return True
                if until > self._deadline:
                    return False
                time.sleep(left)
            else:
                self._closing.wait(min(left, TICK))
        return True


class _NotOurs(logging.Filter):
    """Keeps what this thread's HTTP says out of other people's logs: it would never end."""

    def filter(self, record: logging.LogRecord) -> bool:
        return record.threadName != THREAD


def _hush() -> None:
    for name in ("httpx", "httpcore"):
        logger = logging.getLogger(name)
        if not any(isinstance(known, _NotOurs) for known in logger.filters):
            logger.addFilter(_NotOurs())
