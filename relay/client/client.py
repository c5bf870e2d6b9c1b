"""The client that programs publish with. Its methods do not wait for Relay and do not raise."""

import atexit
import logging
import os
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from typing import Any

from relay.client.beats import LEASE_SECONDS, Beats
from relay.client.credentials import Credentials, NoCredentials, find_credentials
from relay.client.drafts import ENDINGS, Draft, event, log_drafts
from relay.client.outbox import Outbox
from relay.client.outcome import NotDelivered, Outcome
from relay.client.payload_values import text_of
from relay.client.sender import Sender
from relay.client.spool import Owner, new_spool
from relay.client.stop_listener import OnStop, StopListener
from relay.client.trouble import Tell
from relay.identifiers import as_identifier

CLOSE_TIMEOUT_SECONDS = 5.0  # long enough for a restart of Relay, short enough to wait for
MAX_WARNINGS = 10  # of different kinds; beyond, problems of values are not reported

logger = logging.getLogger("relay.client")


class Client:
    """A producer. Its methods return at once and may be called on any thread.

    Without `url` and `token`, the environment and the credentials file are used, as by the command
    `relay`. Without credentials, events are dropped after one warning. With `strict`, NoCredentials
    is raised instead, and `close` raises NotDelivered. `tell` is called with problems that need a
    person; by default they are logged. Where the system refuses a thread, events are kept for the
    next run. A client that is still open at interpreter exit is closed.
    """

    def __init__(
        self,
        url: str | None = None,
        token: str | None = None,
        *,
        strict: bool = False,
        tell: Tell | None = None,
        credentials: Credentials | None = None,
    ) -> None:
        self._strict = strict
        self._process = os.getpid()
        self._tell = tell or _log_warning
        self._published = 0
        self._unsendable = 0
        self._warned: set[str] = set()
        self._unconnected: str | None = None  # why nothing is published
        self._outcome: Outcome | None = None
        self._sender: Sender | None = None
        self._beats = Beats()
        self._outbox: Outbox | None = None
        self._found: Credentials | None = None
        self._stops: StopListener | None = None
        try:
            found = credentials or find_credentials(url, token)
        except NoCredentials as error:
            if strict:
                raise
            self._unconnected = str(error)
            self._report(f"nothing is published: {error}")
            return
        self._found = found
        self._stops = StopListener(found, self._report)
        self._outbox = Outbox(lambda: new_spool(Owner.of(found)))
        self._sender = Sender(
            self._outbox, found, self._report, self._beats, self._stops.have_stored
        )
        self._sender.start()
        atexit.register(self._end)

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def publish(
        self,
        event_type: str,
        payload: Any,
        task_id: str | None = None,
        *,
        event_id: str | None = None,
        ts: str | None = None,
        fallback: Any = None,
    ) -> None:
        """Send an event. Values without a JSON form are sent as text.

        If the payload is too large, `fallback` is sent instead; without one the event is dropped.
        `tell` is called for the first problem of a kind.
        """
        self._publish(event_type, payload, task_id, event_id, ts, fallback)

    def _publish(
        self,
        event_type: str,
        payload: Any,
        task_id: str | None,
        event_id: str | None = None,
        ts: str | None = None,
        fallback: Any = None,
        begin: Callable[[bytes], None] | None = None,
    ) -> None:
        """As `publish`; `begin` is called with the event's line before it is queued."""
        owner = _valid_id(task_id)
        try:
            try:
                draft = event(
                    event_type, payload, owner, event_id=event_id, ts=ts, report=self.warn_once
                )
            except ValueError as error:
                if fallback is None:
                    raise
                self.warn_once(f"an event was sent without its keys: {error}", "keys")
                draft = event(event_type, fallback, owner, event_id=event_id, ts=ts)
            if begin is not None:
                begin(draft.line())
            self._put(draft)
        except Exception as error:  # the program's work goes on, whatever its value was
            self._unsendable += 1
            self.warn_once(f"an event was not sent: {text_of(error)}", "event")

    def start_task(self, task_id: str, title: str, on_stop: OnStop | None = None) -> None:
        """Publish a task's start with a lease, and keep the lease until its end or `close`.

        So a program that is killed is seen to be lost. With `on_stop` the task can be stopped from
        the page: it is called then, once and in a thread.
        """
        if not self._is_open:
            return
        start: dict[str, Any] = {"title": title, "lease_s": LEASE_SECONDS}
        owner, begin = _valid_id(task_id) or "", None
        if on_stop is not None and self._stops is not None:
            start["stoppable"] = True
            begin = partial(self._stops.begin, owner, on_stop)
        self._publish("task_started", start, task_id, begin=begin)
        self._beats.begin(owner)

    def log(self, text: str, task_id: str | None = None, **keys: Any) -> None:
        """Send lines of a log. Lines that are close in time are joined into one event."""
        self.log_with(text, task_id, keys)

    def log_with(self, text: str, task_id: str | None, keys: Mapping[str, Any]) -> None:
        """As `log`, with keys of any name."""
        try:
            for draft in log_drafts(text_of(text), _valid_id(task_id), keys, self.warn_once):
                self._put(draft)
        except Exception as error:  # as in `publish`
            self._unsendable += 1
            self.warn_once(f"a log was not sent: {text_of(error)}", "log")

    @property
    def credentials(self) -> Credentials | None:
        """Those in use; None without any, after `close`, and in a forked child."""
        return self._found if self._is_open else None

    def warn_once(self, problem: str, kind: str | None = None) -> None:
        """Call `tell` with a problem, unless there was one of this kind (or this text) before."""
        key = kind or problem
        if key not in self._warned and len(self._warned) < MAX_WARNINGS:
            self._warned.add(key)
            self._report(problem)

    def _report(self, line: str) -> None:
        with suppress(Exception):  # of the program's own function: there is no other place to go
            self._tell(line)

    def _put(self, draft: Draft) -> None:
        if self._is_open:
            if draft.task_id is not None:
                self._note_life(draft.task_id, draft.event_type)
            self._published += 1
            if self._outbox is not None:
                self._outbox.put(draft)

    def _note_life(self, task_id: str, event_type: str) -> None:
        if event_type in ENDINGS:
            self._beats.end(task_id)
            if self._stops is not None:
                self._stops.end(task_id)
        else:
            self._beats.touch(task_id)

    @property
    def _is_open(self) -> bool:
        return self._outcome is None and not self._forked

    @property
    def _forked(self) -> bool:
        """Whether this is a copy in a forked child: thread, locks and file belong to the parent."""
        return os.getpid() != self._process

    def flush(self, timeout: float = CLOSE_TIMEOUT_SECONDS) -> bool:
        """Wait until all events so far are delivered; returns False after `timeout` seconds."""
        if self._outbox is None or self._forked:
            return True
        self._outbox.set_urgent(True)
        try:
            return self._outbox.wait_until_empty(timeout)
        finally:
            self._outbox.set_urgent(False)

    def give_up(self) -> None:
        """End a `close` on another thread at once. Events that wait are kept on disk."""
        if self._sender is not None:
            self._sender.begin_close(time.monotonic())

    def close(self, timeout: float = CLOSE_TIMEOUT_SECONDS) -> Outcome:
        """Deliver waiting events within `timeout` seconds; the others are kept on disk.

        Returns the outcome. Further calls return the same one.
        """
        if self._outcome is not None:
            return self._outcome
        if self._outbox is None or self._sender is None or self._forked:
            lost = 0 if self._forked else self._published
            self._outcome = Outcome(lost=lost, why=self._unconnected, published=lost)
            return self._outcome
        atexit.unregister(self._end)
        if self._stops is not None:
            self._stops.close()
        self._sender.begin_close(time.monotonic() + timeout)
        try:
            self._sender.wait()
        finally:  # also on Ctrl-C: events that wait must not be lost
            waiting = not self._outbox.empty
            if waiting:
                self._outbox.spill()
        on_disk, trouble = self._outbox.kept_on_disk, self._sender.trouble
        self._outcome = Outcome(
            kept=on_disk,
            lost=self._outbox.lost + self._outbox.waiting - on_disk,
            refused=trouble.refused + self._unsendable,
            why=trouble.reason or ("Relay is slow to answer" if waiting else None),
            published=self._published + self._unsendable,
        )
        self._outbox.close()
        if not self._outcome.delivered:
            if self._strict:
                raise NotDelivered(self._outcome)
            self._report(self._outcome.what if trouble.is_reported else str(self._outcome))
        return self._outcome

    def _end(self) -> None:
        """Close at interpreter exit, so that no event is lost if `close` was forgotten."""
        try:
            self.close()
        except NotDelivered as error:
            self._report(str(error))


def _log_warning(line: str) -> None:
    logger.warning("%s", line)


def _valid_id(task_id: object) -> str | None:
    return as_identifier(text_of(task_id)) or None if task_id is not None else None
