"""Kinds of callers whose rate is limited."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

import httpx

from tests.support.bounds.callers import CALLERS, Caller, requests
from tests.support.relay_server import Relay, User, bearer

LINE = b'{"event_type":"log","ts":"2026-01-31T12:00:00Z","payload":1}\n'


def address(number: int) -> dict[str, str]:
    """The header of a proxy that names an address of the caller's own."""
    return {"X-Forwarded-For": f"192.0.2.{number}"}


@asynccontextmanager
async def calls(
    method: str, path: str, relay: Relay, _url: str, **body: Any
) -> AsyncIterator[Caller]:
    """Requests of one user, and so of one address."""
    user = await relay.user()
    yield requests(lambda _: user.call(method, path, **body))


@asynccontextmanager
async def mailed_codes(relay: Relay, _url: str) -> AsyncIterator[Caller]:
    """Codes to addresses of their own, of users and networks of which none is over its rate."""
    users = [await relay.user() for _ in range(CALLERS)]

    async def ask(number: int) -> httpx.Response:
        headers = bearer(users[number].session) | address(number)
        wanted = {"address": f"ada-{number}@example.com"}
        return await relay.http.post("/api/email-code", json=wanted, headers=headers)

    yield requests(ask)


@asynccontextmanager
async def sign_ups(relay: Relay, _url: str) -> AsyncIterator[Caller]:
    yield requests(lambda _: relay.http.post("/api/user"))


@asynccontextmanager
async def events(users: int, relay: Relay, _url: str) -> AsyncIterator[Caller]:
    """Single events, by turns of so many users."""
    producers = [await relay.user() for _ in range(users)]
    for user in producers:
        await user.hook()
    yield requests(lambda number: producers[number % users].post())


@asynccontextmanager
async def beats(relay: Relay, _url: str) -> AsyncIterator[Caller]:
    """Beats of one task."""
    user = await relay.user()
    headers, beat = bearer(await user.hook()), {"task_ids": ["build-7"]}
    yield requests(lambda _: relay.http.post("/api/tasks/beat", json=beat, headers=headers))


@asynccontextmanager
async def invented_beats(relay: Relay, _url: str) -> AsyncIterator[Caller]:
    """Beats of one user that each name another task, which does not exist."""
    headers = bearer(await (await relay.user()).hook())
    yield requests(
        lambda number: relay.http.post(
            "/api/tasks/beat", json={"task_ids": [f"no-{number}"]}, headers=headers
        )
    )


@asynccontextmanager
async def unknown_asks(relay: Relay, _url: str) -> AsyncIterator[Caller]:
    """Looks of one user at asks that do not exist."""
    user = await relay.user()
    yield requests(lambda _: user.call("GET", f"/api/asks/{uuid4()}"))


async def batch(user: User, lines: int) -> httpx.Response:
    headers = {"Content-Type": "application/x-ndjson", **bearer(await user.hook())}
    return await user.relay.http.post("/api/webhook/cli", content=LINE * lines, headers=headers)


@asynccontextmanager
async def batches(lines: int, relay: Relay, _url: str) -> AsyncIterator[Caller]:
    user = await relay.user()
    await user.hook()
    yield requests(lambda _: batch(user, lines))
