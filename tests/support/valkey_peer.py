"""A connection to a node whose end the test holds."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import hiredis
import trio
from trio.testing import wait_all_tasks_blocked

from relay.config.valkey_address import Node
from relay.realtime.valkey.connection import NodeConnection
from relay.realtime.valkey.greeting import Exchange
from relay.realtime.valkey.node_socket import NodeSocket
from tests.support.patience import eventually_on_a_still_clock
from tests.support.socket_pairs import SocketPair

NODE = Node("127.0.0.1", 6379)


class Heard:
    """What a connection calls, in its order."""

    def __init__(self) -> None:
        self.calls: list[object] = []

    def on_message(self, channel: bytes, payload: bytes) -> None:
        self.calls.append((channel, payload))

    def on_unsubscribed(self, connection: NodeConnection, channel: bytes) -> None:
        self.calls.append(f"unsubscribed {channel.decode()}")

    def on_refused(
        self, connection: NodeConnection, message: bytes | None, error: hiredis.ReplyError
    ) -> None:
        self.calls.append((message, str(error)))

    def on_pause(self) -> None:
        pass


class Peer:
    """The connection, its node's end, and why it ended."""

    def __init__(self, pair: SocketPair) -> None:
        self._pair = pair
        self.unread = pair.unread
        self.theirs = pair.theirs
        self.heard = Heard()
        self.connection = NodeConnection(Exchange(NodeSocket(pair.ours), NODE), self.heard)
        self.reason = ""
        self.ended = trio.Event()

    async def run(self) -> None:
        self.reason = await self.connection.run()
        self.ended.set()

    async def received(self, count: int) -> None:
        """Read so many bytes at the node."""
        while count:
            count -= len(await self.theirs.receive_some(count))

    async def replies(self, *parts: bytes) -> None:
        """Send lines of the node, and wait until what is read of them is handled."""
        await self.theirs.send_all(b"".join(part + b"\r\n" for part in parts))
        await eventually_on_a_still_clock(self._pair.all_arrived)
        await wait_all_tasks_blocked()


@asynccontextmanager
async def connected(pair: SocketPair) -> AsyncIterator[Peer]:
    peer = Peer(pair)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(peer.run)
        yield peer
        nursery.cancel_scope.cancel()
