"""Hosts in name only, where no others can be made: addresses of loopback, and no way to break."""

import os
from collections.abc import Iterable

import trio

from tests.support.hosts.network import Network


class Loopback(Network):
    """A network of this machine's own addresses. What runs on its hosts can be killed, no more."""

    addresses = "127.0.0.0/8"
    breaks = False

    def __init__(self, names: tuple[str, ...]) -> None:
        self.names = names
        high, low = divmod(os.getpid() % 65_536, 256)  # no other run's
        self._prefix = f"127.{high}.{low}"

    def address(self, name: str) -> str:
        return f"{self._prefix}.{1 + self.names.index(name)}"

    def within(self, name: str) -> tuple[str, ...]:
        return ()

    async def connect(self, name: str, to: str, port: int) -> trio.SocketStream:
        return await trio.open_tcp_stream(self.address(to), port)

    async def set_ways(
        self, ways: Iterable[tuple[str, str]], *, delay: float = 0, loss: float = 0
    ) -> None:
        """Change nothing."""
