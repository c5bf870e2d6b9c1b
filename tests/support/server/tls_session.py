"""A client of the TLS server whose bytes the test itself carries."""

import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Self

from tests.support.client.connection import ClientConnection, connected
from tests.support.server.stage import Server

Send = Callable[[ClientConnection, bytes], Awaitable[None]]


@dataclass
class Session:
    """The client's side of TLS."""

    incoming: ssl.MemoryBIO
    outgoing: ssl.MemoryBIO
    tls: ssl.SSLObject

    @classmethod
    async def agreed(cls, server: Server, client: ClientConnection, send: Send) -> Self:
        """One after its handshake."""
        assert server.trusting is not None
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = server.trusting.wrap_bio(incoming, outgoing, server_hostname="127.0.0.1")
        while True:
            try:
                tls.do_handshake()
                return cls(incoming, outgoing, tls)
            except ssl.SSLWantReadError:
                await send(client, outgoing.read())
                incoming.write(await client.receive())


async def raw(server: Server) -> ClientConnection:
    """A connection without TLS to a server that expects it."""
    client = ClientConnection(await connected(server.port))
    server.clients.append(client)
    return client


async def send_byte_by_byte(client: ClientConnection, data: bytes) -> None:
    for byte in data:
        await client.send(bytes([byte]))
