"""Tracks whether a process can serve: its critical background tasks run, and it is not leaving."""

from collections.abc import Awaitable, Callable
from typing import Any

import structlog
import trio

log = structlog.get_logger("relay.background.health")


class ProcessHealth:
    """Starts the critical tasks, without which the process must not serve.

    The failure of one does not cancel the others. It sets `leaving`, so that the server can close
    its streams, and `check()` raises the error in the end.
    """

    def __init__(self, all_serve: Callable[[], bool] = lambda: True) -> None:
        self.all_serve = all_serve  # whether all processes that share this address serve
        self.leaving = trio.Event()
        self.failed_task: str | None = None  # the task that failed first
        self._failure: Exception | None = None

    async def start(self, nursery: trio.Nursery, task: Callable[..., Any], *args: Any) -> None:
        """Start a task and wait until it calls `task_status.started`. Raises its error before."""
        await nursery.start(self._run, task, args)

    def start_soon(self, nursery: trio.Nursery, task: Callable[..., Any], *args: Any) -> None:
        """Start a task that needs no start-up."""
        nursery.start_soon(self._run_at_once, task, args)

    async def raise_after(self, failure_grace: float) -> None:
        """After a failure, wait `failure_grace` seconds for the end; then raise the error."""
        await self.leaving.wait()
        if self._failure is not None:
            await trio.sleep(failure_grace)
            self.check()

    def check(self) -> None:
        """Raise the error of the first failed task, if one failed."""
        if self._failure is not None:
            raise self._failure

    async def _run(
        self, task: Callable[..., Any], args: tuple[Any, ...], task_status: trio.TaskStatus[Any]
    ) -> None:
        status = _TrackedStatus(task_status)
        try:
            await task(*args, task_status=status)
        except Exception as error:
            if not status.has_started:
                raise
            self._record_failure(task, error)

    async def _run_at_once(
        self, task: Callable[..., Awaitable[Any]], args: tuple[Any, ...]
    ) -> None:
        try:
            await task(*args)
        except Exception as error:
            self._record_failure(task, error)

    def _record_failure(self, task: Callable[..., Any], error: Exception) -> None:
        name = task.__qualname__
        log.error("background_work_died", work=name, exc_info=error)
        if self._failure is None:
            self.failed_task, self._failure = name, error
        self.leaving.set()


class _TrackedStatus:
    """A task status that passes `started` on and remembers it."""

    def __init__(self, task_status: trio.TaskStatus[Any]) -> None:
        self.has_started = False
        self._task_status = task_status

    def started(self, value: Any = None) -> None:
        self.has_started = True
        self._task_status.started(value)
