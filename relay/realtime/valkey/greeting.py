"""Open a connection to a node: TCP, TLS, then HELLO with the user and password.

The protocol is RESP3, in which messages of channels come between the replies of one connection.
"""

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import hiredis
import trio

from relay.config.valkey_address import Node, ValkeyAddress
from relay.realtime.valkey.node_socket import NodeSocket, open_socket

CLIENT_NAME = "relay"
MAX_REPLY_BYTES = 4 * 2**20  # of one reply or message: Relay's have at most a sixteenth of it
NOT_YET = object()
"""What the parser returns while a reply is incomplete."""

Reply = Any
"""Whatever a node replies: bytes, int, list, dict, None, or a ReplyError."""

BROKEN = (OSError, hiredis.ProtocolError)
"""What a connection raises that cannot go on; errors of TLS are OSErrors."""


class NodeAway(Exception):
    """A node does not answer, or refuses the connection. The message says why."""


class Exchange:
    """A connection on which each command waits for its reply."""

    def __init__(self, socket: NodeSocket, node: Node) -> None:
        self.socket = socket
        self.node = node
        self.reader = hiredis.Reader(notEnoughData=NOT_YET)

    async def ask(self, *command: bytes) -> Reply:
        """Send a command and return its reply. Raises NodeAway, and what is in BROKEN."""
        await self.socket.send_all(pack(*command))
        received = 0
        while (reply := self.reader.gets()) is NOT_YET:
            data = await self.socket.receive()
            received += len(data)
            if not data:
                raise NodeAway("it closed the connection")
            if received > MAX_REPLY_BYTES:
                raise NodeAway("it sent too large a reply")
            self.reader.feed(data)
        if isinstance(reply, hiredis.ReplyError):
            raise NodeAway(f"it refuses {command[0].decode()}: {reply}")
        return reply

    async def ask_within(self, seconds: float, *command: bytes) -> Reply:
        """The same, for so many seconds at most. Raises NodeAway for everything."""
        try:
            with trio.fail_after(seconds):
                return await self.ask(*command)
        except trio.TooSlowError:
            raise NodeAway("no answer") from None
        except BROKEN as error:
            raise NodeAway(str(error) or repr(error)) from None


@asynccontextmanager
async def greeted(
    address: ValkeyAddress, context: ssl.SSLContext | None, node: Node, *, within: float
) -> AsyncIterator[tuple[Exchange, dict[bytes, Reply]]]:
    """A connection for the length of the block, and what the node says of itself.

    Raises NodeAway if it cannot be reached, or does not greet, `within` seconds each.
    """
    try:
        with trio.fail_after(within):
            socket = await open_socket(node, context)
    except trio.TooSlowError:
        raise NodeAway("no answer") from None
    except OSError as error:
        raise NodeAway(str(error) or repr(error)) from None
    try:
        exchange = Exchange(socket, node)
        hello = await exchange.ask_within(within, *_hello(address))
        if not isinstance(hello, dict):
            raise NodeAway("it is no Valkey")
        yield exchange, hello
    finally:
        socket.close()


def _hello(address: ValkeyAddress) -> list[bytes]:
    login = [] if address.password is None else ["AUTH", address.user, address.password]
    return [part.encode() for part in ("HELLO", "3", *login, "SETNAME", CLIENT_NAME)]


def pack(*command: bytes) -> bytes:
    """The bytes of a command."""
    packed: bytes = hiredis.pack_command(command)  # type: ignore[arg-type] # declared for one part
    return packed
