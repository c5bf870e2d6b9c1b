"""Live streams in trio, over either transport, read in the same way."""

from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager

import trio

from tests.support.client.caller import RETRY_INTERVAL
from tests.support.client.connection import ClientConnection, connected
from tests.support.client.live_stream import Ended, Refused, Stream
from tests.support.client.protocol import HOST
from tests.support.client.sse_stream import SseStream
from tests.support.client.websocket_stream import WebSocketStream
from tests.support.patience import PATIENCE

__all__ = ["TRANSPORTS", "Ended", "Refused", "SseStream", "Stream", "WebSocketStream", "stream"]


class DrippingConnection(ClientConnection):
    """A connection that is read so many bytes at a time, after so many seconds each."""

    def __init__(self, stream: trio.SocketStream, piece: int, pause: float) -> None:
        super().__init__(stream)
        self._piece = piece
        self._pause = pause

    async def receive(self, most: int = 65_536) -> bytes:
        await trio.sleep(self._pause)
        return await super().receive(self._piece)


STREAMS: dict[str, type[Stream]] = {"websocket": WebSocketStream, "sse": SseStream}
TRANSPORTS = tuple(STREAMS)


@asynccontextmanager
async def stream(
    port: int,
    transport: str,
    token: str | None,
    query: str = "",
    *,
    headers: Mapping[str, str] | None = None,
    subprotocols: Iterable[str] = (),
    window: int | None = None,
    drip: tuple[int, float] | None = None,
    insist: bool = False,
    host: str = HOST,
) -> AsyncIterator[Stream]:
    """An open stream. Raises Lost, Refused.

    `window` is the size of the receive buffer; `drip` reads so many bytes at a time, after so many
    seconds each. With `insist` the request is repeated while the answer is 503.
    """
    asked = {**({"Authorization": f"Bearer {token}"} if token else {}), **(headers or {})}
    with trio.fail_after(PATIENCE):
        while True:
            tcp = await connected(port, window, host)
            connection = DrippingConnection(tcp, *drip) if drip else ClientConnection(tcp)
            opened = STREAMS[transport](connection)
            try:
                await opened.open(query, asked, subprotocols)
                break
            except BaseException as error:
                await connection.aclose()
                if not isinstance(error, Refused) or error.answer.status != 503 or not insist:
                    raise
            await trio.sleep(RETRY_INTERVAL)
    async with connection:
        yield opened
