"""The thread that sends events to Relay, in order and with retries."""

import logging
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Protocol

from relay.client.attempts import TICK_SECONDS, Attempts, Closing, IdleAttempts
from relay.client.beats import Beats
from relay.client.credentials import Credentials, NoCredentials
from relay.client.left_over import LeftOver
from relay.client.outbox import BATCH_BYTES, Outbox
from relay.client.plain_text import shown_text
from relay.client.post_answers import Answer, NotRelay, Refused, RetryLater, Stored
from relay.client.request_size import RequestSize
from relay.client.splitting import is_indivisible, post_in_parts
from relay.client.spool import Owner, Spool
from relay.client.trouble import Tell, Trouble

if TYPE_CHECKING:
    from relay.client.posting import EventPoster

THREAD_NAME = "relay-sender"  # its name
LEFT_OVER_SECONDS = 2.0  # at the start, for events that earlier processes left over
HELD_LOOK_INTERVAL = 0.1  # seconds between two looks at a file that another process sends
LOOK_INTERVAL = 0.05  # seconds between two looks at a deadline that may be moved forward


class EventQueue(Protocol):
    """A queue of events: an outbox or a spool."""

    def head(self, most_lines: int, most_bytes: int) -> list[bytes]: ...
    def drop(self, lines: list[bytes]) -> object: ...


