"""Trio in a thread of its own whose clock stands still."""

import queue
import threading
from collections.abc import Callable
from typing import TypeVar

import trio
import trio.testing

T = TypeVar("T")


class Trio:
    """Trio in a thread whose clock stands still, one call at a time from outside."""

    def __init__(self) -> None:
        self._token: queue.Queue[trio.lowlevel.TrioToken] = queue.Queue()
        self.clock = trio.testing.MockClock()
        self._thread = threading.Thread(
            target=trio.run, args=(self._main,), kwargs={"clock": self.clock}
        )
        self._thread.start()
        self.token = self._token.get()

    async def _main(self) -> None:
        self._end = trio.Event()
        async with trio.open_nursery() as self.nursery:
            self._token.put(trio.lowlevel.current_trio_token())
            await self._end.wait()
            self.nursery.cancel_scope.cancel()

    def do(self, act: Callable[[], T], *, seconds: float = 0) -> T:
        """Do it, then let all tasks run until none can, and again after each second given."""

        async def run() -> T:
            result = act()
            await trio.testing.wait_all_tasks_blocked()
            for _ in range(int(seconds * 2)):
                self.clock.jump(0.5)
                await trio.testing.wait_all_tasks_blocked()
            return result

        return trio.from_thread.run(run, trio_token=self.token)

    def stop(self) -> None:
        self.token.run_sync_soon(self._end.set)
        self._thread.join()
