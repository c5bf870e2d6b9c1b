"""A live stream of Server-Sent Events."""

import json
from collections import deque
from collections.abc import Iterable, Mapping

import h11
import trio

from tests.support.client.connection import BROKEN, ClientConnection, Lost
from tests.support.client.live_stream import Ended, Message, Refused, Stream
from tests.support.client.protocol import HOST, EventStreamParser, answer_of, fields_of
from tests.support.patience import PATIENCE


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
