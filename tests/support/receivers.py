"""A receiver of notifications: an HTTP server on loopback with scripted answers."""

import json
import ssl
from collections import deque
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any

import h11
import trio

from relay.channels.outbound import Outbound, trusted_authorities
from tests.support.patience import PATIENCE, eventually

_authorities = cache(trusted_authorities)  # once for all tests


def calling(*, private: bool = True) -> Outbound:
    """What calls receivers, as a process has it; they may be on loopback."""
    return Outbound(private=private, trust=_authorities())


@dataclass(frozen=True)
class Post:
    """A request that came: header names are in lower case."""

    path: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]


@dataclass(frozen=True)
class Reply:
    """An answer; without a status none ever comes."""

    status: int | None
    headers: Mapping[str, str]
    body: bytes = b""


def reply(status: int | None, body: bytes = b"", **headers: str) -> Reply:
    """An answer with these headers, whose names are written with underscores."""
    return Reply(status, {name.replace("_", "-"): text for name, text in headers.items()}, body)


class Receiver:
    """Answers 204, unless `script` has other answers, or `always` is another one."""

    def __init__(self, port: int, scheme: str) -> None:
        self.port = port
        self.url = f"{scheme}://127.0.0.1:{port}/hook"
        self.posts: list[Post] = []
        self.accepted = self.open = 0  # connections: all, and those that stand
        self.script: deque[Reply] = deque()
        self.always = reply(204)

    async def has(self, count: int) -> list[Post]:
        """The posts, once so many came."""
        await eventually(lambda: len(self.posts) >= count)
        return self.posts

    @property
    def ids(self) -> list[str]:
        return [post.id for post in self.posts]

    async def serve(self, stream: trio.abc.Stream) -> None:
        connection = h11.Connection(h11.SERVER)
        self.accepted += 1
        self.open += 1
        try:
            async with stream:
                while await self._exchange(stream, connection):
                    connection.start_next_cycle()
        finally:
            self.open -= 1

    async def _exchange(self, stream: trio.abc.Stream, connection: h11.Connection) -> bool:
        """One request and its answer; returns whether another may follow."""
        path, body = "", b""
        headers: dict[str, str] = {}
        while True:
            event = connection.next_event()
            if event is h11.NEED_DATA:
                try:
                    connection.receive_data(bytes(await stream.receive_some(65_536)))
                except trio.BrokenResourceError:
                    return False
            elif isinstance(event, h11.Request):
                path = event.target.decode()
                headers = {name.decode(): text.decode() for name, text in event.headers}
            elif isinstance(event, h11.Data):
                body += bytes(event.data)
            elif isinstance(event, h11.EndOfMessage):
                break
            else:
                return False
        self.posts.append(Post(path, headers, body))
        answer = self.script.popleft() if self.script else self.always
        if answer.status is None:
            await trio.sleep_forever()
        assert answer.status is not None
        length = {} if answer.status == 204 else {"Content-Length": str(len(answer.body))}
        head = h11.Response(
            status_code=answer.status, headers=list({**length, **answer.headers}.items())
        )
        try:
            for part in (head, h11.Data(data=answer.body), h11.EndOfMessage()):
                if (data := connection.send(part)) is not None:
                    await stream.send_all(data)
        except trio.BrokenResourceError:
            return False  # it read no further
        return connection.our_state is h11.DONE


@asynccontextmanager
async def receiver(tls: ssl.SSLContext | None = None) -> AsyncIterator[Receiver]:
    """A receiver that listens for the length of the block, over TLS if it has a context."""
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    found = Receiver(listener.socket.getsockname()[1], "http" if tls is None else "https")
    listeners = [listener if tls is None else trio.SSLListener(listener, tls)]
    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.serve_listeners, found.serve, listeners)
        with trio.fail_after(PATIENCE * 4):
            yield found
        nursery.cancel_scope.cancel()
