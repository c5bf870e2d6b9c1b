"""Streams are counted and bounded by user, address and process."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
import trio

from tests.support.client.streams import Refused
from tests.support.patience import PATIENCE
from tests.support.relay_server import (
    Relay,
    bearer,
    handshake,
    open_stream,
    raw_websocket,
    running_relay,
)
from tests.support.stream_ends import ended


async def refusals(relay: Relay, token: str, **headers: str) -> set[tuple[int, str]]:
    """How both transports refuse one more stream."""
    given = {**bearer(token), **headers}
    sse = await relay.http.get("/api/sse", headers=given)
    websocket = await handshake(relay, **given)
    for answer in (sse, websocket):
        assert answer.headers["Content-Type"] == "application/problem+json"
        assert int(answer.headers["Retry-After"]) > 0
    return {(answer.status_code, answer.json()["code"]) for answer in (sse, websocket)}


def behind(address: str) -> dict[str, str]:
    return {"X-Forwarded-For": address}


@pytest.fixture
async def crowded(database_url: str) -> AsyncIterator[Relay]:
    async with running_relay(
        database_url,
        RELAY_MAX_CONNECTIONS="3",
        RELAY_MAX_CONNECTIONS_PER_USER="2",
        RELAY_TRUSTED_PROXIES="1",
        RELAY_MAX_CONNECTIONS_PER_ADDRESS="2",
    ) as relay:
        yield relay


async def test_streams_are_counted_by_user_address_and_process(crowded: Relay) -> None:
    one, other, third = [await crowded.user() for _ in range(3)]
    async with (
        open_stream(crowded, "websocket", one.session, headers=behind("192.0.2.1")) as first,
        open_stream(crowded, "sse", await one.hook(), headers=behind("192.0.2.2")) as second,
    ):
        await first.hello()
        await second.hello()
        full_user = await refusals(crowded, one.session, **behind("192.0.2.3"))
        assert full_user == {(429, "too_many_connections")}
        async with open_stream(
            crowded, "sse", other.session, headers=behind("192.0.2.1")
        ) as stream:
            await stream.hello()
            (full,) = await refusals(crowded, third.session, **behind("192.0.2.9"))
            assert full[0] == 503
            assert (await one.call("GET", "/api/me")).json()["connections"] == 2
            assert (await one.posted())["watchers"] == 2  # and everything else still works
        # a place that is left is free again
        returning: dict[str, Any] = {
            "headers": behind("192.0.2.2"),
            "insist": True,
        }  # until it is noticed
        async with open_stream(crowded, "websocket", other.session, **returning) as stream:
            await stream.hello()
            await one.posted()
            assert len(await first.events(2)) == len(await second.events(2)) == 2


async def test_streams_of_one_address_are_bounded(database_url: str) -> None:
    async with running_relay(database_url, RELAY_MAX_CONNECTIONS_PER_ADDRESS="2") as relay:
        users = [await relay.user() for _ in range(3)]
        async with (
            open_stream(relay, "sse", users[0].session) as first,
            open_stream(relay, "websocket", users[1].session) as second,
        ):
            await first.hello()
            await second.hello()
            # without a trusted proxy the header is a stranger's word
            refused = await refusals(relay, users[2].session, **behind("192.0.2.1"))
            assert refused == {(429, "too_many_connections")}


async def test_the_bound_is_exact_for_concurrent_handshakes(database_url: str) -> None:
    async with running_relay(database_url, RELAY_MAX_CONNECTIONS_PER_USER="3") as relay:
        user = await relay.user()
        outcomes: list[str] = []
        enough, settled = trio.Event(), trio.Event()

        async def come(transport: str) -> None:
            opened: Any
            if transport == "websocket":
                opened = raw_websocket(relay, bearer(user.session))
            else:
                opened = open_stream(relay, transport, user.session)
            try:
                async with opened as stream:
                    note((await stream.hello())["type"])
                    await enough.wait()
            except (AssertionError, Refused):
                note("refused")

        def note(outcome: str) -> None:
            outcomes.append(outcome)
            if len(outcomes) == 30:
                settled.set()

        async with trio.open_nursery() as nursery:
            for number in range(30):
                nursery.start_soon(come, ("websocket", "sse")[number % 2])
            with trio.fail_after(PATIENCE):
                await settled.wait()
            assert outcomes.count("hello") == 3
            assert (await user.posted())["watchers"] == 3
            enough.set()


async def test_a_full_process_refuses_a_page_in_band(database_url: str) -> None:
    async with running_relay(database_url, RELAY_MAX_CONNECTIONS="1") as relay:
        one, other = await relay.user(), await relay.user()
        async with open_stream(relay, "websocket", one.session) as stream:
            await stream.hello()
            async with open_stream(
                relay, "websocket", other.session, headers={"Origin": relay.url}
            ) as refused:
                close = await ended(refused)
    assert close["code"] == 4429
    assert close["retry_after_ms"] > 0


async def test_watchers_are_counted_exactly(relay: Relay) -> None:
    user = await relay.user()
    assert (await user.posted())["watchers"] == 0
    async with open_stream(relay, "websocket", user.session) as first:
        await first.hello()
        assert (await user.posted())["watchers"] == 1
        async with open_stream(relay, "sse", user.session) as second:
            await second.hello()
            assert (await user.posted())["watchers"] == 2
            assert (await user.call("GET", "/api/me")).json()["connections"] == 2
        with trio.fail_after(PATIENCE):
            while (await user.posted())["watchers"] != 1:
                pass
    with trio.fail_after(PATIENCE):
        while (await user.posted())["watchers"] != 0:
            pass
