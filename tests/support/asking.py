"""`relay ask` as a process that waits for its answer."""

import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio

from tests.support.commands import RELAY, environment
from tests.support.patience import PATIENCE
from tests.support.relay_server import User, calls_wait


class Asker:
    """A `relay ask` that runs, and what it printed once it has ended."""

    def __init__(self, process: trio.Process) -> None:
        self.process = process
        self.code: int | None = None
        self.stdout = b""
        self.stderr = b""

    async def read(self) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._read, "stdout")
            nursery.start_soon(self._read, "stderr")
        self.code = await self.process.wait()

    async def _read(self, name: str) -> None:
        async for data in getattr(self.process, name):
            setattr(self, name, getattr(self, name) + data)


@asynccontextmanager
async def asking(user: User, *arguments: str, beside: int = 0) -> AsyncIterator[Asker]:
    """Inside the block it waits for its answer, `beside` other calls; after it, it has ended."""
    env = environment(RELAY_URL=user.relay.url, RELAY_TOKEN=await user.hook())
    with trio.fail_after(PATIENCE):
        async with trio.open_nursery() as nursery:
            process = await trio.lowlevel.open_process(
                [*RELAY, "ask", *arguments],
                env=env,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
            )
            asker = Asker(process)
            nursery.start_soon(asker.read)
            try:
                await calls_wait(user.relay, beside + 1)
                yield asker
            except BaseException:
                process.kill()  # the test has failed
                raise
