"""Streams of every worker of a Relay, watched until they end."""

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import psutil
import trio

from tests.support.accounts import Account
from tests.support.client.streams import TRANSPORTS, Ended, stream
from tests.support.workers import Workers

MANY = 12  # streams at least, on both of two workers


class Seat:
    """A stream that is watched until it ends, and how it ended."""

    def __init__(self, opened: Any) -> None:
        self._opened = opened
        self.port = opened.connection.port
        self.last: dict[str, Any] = {}
        self.end: Ended | None = None

    async def watch(self) -> None:
        try:
            while True:
                self.last = (await self._opened.read())[-1]
        except Ended as ended:
            self.end = ended

    def is_at(self, worker: psutil.Process) -> bool:
        return any(c.raddr and c.raddr.port == self.port for c in worker.net_connections("tcp"))


def at(worker: psutil.Process) -> Callable[[Seat], bool]:
    return lambda seat: seat.is_at(worker)


@asynccontextmanager
async def seated(program: Workers, account: Account) -> AsyncIterator[list[Seat]]:
    """MANY streams or more over both transports, of every worker, watched until the block ends."""
    async with AsyncExitStack() as stack, trio.open_nursery() as nursery:
        seats: list[Seat] = []
        workers = program.workers()
        while len(seats) < MANY or not all(any(map(at(worker), seats)) for worker in workers):
            transport = TRANSPORTS[len(seats) % 2]
            opened = await stack.enter_async_context(
                stream(program.port, transport, account.session, insist=True)
            )
            await opened.read()  # hello
            seats.append(Seat(opened))
            nursery.start_soon(seats[-1].watch)
        yield seats
        nursery.cancel_scope.cancel()
