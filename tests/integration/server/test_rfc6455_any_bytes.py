"""Frames in any chunking, in any number and with any mutation harm no other connection."""

import itertools
from collections.abc import Sequence
from random import Random

import pytest
import trio
import trio.testing
from hypothesis import given, settings
from hypothesis import strategies as st

from relay.server.limits import ConnectionLimits
from tests.support.client.connection import ClientConnection
from tests.support.client.protocol import masked
from tests.support.examples import examples
from tests.support.server.client_frames import EURO, close, frame
from tests.support.server.echo import Echo
from tests.support.server.mutations import HANDSHAKE, mutated
from tests.support.server.stage import Stage, opened, serving


async def test_a_flood_of_frames_is_cut_and_others_are_served_meanwhile(stage: Stage) -> None:
    async with serving(stage, limits=ConnectionLimits(max_frames=100, close_timeout=0.2)) as server:
        client, visit = await opened(server, stage)
        await client.send(masked(0x8A, b"") * 200)
        assert await client.close_code() == 1008
        assert await visit.receive() == {"type": "websocket.disconnect", "code": 1008}
        visit.leave()


CONVERSATION = (
    frame(0x81, "€ first".encode()) + frame(0x01, EURO[:2]) + frame(0x89, b"ping")
    + frame(0x80, EURO[2:]) + frame(0x82, bytes(200)) + frame(0x02, b"x") + frame(0x80, b"y")
    + close(4321, b"done")
)  # fmt: skip


@settings(max_examples=examples(20), deadline=None)
@given(cuts=st.lists(st.integers(1, len(HANDSHAKE + CONVERSATION) - 1), max_size=12, unique=True))
async def test_frames_are_the_same_in_any_chunking(cuts: list[int]) -> None:
    sent = HANDSHAKE + CONVERSATION
    edges = [0, *sorted(cuts), len(sent)]
    pieces = [sent[at:end] for at, end in itertools.pairwise(edges)]
    assert await _heard(pieces) == await _heard([sent])


async def _heard(pieces: Sequence[bytes]) -> list[dict[str, object]]:
    echo = Echo()
    async with serving(echo) as server:
        client = await server.connect()
        for piece in pieces:
            await client.send(piece)
            await trio.testing.wait_all_tasks_blocked()
        await client.rest()
        await echo.hung_up.wait()  # the end of the stop does not wait for it
    (heard,) = echo.heard
    assert heard[-1] == {"type": "websocket.disconnect", "code": 4321}
    return heard


@pytest.mark.parametrize("count", [1_000, pytest.param(10_000, marks=pytest.mark.soak)])
async def test_mutated_frames_harm_no_other_connection(count: int) -> None:
    random = Random(6455)
    limits = ConnectionLimits(close_timeout=0.2, send_timeout=1)
    async with serving(Echo(), limits=limits, errorlog=None) as server:

        async def speak(sent: bytes) -> None:
            client = ClientConnection(await trio.open_tcp_stream("127.0.0.1", server.port))
            async with client.stream:
                try:
                    await client.send(HANDSHAKE + sent)
                    await client.stream.send_eof()
                except trio.BrokenResourceError:
                    return
                await client.rest()

        for _ in range(0, count, 50):
            async with trio.open_nursery() as nursery:
                for _ in range(50):
                    nursery.start_soon(speak, mutated(CONVERSATION, random))
        await server.observer.until(lambda: server.observer.live == 0)
    assert server.observer.application_failures == []
