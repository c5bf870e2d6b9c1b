"""A Postgres that is reached over TLS: a server that ends TLS in front of one on a Unix socket."""

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import trio

from tests.support.certificates import self_signed
from tests.support.client.connection import BROKEN
from tests.support.tcp_proxy import CHUNK_BYTES

SSL_REQUEST_BYTES = 8  # a length and a code, which the client sends first


@asynccontextmanager
async def tls_database(dsn: str, folder: Path) -> AsyncIterator[str]:
    """The DSN that leads to the same database over TLS, for the length of the block."""
    asked, files = urlsplit(dsn), self_signed(folder)
    (sockets,) = parse_qs(asked.query)["host"]
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(**files)

    async def carry(client: trio.SocketStream) -> None:
        with suppress(*BROKEN):
            await client.receive_some(SSL_REQUEST_BYTES)
            await client.send_all(b"S")
            plain = trio.SSLStream(client, context, server_side=True)
            async with (
                await trio.open_unix_socket(f"{sockets}/.s.PGSQL.5432") as server,
                trio.open_nursery() as both,
            ):
                both.start_soon(_pass_on, plain, server, both.cancel_scope)
                both.start_soon(_pass_on, server, plain, both.cancel_scope)

    async with trio.open_nursery() as nursery:
        serve = partial(trio.serve_tcp, carry, 0, host="127.0.0.1")
        (listener,) = await nursery.start(serve)
        port = listener.socket.getsockname()[1]
        where = f"{asked.netloc.rpartition('@')[0]}@127.0.0.1:{port}{asked.path}"
        yield f"postgresql://{where}?sslmode=verify-full&sslrootcert={files['certfile']}"
        nursery.cancel_scope.cancel()


async def _pass_on(
    source: trio.abc.ReceiveStream, sink: trio.abc.SendStream, scope: trio.CancelScope
) -> None:
    with suppress(*BROKEN):
        while data := await source.receive_some(CHUNK_BYTES):
            await sink.send_all(data)
    scope.cancel()
