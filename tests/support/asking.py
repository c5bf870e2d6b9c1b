"""`relay ask` as a process that waits for its answer."""

import json
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio

from tests.support.altered_relay import ALTERED
from tests.support.commands import environment
from tests.support.packages import ROOT
from tests.support.patience import PATIENCE
from tests.support.relay_server import User, calls_wait

ASK = (sys.executable, "-m", "tests.support.altered_relay", "ask")
"""It takes its time to withdraw what it asked, where `relay ask` ends after five seconds."""


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


async def asking_as(user: User, url: str = "") -> dict[str, str]:
    """The environment of `ASK`, for the user's Relay or an address that leads to it."""
    altered = {ALTERED: json.dumps({"relay.client.asking.WITHDRAW_SECONDS": PATIENCE})}
    account = {"RELAY_URL": url or user.relay.url, "RELAY_TOKEN": await user.hook()}
    return environment(**account, **altered, PYTHONPATH=str(ROOT))


@asynccontextmanager
async def asking(user: User, *arguments: str, beside: int = 0) -> AsyncIterator[Asker]:
    """Inside the block it waits for its answer, `beside` other calls; after it, it has ended."""
    env = await asking_as(user)
    with trio.fail_after(PATIENCE):
        async with trio.open_nursery() as nursery:
            process = await trio.lowlevel.open_process(
                [*ASK, *arguments],
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
