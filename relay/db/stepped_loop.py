"""An asyncio event loop that trio runs in its own thread: trio waits in its place.

The loop runs until it would wait. Then the trio task that needs a result waits until one of the
loop's sockets is ready, and lets it run again. So a statement takes one turn of trio's scheduler
and no other thread (decision 112). One task at a time may use the loop.
"""

import asyncio
import select
from collections.abc import Callable, Coroutine
from contextvars import Context
from selectors import DefaultSelector, SelectorKey
from typing import Any, TypeVar, TypeVarTuple

import trio

from relay.db.driver_errors import report_driver_error

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

READ_BYTES = 16_384
"""Bytes of one read, and of the buffer that is allocated for each. If the heap ends in an unlucky
place, asyncio's 256 KiB are new pages from the kernel each time: 40 µs instead of 4."""


class _Selector(DefaultSelector):
    """Finds what is ready, and stops the loop instead of waiting.

    `is_idle`: nothing was ready, nor was the loop. `timeout`: in how many seconds the loop's next
    timer is due; None if it has none.
    """

    stop: Callable[[], None]

    def __init__(self) -> None:
        super().__init__()
        self.is_idle = False
        self.timeout: float | None = None

    def select(self, timeout: float | None = None) -> list[tuple[SelectorKey, int]]:
        ready = super().select(0)
        self.is_idle, self.timeout = timeout != 0 and not ready, timeout
        self.stop()  # after the callbacks of what is ready
        return ready


class _Loop(asyncio.SelectorEventLoop):
    """asyncio's loop, whose connections read at most `READ_BYTES` at once.

    `has_callbacks`: some may be due that no socket announces, such as the end of a connection.
    """

    has_callbacks = False

    def call_soon(
        self, callback: Callable[[*Ts], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.Handle:
        self.has_callbacks = True
        return super().call_soon(callback, *args, context=context)

    async def create_connection(self, *args: Any, **options: Any) -> Any:
        return _reading_little(await super().create_connection(*args, **options))

    async def create_unix_connection(self, *args: Any, **options: Any) -> Any:
        return _reading_little(await super().create_unix_connection(*args, **options))


def _reading_little(made: tuple[Any, Any]) -> tuple[Any, Any]:
    transport, protocol = made
    transport.max_size = READ_BYTES
    return transport, protocol


class SteppedLoop:
    """The loop. It does nothing but within its methods, so what it holds rests meanwhile."""

    def __init__(self) -> None:
        self._selector = _Selector()
        self._loop = _Loop(self._selector)
        self._selector.stop = self._loop.stop
        self._loop.set_exception_handler(report_driver_error)
        self._look = select.poll()
        self._look.register(self._selector.fileno(), select.POLLIN)

    async def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run any coroutine as a task of the loop; returns its result or raises its error.

        A trio cancellation cancels the task.
        """
        task = self._loop.create_task(work)
        try:
            while not task.done():
                self.step()
                if not task.done():
                    with trio.move_on_after(self._next_timer()):
                        await self._wait()
            return task.result()
        finally:
            if not task.done():
                task.cancel()
                self.step()

    async def finish(self, work: Coroutine[Any, Any, T], *, to_end: bool) -> T:
        """Run what awaits nothing but futures of the loop, and no timers, without a task.

        To end it early, complete the future, for instance by closing its connection, and call
        `wake`. A trio cancellation closes the work; with `to_end` it is left alone, and trio
        raises it at the caller's next checkpoint.
        """
        try:
            while True:
                future = work.send(None)
                while not future.done():
                    if self._loop.has_callbacks:
                        self.step()
                        continue
                    try:
                        await self._wait()
                    except trio.Cancelled:
                        if not to_end:
                            future.cancel()  # else asyncio reports that its error was not read
                            raise
                        with trio.CancelScope(shield=True):
                            await self._wait()
                    self._loop.run_forever()
        except StopIteration as end:
            result: T = end.value
            return result
        finally:
            work.close()

    def step(self) -> None:
        """Run the loop until it would wait."""
        self._selector.is_idle = False
        while not self._selector.is_idle:
            self._loop.run_forever()
        self._loop.has_callbacks = False

    def wake(self) -> None:
        """Wake the task that waits, to look again."""
        trio.lowlevel.notify_closing(self._selector.fileno())

    def has_input(self) -> bool:
        """Whether a socket of the loop is ready: then `step` handles it."""
        return bool(self._look.poll(0))

    def close(self) -> None:
        """Close the loop, after its last connection was closed."""
        self.step()
        self._loop.close()

    async def _wait(self) -> None:
        try:
            await trio.lowlevel.wait_readable(self._selector.fileno())
        except trio.ClosedResourceError:
            return  # by `wake`

    def _next_timer(self) -> float:
        return float("inf") if self._selector.timeout is None else self._selector.timeout
