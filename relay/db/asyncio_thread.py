"""Runs an asyncio event loop in a thread beside trio, for the database driver.

All statements run there but those of the connection that is kept for commits, which is in trio's
thread (`stepped_loop.py`, decision 112).

Inside trio (trio-asyncio) a query takes five passes of trio's scheduler: to its loop, to its
socket, back to its loop, to its task, to its caller. With hundreds of concurrent requests each
pass takes a millisecond or more, so a commit of two milliseconds takes twenty. In a thread it
takes two, however busy trio is. Decision 9 in docs/explanation has the figures.
"""

import asyncio
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import outcome
import trio
import uvloop

from relay.db.driver_errors import report_driver_error

T = TypeVar("T")

TASK_END_TIMEOUT_SECONDS = 1.0  # for the driver's own tasks to end when the loop does


class Bridge:
    """Runs coroutines in the loop for trio tasks."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop

    async def run(self, work: Callable[..., Awaitable[T]], *args: object) -> T:
        """Run `await work(*args)` in the loop; returns its result or raises its error.

        A trio cancellation cancels the work and waits for it to end; its effects up to then may
        persist. Raises asyncio.CancelledError only when the loop itself is ending.
        """
        call = _Call(self._loop, work, args)
        self._loop.call_soon_threadsafe(call.begin)
        result: T = await trio.lowlevel.wait_task_rescheduled(call.abort)
        return result

    async def run_to_end(self, work: Callable[..., Awaitable[T]], *args: object) -> T:
        """Like `run`, but a trio cancellation leaves the work alone: it is raised afterwards.

        A shielded cancel scope around `run` would do the same, and take a tenth of a post's time.
        """
        call = _Call(self._loop, work, args)
        self._loop.call_soon_threadsafe(call.begin)
        result: T = await trio.lowlevel.wait_task_rescheduled(_leave_alone)
        return result


class _Call:
    """One call under way; `begin`, `_cancel` and `_done` run in the loop's thread."""

    __slots__ = ("_args", "_caller", "_loop", "_raise_cancel", "_task", "_token", "_work")

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        work: Callable[..., Awaitable[Any]],
        args: tuple[object, ...],
    ) -> None:
        self._loop = loop
        self._work = work
        self._args = args
        self._token = trio.lowlevel.current_trio_token()
        self._caller = trio.lowlevel.current_task()
        self._raise_cancel: trio.lowlevel.RaiseCancelT | None = None
        self._task: asyncio.Task[Any] | None = None

    def begin(self) -> None:
        self._task = self._loop.create_task(_as_coroutine(self._work, self._args))
        self._task.add_done_callback(self._done)

    def abort(self, raise_cancel: "trio.lowlevel.RaiseCancelT") -> trio.lowlevel.Abort:
        self._raise_cancel = raise_cancel
        self._loop.call_soon_threadsafe(self._cancel)
        return trio.lowlevel.Abort.FAILED  # `_done` reschedules the caller when the work ends

    def _cancel(self) -> None:
        if self._task is not None:
            self._task.cancel()

    def _done(self, task: "asyncio.Task[Any]") -> None:
        if task.cancelled():
            result: outcome.Outcome[Any] = outcome.Error(asyncio.CancelledError())
            if self._raise_cancel is not None:
                result = outcome.capture(self._raise_cancel)
        elif (error := task.exception()) is not None:
            result = outcome.Error(error)
        else:
            result = outcome.Value(task.result())
        self._token.run_sync_soon(trio.lowlevel.reschedule, self._caller, result)


def _leave_alone(_: "trio.lowlevel.RaiseCancelT") -> trio.lowlevel.Abort:
    return trio.lowlevel.Abort.FAILED  # trio raises at the caller's next checkpoint


async def _as_coroutine(work: Callable[..., Awaitable[T]], args: tuple[object, ...]) -> T:
    return await work(*args)


@asynccontextmanager
async def open_bridge() -> AsyncIterator[Bridge]:
    """Run a loop in a thread for the length of the block, and join the thread at its end."""
    loop = uvloop.new_event_loop()
    loop.set_exception_handler(report_driver_error)
    thread = threading.Thread(target=loop.run_forever, name="database")
    thread.start()
    try:
        yield Bridge(loop)
    finally:
        asyncio.run_coroutine_threadsafe(_end_tasks(), loop).add_done_callback(
            lambda _: loop.call_soon_threadsafe(loop.stop)
        )
        with trio.CancelScope(shield=True):
            await trio.to_thread.run_sync(thread.join)
        loop.close()


async def _end_tasks() -> None:
    """Cancel all other tasks, and wait a moment for them to end."""
    others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
    for task in others:
        task.cancel()
    if others:
        await asyncio.wait(others, timeout=TASK_END_TIMEOUT_SECONDS)
