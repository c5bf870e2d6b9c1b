"""A Relay that serves in this process, and its users, for tests over real sockets."""

import ssl
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, Literal, overload

import httpx
import trio

from relay.auth import revocations
from relay.config.hypercorn import server_config
from relay.config.settings import Settings
from relay.projection import projector
from relay.workers.alone import serve_relay
from tests.support.client.connection import ClientConnection, connected
from tests.support.client.protocol import HANDSHAKE, head
from tests.support.client.streams import SseStream, Stream, WebSocketStream, stream
from tests.support.openapi import documented
from tests.support.patience import LOOK_EVERY, PATIENCE
from tests.support.ports import HeldPort
from tests.support.tokens import KEYS

# a starved machine looks for revocations late, and its database is not away for that
revocations.TRUST_SECONDS = PATIENCE
# it folds late, too: tasks are not read before they have the events that are acknowledged
projector.CATCH_UP_SECONDS = PATIENCE

NO_AUTHORITIES = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""For clients that speak plain HTTP: to load the authorities takes 18 ms, a third of a start."""


class Relay:
    """A server under test and a plain HTTP client for it."""

    def __init__(self, url: str, http: httpx.AsyncClient) -> None:
        self.url = url
        self.http = http

    @property
    def host(self) -> str:
        return httpx.URL(self.url).host

    @property
    def port(self) -> int:
        port = httpx.URL(self.url).port
        assert port is not None
        return port

    async def user(self) -> "User":
        answer = await self.http.post("/api/user")
        assert answer.status_code == 201, answer.text
        self.http.cookies.clear()
        return User(self, answer.json()["user_id"], answer.json()["session_token"])


async def calls_wait(relay: Relay, count: int) -> None:
    """Wait until so many calls wait for an answer or a stop."""
    with trio.fail_after(PATIENCE):
        while f"\nrelay_waiting_calls {count}.0\n" not in (await relay.http.get("/metrics")).text:  # noqa: ASYNC110
            await trio.sleep(5 * LOOK_EVERY)  # a look writes all metrics


@asynccontextmanager
async def running_relay(
    database_url: str | None, stop: trio.Event | None = None, /, **environ: str
) -> AsyncIterator[Relay]:
    """Relay in this process, on port 0, until the block ends or `stop`."""
    given = {"DATABASE_URL": database_url or "", "RELAY_SIGNING_KEYS": KEYS}
    # people of a test come from one address, and faster than people do
    given |= {"RELAY_RATE_LIMITS": "off"}
    # receivers of notifications are stand-ins on loopback
    given |= {"RELAY_OUTBOUND_PRIVATE": "on"}
    # a busy machine's database is slow, not away
    given |= {"RELAY_DATABASE_TIMEOUT": "60", "RELAY_STREAM_BLIND": "600", **environ}
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
            serving = trio.Event()
            await serve_relay(settings, config, announce=announce, serving=serving, stop=stop)

        nursery.start_soon(serve)
        with trio.fail_after(PATIENCE):
            await listening.wait()
        async with visiting(found[0]) as relay:
            yield relay
        stop.set()


@asynccontextmanager
async def visiting(url: str) -> AsyncIterator[Relay]:
    """A client of a Relay that runs already, in this process or in another one."""
    # whatever a test is about, an answer that the reference does not know fails it
    held = {"response": [documented]}
    client = httpx.AsyncClient(
        base_url=url, timeout=PATIENCE, event_hooks=held, verify=NO_AUTHORITIES
    )
    async with client as http:
        yield Relay(url, http)


class User:
    """A user with a session and, once asked for, a hook token."""

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

    def websocket(
        self, query: str = "", **kwargs: Any
    ) -> AbstractAsyncContextManager[WebSocketStream]:
        return open_stream(self.relay, "websocket", self.session, query, **kwargs)

    def sse(self, query: str = "", **kwargs: Any) -> AbstractAsyncContextManager[SseStream]:
        return open_stream(self.relay, "sse", self.session, query, **kwargs)


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


@overload
def open_stream(
    relay: Relay, transport: Literal["websocket"], token: str | None, query: str = "", **how: Any
) -> AbstractAsyncContextManager[WebSocketStream]: ...


@overload
def open_stream(
    relay: Relay, transport: Literal["sse"], token: str | None, query: str = "", **how: Any
) -> AbstractAsyncContextManager[SseStream]: ...


@overload
def open_stream(
    relay: Relay, transport: str, token: str | None, query: str = "", **how: Any
) -> AbstractAsyncContextManager[Stream]: ...


@asynccontextmanager
async def open_stream(
    relay: Relay, transport: str, token: str | None, query: str = "", **how: Any
) -> AsyncIterator[Any]:
    """A stream over either transport, as `stream` opens it; a WebSocket is attended."""
    async with stream(relay.port, transport, token, query, host=relay.host, **how) as opened:
        if not isinstance(opened, WebSocketStream):
            yield opened
            return
        async with trio.open_nursery() as nursery:
            await nursery.start(opened.attend)
            yield opened
            nursery.cancel_scope.cancel()


@asynccontextmanager
async def raw_http(relay: Relay) -> AsyncIterator[ClientConnection]:
    async with ClientConnection(await connected(relay.port, host=relay.host)) as connection:
        yield connection


@asynccontextmanager
async def raw_websocket(
    relay: Relay, headers: dict[str, str], query: str = "", *subprotocols: str
) -> AsyncIterator[ClientConnection]:
    """A WebSocket that does nothing by itself: no pong, no answer to a close."""
    async with raw_http(relay) as connection:
        await connection.open_websocket(f"/api/rt{query}", headers.items(), *subprotocols)
        yield connection


async def handshake(relay: Relay, query: str = "", **headers: str) -> httpx.Response:
    """How a WebSocket handshake is answered; an accepted one is closed at once."""
    asked = {**HANDSHAKE, **headers}
    lines = [f"{name}: {value}" for name, value in asked.items()]
    async with raw_http(relay) as connection:
        await connection.send(head(f"/api/rt{query}", *lines, method="GET"))
        answer = await connection.answer("GET", **asked)
    answer.request = httpx.Request("GET", f"{relay.url}/api/rt{query}")
    await documented(answer)
    return answer


@asynccontextmanager
async def behind_https(database_url: str, base_url: str, **environ: str) -> AsyncIterator[Relay]:
    """Relay as it stands behind a proxy that speaks https for it."""
    port = HeldPort()
    bind = f"127.0.0.1:{port.number}"
    async with (
        running_relay(database_url, BASE_URL=base_url, RELAY_BIND=bind, **environ),
        httpx.AsyncClient(
            base_url=f"http://{bind}", timeout=PATIENCE, verify=NO_AUTHORITIES
        ) as http,
    ):
        yield Relay(f"http://{bind}", http)


@contextmanager
def relay_in_thread(database_url: str, **environ: str) -> Iterator[int]:
    """The port of a Relay that serves as long as the block; an error of its own ends the test."""
    started = threading.Event()
    ports: list[int] = []
    failed: list[BaseException] = []
    stop: list[trio.lowlevel.TrioToken] = []
    stopping = trio.Event()

    async def run() -> None:
        async with running_relay(database_url, **environ) as relay:
            ports.append(int(relay.url.rpartition(":")[2]))
            stop.append(trio.lowlevel.current_trio_token())
            started.set()
            await stopping.wait()

    def serve() -> None:
        try:
            trio.run(run)
        except BaseException as error:  # for the test's own thread to raise
            failed.append(error)
        finally:
            started.set()

    thread = threading.Thread(target=serve, name="relay")
    thread.start()
    try:
        assert started.wait(PATIENCE), "Relay did not start"
        if ports:
            yield ports[0]
    finally:
        if stop and thread.is_alive():
            stop[0].run_sync_soon(stopping.set)
        thread.join()
        if failed:
            raise failed[0]
