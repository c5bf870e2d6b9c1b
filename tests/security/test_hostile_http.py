"""Hostile HTTP against a Relay in a process of its own."""

from functools import partial

import pytest
import trio

from tests.support.accounts import Account
from tests.support.attackers import (
    MIB,
    Attacked,
    answer_to,
    besieged,
    crowd,
    dialled,
    for_ever,
    highest,
    others_are_served,
    post,
    unharmed,
)
from tests.support.attacks import BOMBS, CHUNK, CHUNKED, ENDLESS, JSON, shout
from tests.support.client.caller import Caller
from tests.support.client.protocol import head

CROWD = 200  # strangers at one time
ENOUGH = 64 * MIB  # of a body that is not read


async def test_slowloris_headers_block_no_other_client(attacked: Attacked, victim: Account) -> None:
    async def drip() -> None:
        async with dialled(attacked.port) as tcp:
            await tcp.send(b"GET / HTTP/1.1\r\nHost: relay\r\nX-Slow: ")
            dripping.release()
            await for_ever(tcp, b"x", 0.1)

    dripping = trio.Semaphore(0)
    async with unharmed(attacked), trio.open_nursery() as nursery:
        for _ in range(CROWD):
            nursery.start_soon(drip)
        for _ in range(CROWD):
            await dripping.acquire()
        await others_are_served(attacked, victim)
        nursery.cancel_scope.cancel()


async def test_slowloris_headers_are_ended_by_the_timeout(short_of_heads: Attacked) -> None:
    async def drip() -> None:
        async with dialled(short_of_heads.port) as tcp, trio.open_nursery() as nursery:
            await tcp.send(b"GET / HTTP/1.1\r\nHost: relay\r\nX-Slow: ")
            nursery.start_soon(for_ever, tcp, b"x", 0.1)
            assert await tcp.rest() == b""
            nursery.cancel_scope.cancel()

    async with unharmed(short_of_heads):
        await crowd(CROWD, drip)


@pytest.mark.parametrize("length", ["Content-Length: 100000", CHUNKED])
async def test_dripping_bodies_are_refused_with_408(
    short_of_bodies: Attacked, victim: Account, length: str
) -> None:
    answers: list[bytes] = []
    asked = head("/api/webhook/cli", f"Authorization: Bearer {victim.hook}", JSON, length)
    piece = b"1\r\n \r\n" if length == CHUNKED else b" "

    async def drip() -> None:
        async with dialled(short_of_bodies.port) as tcp:
            await tcp.send(asked)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(for_ever, tcp, piece, 0.1)
                answers.append(await tcp.rest())
                nursery.cancel_scope.cancel()

    async with unharmed(short_of_bodies):
        await crowd(CROWD, drip)
    assert {answer[:13] for answer in answers} == {b"HTTP/1.1 408 "}
    assert all(b'"code":"request_timeout"' in answer for answer in answers)


@pytest.mark.parametrize("where", ENDLESS)
async def test_an_endless_body_is_read_no_further_than_needed(
    attacked: Attacked, victim: Account, where: str
) -> None:
    _, _, status = ENDLESS[where]

    async def stranger() -> None:
        answer = await shout(attacked.port, victim, where)
        assert answer.startswith(b"HTTP/1.1 %d " % status), answer[:200]
        assert b"connection: close" in answer.lower()

    async with unharmed(attacked), highest(attacked.memory) as memory:
        was = attacked.memory()
        async with besieged(20, stranger):
            await others_are_served(attacked, victim)
        assert memory() - was < 20 * MIB


async def test_an_endless_body_behind_a_stream_costs_no_memory(
    attacked: Attacked, victim: Account
) -> None:
    asked = head("/api/sse", f"Authorization: Bearer {victim.session}", CHUNKED, method="GET")
    sent = 0

    async def shout_on() -> None:
        nonlocal sent
        while True:
            await tcp.send(CHUNK)
            sent += len(CHUNK)

    async with (
        unharmed(attacked),
        dialled(attacked.port) as tcp,
        Caller(attacked.port) as caller,
        trio.open_nursery() as nursery,
    ):
        await tcp.send(asked)
        while b"event: hello" not in await tcp.receive():
            pass
        was = attacked.memory()
        nursery.start_soon(shout_on)
        async with highest(attacked.memory) as memory:
            before = -1
            while before < sent < ENOUGH:  # until it is not read, or far too much of it is
                before = sent
                for _ in range(20):  # each time its loop has turned
                    await post(caller, victim)
                    while b'"event_type":"log"' not in await tcp.receive():
                        pass
            assert memory() - was < 8 * MIB
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("bomb", BOMBS)
async def test_a_bomb_in_the_head_blocks_no_other_client(
    attacked: Attacked, victim: Account, bomb: str
) -> None:
    async with unharmed(attacked), besieged(5, partial(answer_to, attacked.port, *BOMBS[bomb])):
        await others_are_served(attacked, victim)
