"""Everything observable of one stream request: its bytes, its log line, its counts."""

import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import pytest
import trio
from prometheus_client import REGISTRY

import relay.auth.credentials
import relay.web.middleware.access_log
from relay.observability.logs import log_context
from tests.support.client.connection import ClientConnection
from tests.support.client.protocol import HANDSHAKE, head
from tests.support.patience import PATIENCE
from tests.support.relay_server import Relay, raw_http

TRANSPORTS = pytest.mark.parametrize("transport", ["websocket", "sse"])
PATHS = {"websocket": "/api/rt", "sse": "/api/sse"}

ONE_REQUESTS_OWN = (
    rb"(?<=x-request-id: )\w+|(?<=\"request_id\":\")\w+|(?<=date: )[^\r]+"
    rb"|(?<=ratelimit-remaining: )\d+|(?<=ratelimit-reset: )\d+|(?<=token_ttl_s\":)\d+"
    rb"|(?<=retry-after: )\d{3}\b|(?<=try again in )\d{3}\b"  # minutes, counted in seconds
)

ONE_CONNECTIONS_OWN = {"request_id", "connection_id"}

COUNTED = (
    *("relay_http_requests", "relay_problems", "relay_auth_failures", "relay_rate_limited"),
    *("relay_stream", "relay_resumes", "relay_connected_sockets"),
)


class Lines(list[dict[str, Any]]):
    """What the last line of each request says of it."""

    news = trio.Event()

    async def logged(self, count: int = 1) -> None:
        """Return when there are so many."""
        while len(self) < count:
            self.news = trio.Event()
            await self.news.wait()


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> Lines:
    collected = Lines()
    inner = relay.web.middleware.access_log._log_end

    def noted(route: str, method: str, status: int, seconds: float) -> None:
        facts = {
            name: fact for name, fact in log_context().items() if name not in ONE_CONNECTIONS_OWN
        }
        collected.append({"route": route, "method": method, "status": status, **facts})
        collected.news.set()
        inner(route, method, status, seconds)

    monkeypatch.setattr(relay.web.middleware.access_log, "_log_end", noted)
    return collected


@contextmanager
def counted() -> Iterator[dict[Any, float]]:
    """How far the counters of streams and answers moved within the block."""
    moved: dict[Any, float] = {}
    before = _counts()
    yield moved
    after = _counts()
    moved |= {key: n - before.get(key, 0) for key, n in after.items() if n != before.get(key, 0)}


def _counts() -> dict[Any, float]:
    return {
        (sample.name, *sample.labels.items()): sample.value
        for family in REGISTRY.collect()
        if family.name.startswith(COUNTED)
        for sample in family.samples
        if not sample.name.endswith(("_created", "_bucket", "_sum"))
    }


@asynccontextmanager
async def asked(
    relay: Relay,
    transport: str,
    headers: dict[str, str],
    query: str = "",
    *more: str,
    path: str | None = None,
) -> AsyncIterator[ClientConnection]:
    given = {**(HANDSHAKE if transport == "websocket" else {}), **headers}
    target = f"{PATHS[transport] if path is None else path}{query}"
    fields = [f"{name}: {text}" for name, text in given.items()]
    async with raw_http(relay) as connection:
        await connection.send(head(target, *fields, *more, method="GET"))
        yield connection


async def read(connection: ClientConnection, mark: bytes) -> bytes:
    """What comes up to the message with this mark, or the document of a refusal."""
    refused = rb"HTTP/1.1 [45].*\r\n\r\n\{.*\}$"
    return await read_until(connection, refused + rb"|" + mark + rb".*[}\]]\s*$")


async def read_until(connection: ClientConnection, end: bytes) -> bytes:
    """What comes up to this; without what is one request's own."""
    heard = b""
    with trio.fail_after(PATIENCE):
        while not re.search(end, heard, re.DOTALL):
            data = await connection.receive()
            assert data, heard
            heard += data
    return re.sub(ONE_REQUESTS_OWN, b"", heard)


async def answered(
    relay: Relay,
    lines: Lines,
    transport: str,
    headers: dict[str, str],
    query: str = "",
    *more: str,
    until: bytes = b'"hello"',
) -> Any:
    """All there is to know of a stream that is opened and left: bytes, log line, counts."""
    lines.clear()
    with counted() as moved:
        async with asked(relay, transport, headers, query, *more) as connection:
            heard = await read(connection, until)
        with trio.fail_after(PATIENCE):
            await lines.logged()
    return heard, [*lines], moved
