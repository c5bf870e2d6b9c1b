"""A task as a `with` block: reports its start, its progress and its end.

with relay.task("train") as task:
    for epoch in task.track(range(10)):
        task.log(f"loss {step(epoch)}")
"""

import time
from collections.abc import Iterable, Iterator, Sized
from types import TracebackType
from typing import Any, TypeVar

from relay.client.client import Client, NotDelivered, Outcome
from relay.client.drafts import clean_id, new_task_id

MAX_MESSAGE = 4_000  # characters of an exception's message: it is shown on a card

T = TypeVar("T")


class Task:
    """A context manager, also for `async with`. Calls inside the block do not wait for Relay."""

    def __init__(self, title: str, task_id: str, client: Client, *, owns_client: bool) -> None:
        self.title = title
        self.task_id = task_id
        self.outcome: Outcome | None = None  # after the block, if it closed the client
        self._client = client
        self._owns_client = owns_client
        self._started = time.monotonic()

    # -- progress and log

    def progress(self, fraction: float, message: str | None = None, **keys: Any) -> None:
        """Report progress from 0 to 1. Call it as often as you like: the rate is limited here."""
        payload = {
            "progress": min(1.0, max(0.0, float(fraction))),
            **_message_field(message),
            **keys,
        }
        self._client.publish("task_progress", payload, self.task_id)

    def log(self, message: object, level: str | None = None, **keys: Any) -> None:
        """Report one or more lines of output."""
        if level is not None:
            keys["level"] = level
        self._client.log(str(message), self.task_id, **keys)

    def track(
        self, items: Iterable[T], total: int | None = None, message: str | None = None
    ) -> Iterator[T]:
        """Iterate over the items and report progress after each."""
        if total is None and isinstance(items, Sized):
            total = len(items)
        for done, item in enumerate(items, 1):
            yield item
            if total:
                self.progress(done / total, f"{message or ''} {done}/{total}".strip())

    # -- start and end

    def start(self) -> "Task":
        self._started = time.monotonic()
        self._client.publish("task_started", {"title": self.title}, self.task_id)
        return self

    def succeed(self, message: str | None = None, **keys: Any) -> None:
        self._end("task_succeeded", message, keys)

    def fail(self, message: str | None = None, **keys: Any) -> None:
        self._end("task_failed", message, keys)

    def _end(self, event_type: str, message: str | None, keys: dict[str, Any]) -> None:
        took = round(time.monotonic() - self._started, 3)
        self._client.publish(
            event_type,
            {"title": self.title, **_message_field(message), "duration_s": took, **keys},
            self.task_id,
        )

    def _report_end(self, exception: BaseException | None) -> None:
        if exception is None or (isinstance(exception, SystemExit) and not exception.code):
            self.succeed()
        else:
            text = f"{type(exception).__name__}: {exception}".removesuffix(": ")
            self.fail(text[:MAX_MESSAGE])

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
) -> Task:
    """A task for a `with` block. Several tasks can share a `client`.

    Without `task_id`, each run is a task of its own. With `strict`, NoCredentials is raised at the
    start and NotDelivered at the end; otherwise these problems are logged.
    """
    return Task(
        title,
        clean_id(task_id) if task_id else new_task_id(title),
        client or Client(url, token, strict=strict),
        owns_client=client is None,
    )


def _message_field(message: str | None) -> dict[str, str]:
    return {} if message is None else {"message": str(message)}
