"""Connections to receivers, each for one call at a time, and kept for a moment for the next one.

httpcore's own pool looks through all of its connections several times for each call, which was a
third of what a call costs with 16 of them.
"""

import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import httpcore
import trio

MAX_IDLE_CONNECTIONS = 20  # of one process, to all receivers; the oldest one is closed first
IDLE_SECONDS = 4.0  # common servers close after five

_Server = tuple[bytes, bytes, int]  # scheme, host, port


class ReceiverConnections:
    """The connections of one process. The senders bound how many are in use at a time."""

    def __init__(self, backend: httpcore.AsyncNetworkBackend, trust: ssl.SSLContext) -> None:
        self._backend = backend
        self._trust = trust
        self._idle: dict[httpcore.AsyncHTTPConnection, _Server] = {}  # the oldest first

    @asynccontextmanager
    async def post(
        self, url: httpcore.URL, headers: Mapping[str, str], content: bytes, *, connect_s: float
    ) -> AsyncIterator[httpcore.Response]:
        """The answer to a POST, whose body is read or left within the block.

        Opening a connection to one address takes `connect_s` seconds at most.
        """
        server = (url.scheme, url.host, url.origin.port)
        connection = await self._take(server, url.origin)
        try:
            async with connection.stream(
                "POST",
                url,
                headers=[(name.encode("ascii"), value.encode()) for name, value in headers.items()],
                content=content,
                extensions={"timeout": {"connect": connect_s}},
            ) as answer:
                yield answer
        finally:
            with trio.CancelScope(shield=True):
                await self._release(connection, server)

    async def close_expired(self) -> None:
        """Close those that were not used for `IDLE_SECONDS`, and those that have ended."""
        for connection in [one for one in self._idle if one.has_expired()]:
            if self._idle.pop(connection, None) is not None:  # no call has taken it meanwhile
                await connection.aclose()

    async def close(self) -> None:
        """Close all that are not in use."""
        with trio.CancelScope(shield=True):
            while self._idle:
                await self._close_oldest()

    async def _take(self, server: _Server, origin: httpcore.Origin) -> httpcore.AsyncHTTPConnection:
        """One that is open and was used last, or a new one."""
        for connection in [one for one, to in reversed(self._idle.items()) if to == server]:
            if self._idle.pop(connection, None) is None:
                continue  # another call has it by now
            if not connection.has_expired():
                return connection
            await connection.aclose()
        return httpcore.AsyncHTTPConnection(
            origin,
            ssl_context=self._trust,
            keepalive_expiry=IDLE_SECONDS,
            network_backend=self._backend,
        )

    async def _release(self, connection: httpcore.AsyncHTTPConnection, server: _Server) -> None:
        if connection.is_idle() and not (connection.has_expired() or _has_leftover(connection)):
            self._idle[connection] = server
        else:
            await connection.aclose()
        while len(self._idle) > MAX_IDLE_CONNECTIONS:
            await self._close_oldest()

    async def _close_oldest(self) -> None:
        oldest = next(iter(self._idle))
        del self._idle[oldest]
        await oldest.aclose()


def _has_leftover(connection: httpcore.AsyncHTTPConnection) -> bool:
    """Whether bytes came behind the answer: the next call would read them as its own answer.

    httpcore has no public way to them. `_take` finds those that come later.
    """
    http = connection._connection
    assert isinstance(http, httpcore.AsyncHTTP11Connection)
    if http._h11_state.trailing_data[0]:
        return True
    tls = http._network_stream.get_extra_info("ssl_object")
    if tls is None:
        return False
    try:
        tls.read(1)  # of a record that came with those of the answer
    except ssl.SSLWantReadError:
        return False
    except ssl.SSLError:
        pass
    return True