class Sender:
    """Delivers the events of one outbox, and those that earlier processes left over."""

    def __init__(
        self,
        outbox: Outbox,
        credentials: Credentials,
        tell: Tell,
        beats: Beats,
        have_stored: Callable[[list[bytes]], None],
    ) -> None:
        """`tell` is called on the sender's thread, once for each problem that needs a person.

        `have_stored` is called there with the lines of events that Relay has stored.
        """
        self._outbox = outbox
        self._beats = beats
        self._have_stored = have_stored
        self._credentials = credentials
        self._left_over: LeftOver | None = None  # before the thread has looked for it
        self._idle_attempts = IdleAttempts()  # at what is left over
        self._size = RequestSize()
        self._closing = Closing()
        self.trouble = Trouble(tell)
        self._thread = threading.Thread(target=self._run, name=THREAD_NAME, daemon=True)

    def start(self) -> None:
        """Start the thread. Where the system refuses it, events wait for the next run."""
        try:
            self._thread.start()
        except RuntimeError as error:  # at the limit of processes
            self.trouble.stop(f"events are not sent before the next run: {error}")

    def begin_close(self, deadline: float) -> None:
        """Send what waits, and stop at `deadline`, on the monotonic clock. The earliest counts."""
        self._closing.begin(deadline)
        self._outbox.set_urgent(True)

    def wait(self) -> None:
        """After `begin_close`: wait for the thread until its deadline, which may move forward."""
        while self._thread.is_alive() and (left := self._closing.deadline - time.monotonic()) > 0:
            self._thread.join(min(left, LOOK_INTERVAL))

    # -- on the thread

    def _run(self) -> None:
        try:
            self._deliver()
        except NoCredentials as error:
            self.trouble.stop(str(error))
        except Exception as error:  # a defect of ours: the program goes on, its events are kept
            what = shown_text(f"{type(error).__name__}: {error}")
            self.trouble.stop(f"the sender failed ({what})")

    def _deliver(self) -> None:
        # imported here, so that the program does not wait for the HTTP library
        from relay.client.posting import EventPoster

        _silence_http_logs()
        self._left_over = left_over = LeftOver(Owner.of(self._credentials))
        with EventPoster(self._credentials) as posting:
            self._send_left_over(posting, left_over, LEFT_OVER_SECONDS)
            while not self.trouble.is_final:
                if self._outbox.wait(0 if self._closing.has_begun else TICK_SECONDS):
                    if not self._send_own(posting, left_over) and self._closing.has_begun:
                        break
                elif self._closing.has_begun:
                    break
                else:
                    self._send_left_over(posting, left_over, 0)
                if not self._closing.has_begun:
                    self._beat(posting)
                if self._closing.is_due:
                    break
        left_over.release()

    def _send_own(self, posting: "EventPoster", left_over: LeftOver) -> bool:
        """Send the next request of own events, or before it of what their tasks left over.

        Returns False if there is no further attempt before the deadline.
        """
        attempts = Attempts(self._closing, self._outbox.spill_old)
        if not attempts.sleep(self._idle_attempts.asked_pause, may_end_early=False):
            return False
        lines = self._outbox.head(self._size.lines, BATCH_BYTES)
        if not lines or not left_over.comes_before(lines[0]):
            left_over.release()  # for as long as own events are sent
            return self._send(posting, self._outbox, attempts)
        self._outbox.spill_old()  # own events wait, as if Relay were away
        if (spool := left_over.file(lines[0])) is not None:
            return self._send_file(posting, left_over, spool, attempts)
        return attempts.sleep(HELD_LOOK_INTERVAL, may_end_early=True)

    def _send_left_over(self, posting: "EventPoster", left_over: LeftOver, seconds: float) -> None:
        """Send left-over events: one request, or as many as fit into `seconds`."""
        if not self._idle_attempts.is_due:
            return
        until = time.monotonic() + seconds
        while not self.trouble.is_final and (spool := left_over.file()) is not None:
            if not self._send_file(posting, left_over, spool, self._idle_attempts):
                left_over.release()  # for a process that needs it first
                return  # Relay is away: new events are next
            self._idle_attempts.succeed()
            if time.monotonic() >= min(until, self._closing.deadline):
                return

    def _send_file(
        self,
        posting: "EventPoster",
        left_over: LeftOver,
        spool: Spool,
        attempts: Attempts | IdleAttempts,
    ) -> bool:
        """As `_send`, for the file that is open. True if nothing is left in it, too."""
        with suppress(OSError):  # a file that cannot be read: the next one
            is_decided = self._send(posting, spool, attempts)
            if spool.waiting:
                return is_decided
        left_over.finish()
        return True

    def _beat(self, posting: "EventPoster") -> None:
        """Renew the leases of tasks that are silent. What events report needs no beat."""
        if not (task_ids := self._beats.due()):
            return
        match posting.beat(task_ids):
            case Stored():
                self._beats.sent(task_ids)
            case Refused():  # an older Relay, or a token that may not publish any more
                self._beats.stop()
            case RetryLater(retry_after=pause):
                self._beats.retry(task_ids, pause)
            case NotRelay():
                self._beats.retry(task_ids)

    def _send(
        self, posting: "EventPoster", queue: EventQueue, attempts: Attempts | IdleAttempts
    ) -> bool:
        """Send the next request of a queue until its events need no further attempt.

        Returns False if there are none, or if they stay in the queue.
        """
        while lines := self._next_lines(queue):
            match _post(posting, lines):
                case Stored():
                    self._have_stored(lines)
                    return self._finish(queue, lines)
                case Refused() as answer if not answer.is_event_error:
                    self.trouble.stop(answer.why)
                    return False
                case Refused() if len(lines) > 1:
                    self._size.halve_lines(lines)
                case Refused() as answer:
                    self.trouble.refuse(answer)
                    return self._finish(queue, lines)
                case NotRelay() as answer if answer.is_size_limit and len(lines) > 1:
                    self._size.halve_bytes(lines)
                case NotRelay() as answer if answer.may_be_about_content and len(lines) > 1:
                    self._size.halve_lines(lines)
                case NotRelay() as answer if _is_about_event(posting, lines[0], answer):
                    return self._set_aside(queue, lines, answer)
                case RetryLater() | NotRelay() as answer:
                    self.trouble.wait(answer)
                    if not attempts.wait(answer.retry_after):
                        return False
        return False

    def _next_lines(self, queue: EventQueue) -> list[bytes]:
        lines = queue.head(self._size.lines, BATCH_BYTES)
        if queue is self._outbox and self._left_over is not None:
            lines = self._left_over.sendable(lines)
        return self._size.fit(lines)

    def _finish(self, queue: EventQueue, lines: list[bytes]) -> bool:
        """Relay has decided about these events."""
        queue.drop(lines)
        self.trouble.clear()
        self._size.grow(lines)
        return True

    def _set_aside(self, queue: EventQueue, lines: list[bytes], answer: NotRelay) -> bool:
        """Another program refuses this event: the next run tries it once more."""
        if queue is self._outbox:
            self.trouble.set_aside(answer)
            self._outbox.set_aside(lines[0])
        else:  # this is the next run
            self.trouble.refuse(answer)
        queue.drop(lines)
        return True


def _post(posting: "EventPoster", lines: list[bytes]) -> Answer:
    """Post events. A single one that a proxy finds too large is posted in parts."""
    answer = posting.many(lines)
    return post_in_parts(posting, lines[0], answer) if len(lines) == 1 else answer


def _is_about_event(posting: "EventPoster", line: bytes, answer: NotRelay) -> bool:
    """Whether another program refuses this event, and lets others through."""
    if answer.is_size_limit:
        return is_indivisible(line)
    return answer.may_be_about_content and _is_refused_alone(posting, line)


def _is_refused_alone(posting: "EventPoster", line: bytes) -> bool:
    """Whether Relay answers a request without events, and another program still the one with it."""
    is_relay = isinstance(posting.many([]), Stored | Refused)
    return is_relay and isinstance(posting.many([line]), NotRelay)


class _WithoutSenderThread(logging.Filter):
    """Drops log records of this thread's HTTP client: LogHandler would send them without end."""

    def filter(self, record: logging.LogRecord) -> bool:
        return record.threadName != THREAD_NAME


def _silence_http_logs() -> None:
    for name in ("httpx", "httpcore"):
        logger = logging.getLogger(name)
        if not any(isinstance(known, _WithoutSenderThread) for known in logger.filters):
            logger.addFilter(_WithoutSenderThread())
