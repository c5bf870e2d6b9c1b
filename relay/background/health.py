"""Whether a process is fit to be spoken to: is its background work alive, is it about to leave?"""

from collections.abc import Awaitable, Callable
from typing import Any

import structlog
import trio

log = structlog.get_logger("relay.background.health")


class Health:
    """Tasks without which nobody should serve are started through it.

    One that dies takes nothing with it at once: `leaving` is set, so that whoever serves can say
    goodbye, and `check()` raises in the end what it died of.
    """

    def __init__(self, all_serve: Callable[[], bool] = lambda: True) -> None:
        self.all_serve = all_serve  # whether those who share this address do, too
        self.leaving = trio.Event()
        self.dead: str | None = None  # the work that died first
        self._failure: Exception | None = None

    async def start(self, nursery: trio.Nursery, task: Callable[..., Any], *args: Any) -> None:
        """Start a task and wait until it says that it stands; what fails before is raised."""
        await nursery.start(self._run, task, args)

    def start_soon(self, nursery: trio.Nursery, task: Callable[..., Any], *args: Any) -> None:
        """Start a task that stands from its first moment."""
        nursery.start_soon(self._run_at_once, task, args)

    async def insist(self, patience: float) -> None:
        """Raise what a task died of when nobody has left for it within `patience` seconds."""
        await self.leaving.wait()
        if self._failure is not None:
            await trio.sleep(patience)
            self.check()

    def check(self) -> None:
        """Raise what a task died of, if one did."""
        if self._failure is not None:
            raise self._failure

    async def _run(
        self, task: Callable[..., Any], args: tuple[Any, ...], task_status: trio.TaskStatus[Any]
    ) -> None:
        standing = _Standing(task_status)
        try:
            await task(*args, task_status=standing)
        except Exception as error:
            if not standing.reached:
                raise
            self._mourn(task, error)

    async def _run_at_once(
        self, task: Callable[..., Awaitable[Any]], args: tuple[Any, ...]
    ) -> None:
        try:
            await task(*args)
        except Exception as error:
            self._mourn(task, error)

    def _mourn(self, task: Callable[..., Any], error: Exception) -> None:
        name = task.__qualname__
        log.error("background_work_died", work=name, exc_info=error)
        if self._failure is None:
            self.dead, self._failure = name, error
        self.leaving.set()


class _Standing:
    """A task's word that it stands, passed on and remembered."""

    def __init__(self, task_status: trio.TaskStatus[Any]) -> None:
        self.reached = False
        self._task_status = task_status

    def started(self, value: Any = None) -> None:
        self.reached = True
        self._task_status.started(value)
