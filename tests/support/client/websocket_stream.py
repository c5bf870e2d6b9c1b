"""A live stream over WebSocket."""

import json
from collections import deque
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Any

import httpx
import trio
from wsproto.events import AcceptConnection, CloseConnection, RejectConnection
from wsproto.utilities import ProtocolError

from tests.support.client.connection import BROKEN, ClientConnection, Lost
from tests.support.client.live_stream import Ended, Message, Refused, Stream
from tests.support.client.protocol import LOST, Answer
from tests.support.patience import PATIENCE


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
            return await self._text()

    async def _text(self) -> str:
        if self._ready is None:
            return await self._next_text()
        try:
            return await self._ready.receive()
        except trio.EndOfChannel:
            raise self._ended or Ended(None) from None

    async def read(self) -> list[Message]:
        found = [json.loads(await self._text())]
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
