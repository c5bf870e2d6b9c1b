"""A connection in place of asyncpg's: a socket of the loop, whose other end answers at once."""

import asyncio
import socket
from typing import Any

from bench.instructions.database import EPOCH

STATEMENT, ANSWER = bytes(300), bytes(80)  # about as long as those of one event


class StandInConnection(asyncio.Protocol):
    """Stands in for asyncpg's connection. A statement is written, and its answer read."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._ours, self._other = socket.socketpair()
        self._transport: Any = None
        self._waiter: asyncio.Future[None] = self._loop.create_future()

    @classmethod
    async def connect(cls) -> Any:
        """Open one."""
        made = cls()
        made._transport, _ = await made._loop.create_connection(lambda: made, sock=made._ours)
        return made

    def data_received(self, _data: bytes) -> None:
        self._waiter.set_result(None)

    def is_closed(self) -> bool:
        return bool(self._transport.is_closing())

    def terminate(self) -> None:
        self._transport.abort()
        self._other.close()

    async def fetch(self, _sql: str, *_args: object) -> list[tuple[object, ...]]:
        self._waiter = self._loop.create_future()
        self._transport.write(STATEMENT)
        self._other.recv(len(STATEMENT))
        self._other.send(ANSWER)
        await self._waiter
        return [(EPOCH, 1, None, None)]
