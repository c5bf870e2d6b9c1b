"""Signs of life: a stream stays open while its client answers, and ends once it does not."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio
from trio.testing import MockClock
from wsproto.events import Ping

from tests.support.clock import pass_by
from tests.support.patience import PATIENCE
from tests.support.relay_server import Relay, bearer, open_stream, raw_websocket, running_relay
from tests.support.stream_ends import batch, close_of


@asynccontextmanager
async def beating(database_url: str) -> AsyncIterator[Relay]:
    """A beat every 1000 s, and 2500 s for a sign of life."""
    async with running_relay(
        database_url,
        RELAY_HEARTBEAT="1000",
        RELAY_IDLE_TIMEOUT="2500",
        RELAY_SEND_TIMEOUT="3600",
    ) as relay:
        yield relay


async def test_a_silent_client_is_pinged_and_closed_when_it_never_answers(
    database_url: str, clock: MockClock
) -> None:
    async with beating(database_url) as relay:
        user = await relay.user()
        async with raw_websocket(relay, bearer(user.session)) as socket:
            assert (await socket.message())["heartbeat_s"] == 1000
            for _ in range(2):
                await pass_by(clock, 1000)
                assert isinstance(await socket.frame(), Ping)
            await pass_by(clock, 500)
            assert await close_of(socket) == (4408, 4408)


async def test_a_busy_stream_is_pinged_and_stays_open_while_its_client_answers(
    database_url: str, clock: MockClock
) -> None:
    async with beating(database_url) as relay:
        user = await relay.user()
        async with raw_websocket(relay, bearer(user.session)) as socket:
            await socket.hello()
            for seq in range(1, 6):
                await pass_by(clock, 600)
                await user.posted()
                assert (await socket.message())["seq"] == seq
                await pass_by(clock, 400)
                ping = await socket.frame()
                assert isinstance(ping, Ping)
                await socket.pong(ping)
            await user.posted()
            assert (await socket.message())["seq"] == 6


async def test_a_busy_stream_whose_client_never_answers_is_closed(
    database_url: str, clock: MockClock
) -> None:
    async with beating(database_url) as relay:
        user = await relay.user()
        async with raw_websocket(relay, bearer(user.session)) as socket:
            await socket.hello()
            for seq in range(1, 5):
                await pass_by(clock, 500)
                await user.posted()
                assert (await socket.message())["seq"] == seq
            await pass_by(clock, 500)
            assert await close_of(socket) == (4408, 4408)


async def test_a_slow_reader_of_a_long_history_is_pinged_on_its_way(
    database_url: str, clock: MockClock
) -> None:
    """It reads all the while and answers every ping: nothing about it is idle."""
    async with beating(database_url) as relay:
        user = await relay.user()
        for _ in range(25):
            await batch(user, 10, json.dumps("x" * 60_000))
        async with raw_websocket(relay, bearer(user.session), "?after=oldest") as socket:
            await socket.hello()
            seqs: list[int] = []
            while len(seqs) < 250:
                message = await socket.message(answering=True)
                assert isinstance(message, dict), (message, len(seqs))
                assert "seq" in message, (message, len(seqs))
                seqs.append(message["seq"])
                await pass_by(clock, 15)  # a thin line: 250 events take over an hour
            await user.posted()
            assert (await socket.message(answering=True))["seq"] == 251
    assert seqs == list(range(1, 251))


async def test_relay_v1_gets_heartbeat_messages(database_url: str, clock: MockClock) -> None:
    async with beating(database_url) as relay:
        user = await relay.user()
        async with (
            raw_websocket(relay, bearer(user.session), "", "relay.v1") as greeted,
            raw_websocket(relay, bearer(user.session)) as plain,
        ):
            await greeted.hello()
            await plain.hello()
            for _ in range(2):
                await pass_by(clock, 1000)
                assert (await greeted.message(answering=True)).keys() == {"type", "ts"}
                ping = await plain.frame()
                assert isinstance(ping, Ping)  # and no message: it did not ask for any
                await plain.pong(ping)
            await user.posted()
            assert (await plain.message())["seq"] == 1


async def test_sse_heartbeats_are_comments_without_an_id(
    database_url: str, clock: MockClock
) -> None:
    async with beating(database_url) as relay:
        user = await relay.user()
        async with open_stream(relay, "sse", user.session) as stream:
            await stream.hello()
            for _ in range(3):
                await pass_by(clock, 1000)
                with trio.fail_after(PATIENCE):
                    lines = await stream.block()
                assert all(line.startswith(":") for line in lines)
            await user.posted()
            assert (await stream.next())["seq"] == 1
