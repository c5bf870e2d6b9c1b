"""A serving Relay and people who use it, for tests that go over real sockets."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import h11
import httpx
import trio
from trio_websocket import ConnectionClosed, WebSocketConnection, open_websocket_url

from relay.auth import credentials
from relay.config.settings import Settings
from relay.serving import serve_relay, server_config
from tests.support.openapi import documented
from tests.support.patience import PATIENCE

KEYS = "test:" + "0123456789abcdef" * 3

# a starved machine looks for revocations late, and its database is not away for that
credentials.TRUST = PATIENCE


class Relay:
    """A server under test and a plain HTTP client for it."""

    def __init__(self, url: str, http: httpx.AsyncClient) -> None:
        self.url = url
        self.http = http

    async def user(self) -> "User":
        answer = await self.http.post("/api/user")
        assert answer.status_code == 201, answer.text
        self.http.cookies.clear()
        return User(self, answer.json()["user_id"], answer.json()["session_token"])


@asynccontextmanager
async def running_relay(
    database_url: str | None, *, stop: trio.Event | None = None, **environ: str
) -> AsyncIterator[Relay]:
    """Relay in this process, on port 0, until the block ends or `stop`."""
    given = {"DATABASE_URL": database_url or "", "RELAY_SIGNING_KEYS": KEYS}
    # people of a test come from one address, and faster than people do
    given |= {"RELAY_RATE_LIMITS": "off"}
    # a busy machine's database is slow, not away
    given |= {"RELAY_DATABASE_TIMEOUT": "60", **environ}
    settings = Settings.load(given, bind=environ.get("RELAY_BIND", "127.0.0.1:0"))
    stop = trio.Event() if stop is None else stop
    found: list[str] = []
    listening = trio.Event()

    async def announce(base_url: str, _database: str) -> None:
        found.append(base_url)
        listening.set()

    async with trio.open_nursery() as nursery:
        config = server_config(settings, Path("/nonexistent"))

        async def serve() -> None:
            await serve_relay(settings, config, announce=announce, stop=stop)

        nursery.start_soon(serve)
        with trio.fail_after(PATIENCE):
            await listening.wait()
        # whatever a test is about, an answer that the reference does not know fails it
        held = {"response": [documented]}
        async with httpx.AsyncClient(base_url=found[0], timeout=PATIENCE, event_hooks=held) as http:
            yield Relay(found[0], http)
        stop.set()


class User:
    """Somebody with a session and, once asked for, a hook token."""

    def __init__(self, relay: Relay, user_id: str, session: str) -> None:
        self.relay = relay
        self.user_id = user_id
        self.session = session
        self._hook: str | None = None

    async def token(self, **wanted: Any) -> dict[str, Any]:
        answer = await self.call("POST", "/api/token", json=wanted)
        assert answer.status_code == 201, answer.text
        made: dict[str, Any] = answer.json()
        return made

    async def hook(self) -> str:
        if self._hook is None:
            self._hook = (await self.token())["token"]
        return self._hook

    async def call(self, method: str, path: str, **kwargs: Any) -> httpx.Response:
        """A request with the session."""
        return await self.relay.http.request(method, path, headers=bearer(self.session), **kwargs)

    async def post(self, *, hook: str | None = None, **fields: Any) -> httpx.Response:
        """One event; whatever is not given is something sensible."""
        body = {"event_type": "log", "ts": "2026-01-31T12:00:00Z", "payload": {}, **fields}
        return await self.relay.http.post(
            "/api/webhook/cli", json=body, headers=bearer(hook or await self.hook())
        )

    async def posted(self, **fields: Any) -> dict[str, Any]:
        answer = await self.post(**fields)
        assert answer.status_code == 200, answer.text
        receipt: dict[str, Any] = answer.json()
        return receipt

    async def publish(self, count: int) -> list[dict[str, Any]]:
        return [await self.posted(payload={"n": n}) for n in range(count)]

    def websocket(self, query: str = "", **kwargs: Any) -> Any:
        return open_stream(self.relay, "websocket", self.session, query, **kwargs)

    def sse(self, query: str = "", **kwargs: Any) -> Any:
        return open_stream(self.relay, "sse", self.session, query, **kwargs)


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


@asynccontextmanager
async def open_stream(
    relay: Relay, door: str, token: str | None, query: str = "", **kwargs: Any
) -> "AsyncIterator[Stream]":
    """A stream over either door; both are read in the same way."""
    headers = {**(bearer(token) if token else {}), **kwargs.pop("headers", {})}
    if door == "websocket":
        url = relay.url.replace("http", "ws", 1) + f"/api/rt{query}"
        pairs = [(name, value.encode()) for name, value in headers.items()]
        async with open_websocket_url(url, extra_headers=pairs, **kwargs) as connection:
            try:
                yield WebSocketStream(connection)
            finally:
                # the client library waits for somebody to read what came last, and forgets
                # its socket when the server closed first
                await connection._recv_channel.aclose()
                await connection._stream.aclose()
    else:
        host, _, port = relay.url.removeprefix("http://").rpartition(":")
        async with await trio.open_tcp_stream(host, int(port)) as tcp:
            stream = SseStream(tcp)
            await stream.request(f"/api/sse{query}", {"Host": host, **headers})
            yield stream


class Stream:
    """What a reader sees: controls and events, one at a time, within PATIENCE."""

    async def _next(self) -> dict[str, Any]:
        raise NotImplementedError

    async def next(self) -> dict[str, Any]:
        with trio.fail_after(PATIENCE):
            return await self._next()

    async def hello(self) -> dict[str, Any]:
        message = await self.next()
        assert message["type"] == "hello", message
        return message

    async def events(self, count: int) -> list[dict[str, Any]]:
        """The next events, controls passed over."""
        found: list[dict[str, Any]] = []
        while len(found) < count:
            message = await self.next()
            if "event_type" in message:
                found.append(message)
        return found

    async def control(self, kind: str) -> dict[str, Any]:
        while (message := await self.next()).get("type") != kind:
            pass
        return message


class WebSocketStream(Stream):
    def __init__(self, connection: WebSocketConnection) -> None:
        self.connection = connection
        self._waiting: list[dict[str, Any]] = []

    async def _next(self) -> dict[str, Any]:
        if not self._waiting:
            message = json.loads(await self.connection.get_message())
            self._waiting = message if isinstance(message, list) else [message]
        return self._waiting.pop(0)

    async def close_code(self) -> int:
        """Read to the end and tell how it was closed."""
        with trio.fail_after(PATIENCE):
            while True:
                try:
                    await self.connection.get_message()
                except ConnectionClosed as closed:
                    return int(closed.reason.code) if closed.reason else 1006


class SseStream(Stream):
    """Server-sent events over a bare connection: it reads when asked to, and not before."""

    def __init__(self, tcp: trio.SocketStream) -> None:
        self.tcp = tcp
        self.last_id: str | None = None
        self.headers: dict[str, str] = {}
        self._http = h11.Connection(h11.CLIENT)
        self._text = b""

    async def request(self, target: str, headers: dict[str, str]) -> None:
        asked = h11.Request(method="GET", target=target, headers=list(headers.items()))
        await self.tcp.send_all(self._http.send(asked) + self._http.send(h11.EndOfMessage()))
        with trio.fail_after(PATIENCE):
            response = await self._event()
        assert isinstance(response, h11.Response)
        assert response.status_code == 200
        self.headers = {name.decode(): value.decode() for name, value in response.headers}

    async def block(self) -> list[str]:
        """The lines of the next block, heartbeats included."""
        while b"\n\n" not in self._text:
            event = await self._event()
            if isinstance(event, h11.EndOfMessage | h11.ConnectionClosed):
                raise EOFError("the stream has ended")
            assert isinstance(event, h11.Data)
            self._text += event.data
        block, _, self._text = self._text.partition(b"\n\n")
        return block.decode().split("\n")

    async def _event(self) -> Any:
        while (event := self._http.next_event()) is h11.NEED_DATA:
            self._http.receive_data(await self.tcp.receive_some())
        return event

    async def _next(self) -> dict[str, Any]:
        while True:
            lines = await self.block()
            fields = dict(line.split(": ", 1) for line in lines if not line.startswith(":"))
            self.last_id = fields.get("id", self.last_id)
            if "data" in fields:
                message: dict[str, Any] = json.loads(fields["data"])
                return message
