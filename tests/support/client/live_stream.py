"""What live streams of both transports have in common, and the two ways in which they fail."""

from collections import deque
from collections.abc import Iterable, Mapping
from typing import Any

import httpx
import trio

from tests.support.client.connection import ClientConnection
from tests.support.client.protocol import Answer
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
        """The messages of one read, never an empty list, however late. Raises Ended."""
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
