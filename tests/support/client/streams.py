"""Live streams in trio, over either transport, read in the same way."""

import json
from collections import deque
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any

import h11
import httpx
import trio
from wsproto.events import AcceptConnection, CloseConnection, RejectConnection
from wsproto.utilities import ProtocolError

from tests.support.client.caller import RETRY_INTERVAL
from tests.support.client.connection import BROKEN, ClientConnection, Lost, connected
from tests.support.client.protocol import (
    HOST,
    LOST,
    Answer,
    EventStreamParser,
    answer_of,
    fields_of,
)
from tests.support.patience import PATIENCE

Message = dict[str, Any]


class Refused(Exception):
    """A stream was not opened; has the answer."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(str(answer))
        self.answer = answer


class Ended(EOFError):
    """A stream is over; `code` is its close code, if there was one.

    `is_cut` means that the connection ended without an end of the stream.
    """

    def __init__(self, code: int | None, *, is_cut: bool = False) -> None:
        super().__init__(f"close code {code}{', cut' if is_cut else ''}")
        self.code = code
        self.is_cut = is_cut


class DrippingConnection(ClientConnection):
    """A connection that is read so many bytes at a time, after so many seconds each."""

    def __init__(self, stream: trio.SocketStream, piece: int, pause: float) -> None:
        super().__init__(stream)
        self._piece = piece
        self._pause = pause

    async def receive(self, most: int = 65_536) -> bytes:
        await trio.sleep(self._pause)
        return await super().receive(self._piece)


class Stream:
    """A live stream that reads when a test asks for messages, and not before."""

    def __init__(self, connection: ClientConnection) -> None:
        self.connection = connection
        self.headers: Mapping[str, str] = httpx.Headers()  # of the response that opened it
        self._waiting: deque[Message] = deque()

    async def open(
        self, query: str, headers: Mapping[str, str], subprotocols: Iterable[str]
    ) -> None:
        """Raises Refused, Lost."""
        raise NotImplementedError

    async def read(self) -> list[Message]:
        """The messages of one read, never an empty list. Raises Ended."""
        raise NotImplementedError

    async def next(self) -> Message:
        """The next message. Raises Ended."""
        with trio.fail_after(PATIENCE):
            if not self._waiting:
                self._waiting.extend(await self.read())
        return self._waiting.popleft()

    async def hello(self) -> Message:
        message = await self.next()
        assert message["type"] == "hello", message
        return message

    async def events(self, count: int) -> list[Message]:
        """The next events; controls are skipped."""
        found: list[Message] = []
        while len(found) < count:
            message = await self.next()
            if "event_type" in message:
                found.append(message)
        return found

    async def control(self, kind: str) -> Message:
        while (message := await self.next()).get("type") != kind:
            pass
        return message


class WebSocketStream(Stream):
    """It answers pings and closes while it reads, or all the time once it is attended."""

    def __init__(self, connection: ClientConnection) -> None:
        super().__init__(connection)
        self.subprotocol: str | None = None
        self._texts: deque[str] = deque()
        self._ended: Ended | None = None
        self._ready: trio.MemoryReceiveChannel[str] | None = None

    async def open(
        self, query: str, headers: Mapping[str, str], subprotocols: Iterable[str]
    ) -> None:
        ws = self.connection.ws
        host = self.connection.peer
        asked = ws.handshake(f"/api/rt{query}", headers.items(), subprotocols, host=host)
        try:
            await self.connection.send(asked)
            while not (events := ws.receive(await self.connection.receive())):
                pass
            first, *others = events
            if isinstance(first, RejectConnection):
                raise Refused(Answer(first.status_code, httpx.Headers(list(first.headers))))
            if not isinstance(first, AcceptConnection):
                raise Lost("the connection ended within the handshake")
            self.subprotocol = first.subprotocol
            for event in others:  # they came with the response
                await self._take(event)
        except (*BROKEN, ProtocolError) as error:
            raise Lost(repr(error)) from error

    @property
    def is_over(self) -> bool:
        return self._ended is not None

    async def attend(self, *, task_status: trio.TaskStatus[None]) -> None:
        """Read all the time, one message ahead, as a browser does."""
        send, self._ready = trio.open_memory_channel[str](1)
        task_status.started()
        with send, suppress(Ended, trio.BrokenResourceError):
            while True:
                await send.send(await self._next_text())

    async def text(self) -> str:
        """The next message as it came. Raises Ended."""
        with trio.fail_after(PATIENCE):
            if self._ready is None:
                return await self._next_text()
            try:
                return await self._ready.receive()
            except trio.EndOfChannel:
                raise self._ended or Ended(None) from None

    async def read(self) -> list[Message]:
        found = [json.loads(await self.text())]
        while self._texts and self._ready is None:
            found.append(json.loads(self._texts.popleft()))
        return [one for each in found for one in (each if isinstance(each, list) else [each])]

    async def close_code(self) -> int:
        """Read to the end and return the close code."""
        while True:
            try:
                await self.text()
            except Ended as ended:
                return LOST if ended.code is None else ended.code

    async def _next_text(self) -> str:
        while not self._texts:
            if self._ended is not None:
                raise self._ended
            try:
                events = self.connection.ws.receive(await self.connection.receive())
            except BROKEN:
                events = self.connection.ws.receive(b"")
            for event in events:
                await self._take(event)
        return self._texts.popleft()

    async def _take(self, event: Any) -> None:
        if (text := self.connection.ws.text(event)) is not None:
            self._texts.append(text)
        if isinstance(event, CloseConnection) and self._ended is None:
            code = int(event.code)
            self._ended = Ended(None, is_cut=True) if code == LOST else Ended(code)
        if reply := self.connection.ws.reply(event):
            with suppress(*BROKEN):  # the next read finds out
                await self.connection.send(reply)


class SseStream(Stream):
    def __init__(self, connection: ClientConnection) -> None:
        super().__init__(connection)
        self.last_id: str | None = None
        self._code: int | None = None
        self._blocks: deque[list[str]] = deque()
        self._parser = EventStreamParser()

    async def open(
        self, query: str, headers: Mapping[str, str], subprotocols: Iterable[str]
    ) -> None:
        http = self.connection.http
        try:
            pairs = [("Host", HOST), *headers.items()]
            await self.connection.send(http.request("GET", f"/api/sse{query}", pairs))
            response = await self.connection.http_event()
        except (*BROKEN, h11.RemoteProtocolError) as error:
            raise Lost(repr(error)) from error
        if not isinstance(response, h11.Response):
            raise Lost("the connection ended within the request")
        answer = answer_of(response)
        if answer.status != 200:
            raise Refused(answer)
        self.headers = answer.headers

    async def block(self) -> list[str]:
        """The lines of the next block, heartbeats included. Raises Ended."""
        while not self._blocks:
            try:
                event = await self.connection.http_event()
            except (*BROKEN, h11.RemoteProtocolError):
                raise Ended(self._code, is_cut=True) from None
            if not isinstance(event, h11.Data):
                raise Ended(self._code)
            self._blocks.extend(self._parser.receive(event.data))
        return self._blocks.popleft()

    async def next(self) -> Message:
        with trio.fail_after(PATIENCE):
            while (message := self._message_of(await self.block())) is None:
                pass
        return message

    async def read(self) -> list[Message]:
        found: list[Message] = []
        while not found or self._blocks:
            if (message := self._message_of(await self.block())) is not None:
                found.append(message)
        return found

    def _message_of(self, block: list[str]) -> Message | None:
        fields = fields_of(block)
        self.last_id = fields.get("id", self.last_id)
        if "data" not in fields:
            return None
        message: Message = json.loads(fields["data"])
        # the position that EventSource resumes at is the message's own
        # a snapshot of tasks is ahead of the events, so its cursor is none to come back with
        cursor = "" if message.get("type") == "tasks" else message.get("cursor", "")
        assert fields.get("id", "") == cursor, fields
        if message.get("type") == "close":
            self._code = message["code"]
        return message


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
