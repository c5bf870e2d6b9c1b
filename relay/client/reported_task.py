"""A task as a `with` block: reports its start, its progress and its end.

with relay.task("train") as task:
    for epoch in task.track(range(10)):
        task.log(f"loss {step(epoch)}")
"""

import os
import signal
import threading
import time
from collections.abc import Iterable, Iterator, Sequence, Sized
from contextlib import suppress
from functools import partial
from types import TracebackType
from typing import Any, TypeVar

import msgspec

from relay.client.client import Client
from relay.client.drafts import new_task_id
from relay.client.outcome import NotDelivered, Outcome
from relay.client.payload_values import encode_json, text_of
from relay.client.progress_values import fraction_of, part_of
from relay.client.stop_listener import OnStop, stop_in_steps
from relay.identifiers import as_identifier

LAST_FLUSH_SECONDS = 2.0  # before a signal that ends the process
MAX_MESSAGE = 4_000  # characters of a title or a message: they are shown on a card

T = TypeVar("T")


class Task:
    """A context manager, also for `async with`. Calls inside the block do not wait for Relay."""

    def __init__(
        self,
        title: str,
        task_id: str,
        client: Client,
        *,
        owns_client: bool,
        stoppable: bool | OnStop = False,
    ) -> None:
        self.title = title
        self.task_id = task_id
        self.outcome: Outcome | None = None  # after the block, if it closed the client
        self._client = client
        self._owns_client = owns_client
        self._stoppable = stoppable
        self._ended = threading.Event()
        self._started = time.monotonic()

    # -- progress and log

    def progress(self, fraction: float, message: str | None = None, **keys: Any) -> None:
        """Report progress from 0 to 1. Call it as often as you like: the rate is limited here.

        Another value is not shown as progress: 40 % is 0.4. The first one is reported as a warning.
        """
        fields: dict[str, Any] = {}
        try:
            fields["progress"] = fraction_of(fraction)
        except ValueError as error:
            self._client.warn_once(f"progress of {self.title!r} is not shown: {error}", "progress")
        fields |= _message_field(message)
        if fields or keys:
            self._publish("task_progress", fields, keys)

    def log(self, message: object, level: str | None = None, **keys: Any) -> None:
        """Report one or more lines of output."""
        if level is not None:
            keys["level"] = level
        self._client.log_with(text_of(message), self.task_id, keys)

    def track(
        self, items: Iterable[T], total: int | None = None, message: str | None = None
    ) -> Iterator[T]:
        """Iterate over the items and report progress after each, if their number is known."""
        if total is None and isinstance(items, Sized):
            # such as of PyTorch's DataLoader, whose length may be unknown
            with suppress(Exception):
                total = len(items)
        for done, item in enumerate(items, 1):
            yield item
            if (part := part_of(done, total)) is not None:
                self.progress(part, f"{text_of(message or '')} {done}/{text_of(total)}".strip())

    # -- questions

    def ask(
        self,
        question: str,
        options: Sequence[str] = (),
        *,
        timeout: float = 3_600.0,
        details: Any = None,
    ) -> str | None:
        """Ask a person, and wait up to `timeout` seconds for the answer, which is returned.

        Without options a text is asked for. Returns None if there is no answer in time, the ask is
        withdrawn, or Relay is away: nothing but an answer counts as consent.
        """
        return self._ask(question, options, timeout, details, None)

    async def ask_async(
        self,
        question: str,
        options: Sequence[str] = (),
        *,
        timeout: float = 3_600.0,
        details: Any = None,
    ) -> str | None:
        """As `ask`, in a thread. Cancelled, it withdraws the ask."""
        import anyio

        stopped = threading.Event()
        try:
            return await anyio.to_thread.run_sync(
                partial(self._ask, question, options, timeout, details, stopped),
                abandon_on_cancel=True,
            )
        finally:
            stopped.set()

    def _ask(
        self,
        question: str,
        options: Sequence[str],
        timeout: float,
        details: Any,
        stopped: threading.Event | None,
    ) -> str | None:
        """Another thread may set `stopped` to withdraw the ask."""
        # imported here, so that a program that asks nothing does not wait for the HTTP library
        from relay.client.asking import Asking, Stopped

        if (found := self._client.credentials) is None:
            return None
        self._client.flush()  # the task's start comes first
        try:
            with Asking(found, stopped) as asking:
                asking.open(
                    text_of(question),
                    [text_of(option) for option in options],
                    seconds=timeout,
                    details=None if details is None else msgspec.Raw(encode_json(details)),
                    task_id=self.task_id,
                )
                return asking.wait().answer
        except Stopped:
            return None
        except Exception as error:  # the program's work goes on
            self._client.warn_once(f"a question was not answered: {text_of(error)}")
            return None

    # -- start and end

    def start(self) -> "Task":
        self._started = time.monotonic()
        on_stop = self._stop if self._stoppable else None
        self._client.start_task(self.task_id, self.title, on_stop)
        return self

    def _stop(self) -> None:
        """A person asked the task to stop. What follows the block is not stopped."""
        if self._ended.is_set():
            return
        if callable(self._stoppable):
            self.log("asked to stop", level="warning")
            self._stoppable()
            return
        stop_in_steps(self._signal, self._ended.wait, lambda line: self.log(line, level="warning"))

    def _signal(self, number: int) -> None:
        """Send this process a signal. Those that end it at once leave no time for what waits."""
        if number != signal.SIGINT:
            self._client.publish(
                "task_failed", {"title": self.title, "canceled": True}, self.task_id
            )
            self._client.flush(LAST_FLUSH_SECONDS)
        if not self._ended.is_set():
            os.kill(os.getpid(), number)

    def succeed(self, message: str | None = None, **keys: Any) -> None:
        self._end("task_succeeded", message, keys)

    def fail(self, message: str | None = None, **keys: Any) -> None:
        self._end("task_failed", message, keys)

    def _end(self, event_type: str, message: str | None, keys: dict[str, Any]) -> None:
        self._ended.set()
        took = round(time.monotonic() - self._started, 3)
        fields = {"title": self.title, **_message_field(message), "duration_s": took}
        self._publish(event_type, fields, keys)

    def _publish(self, event_type: str, fields: dict[str, Any], keys: dict[str, Any]) -> None:
        """Publish an event. Keys that do not fit into it are left out; the event is sent."""
        payload = {**fields, **keys}
        self._client.publish(event_type, payload, self.task_id, fallback=fields)

    def _report_end(self, exception: BaseException | None) -> None:
        if exception is None or _is_exit_with_0(exception):
            self.succeed()
        else:
            kind = type(exception).__name__
            canceled = {"canceled": True} if _is_cancellation(exception) else {}
            self.fail(f"{kind}: {text_of(exception)}".removesuffix(": "), **canceled)

    def _close(self, exception: BaseException | None) -> None:
        if not self._owns_client:
            return
        try:
            self.outcome = self._client.close()
        except NotDelivered as error:
            self.outcome = error.outcome
            if exception is None:  # otherwise the exception of the block is raised
                raise

    def __enter__(self) -> "Task":
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        exception: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._report_end(exception)
        self._close(exception)

    async def __aenter__(self) -> "Task":
        return self.start()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        exception: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close the client in a thread, for a bounded time, also when cancelled."""
        import anyio

        self._report_end(exception)
        if self._owns_client:
            with anyio.CancelScope(shield=True):
                await anyio.to_thread.run_sync(self._close, exception)


def task(
    title: str,
    *,
    task_id: str | None = None,
    client: Client | None = None,
    url: str | None = None,
    token: str | None = None,
    strict: bool = False,
    stoppable: bool | OnStop = False,
) -> Task:
    """A task for a `with` block. Several tasks can share a `client`.

    With `stoppable`, a person can stop it from the page: this process gets SIGINT, 10 seconds later
    SIGTERM and then SIGKILL, unless the block has ended. A function is called instead, in a thread.

    Without `task_id`, each run is a task of its own. With `strict`, NoCredentials is raised at the
    start and NotDelivered at the end; otherwise these problems are logged.
    """
    name = text_of(title)[:MAX_MESSAGE]
    return Task(
        name,
        (as_identifier(text_of(task_id)) if task_id is not None else "") or new_task_id(name),
        client or Client(url, token, strict=strict),
        owns_client=client is None,
        stoppable=stoppable,
    )


def _message_field(message: object) -> dict[str, str]:
    return {} if message is None else {"message": text_of(message)[:MAX_MESSAGE]}


def _is_cancellation(exception: BaseException) -> bool:
    """Whether the work was given up on purpose: Ctrl-C, or a cancelled task of an event loop."""
    return isinstance(exception, KeyboardInterrupt) or (
        not isinstance(exception, Exception)
        and type(exception).__name__ in ("CancelledError", "Cancelled")
    )


def _is_exit_with_0(exception: BaseException) -> bool:
    """Whether the program exits with 0. `sys.exit` with a text means 1."""
    return isinstance(exception, SystemExit) and (
        exception.code is None or (isinstance(exception.code, int) and exception.code == 0)
    )
