"""Many connections: the cap holds, and none leaves anything behind."""

import gc
import os
from collections import Counter

import pytest
import trio
import trio.testing
from quart import websocket
from quart_trio import QuartTrio
from trio_websocket import open_websocket

from relay.server.limits import ConnectionLimits
from tests.support.server.stage import HOUR, Stage, get, serving


async def test_a_connection_over_the_cap_gets_503_and_others_are_unaffected(stage: Stage) -> None:
    async with serving(stage, limits=ConnectionLimits(max_connections=1)) as server:
        first = await server.connect()
        await first.send(get("/first"))
        visit = await stage.visit()
        refused = await server.ask(get("/second"))
        assert refused.startswith(b"HTTP/1.1 503 Service Unavailable\r\n")
        assert b"retry-after: 1\r\n" in refused
        assert b"application/problem+json" in refused
        assert server.observer.refused == 1
        assert server.observer.refusals == [503]
        assert server.observer.opened == 1
        await visit.respond()
        visit.leave()
        assert (await first.response())[1] == b"ok"
        await first.stream.aclose()
        await server.observer.until(lambda: server.observer.live == 0)
        third = await server.connect()
        await third.send(get("/third"))
        assert (await stage.visit()).scope["path"] == "/third"


async def test_at_the_cap_the_longest_idle_connection_is_closed(stage: Stage) -> None:
    async with serving(stage, limits=ConnectionLimits(max_connections=2)) as server:
        busy = await server.connect()
        await busy.send(get("/first"))
        visit = await stage.visit()
        silent = await server.connect()
        await silent.send(b"GET /half HTTP/1.1\r\n")
        await server.observer.until(lambda: server.observer.opened == 2)
        newcomer = await server.connect()
        await newcomer.send(get("/third"))
        third = await stage.visit()
        assert third.scope["path"] == "/third"
        assert await silent.rest() == b""
        assert (await server.ask(get("/fourth"))).startswith(b"HTTP/1.1 503 ")  # nothing waits now
        assert (server.observer.displaced, server.observer.refused) == (1, 1)
        for waiting, asked in ((busy, visit), (newcomer, third)):
            await asked.respond()
            asked.leave()
            assert (await waiting.response())[1] == b"ok"
        await busy.send(get("/again"))  # it waits the shorter, having been asked the later
        again = await stage.visit()
        await again.respond()
        again.leave()
        await busy.response()
        last = await server.connect()
        await last.send(get("/last"))
        await stage.visit()
        assert await newcomer.rest() == b""


async def test_a_silent_connection_over_the_cap_is_dropped_in_bounded_time(stage: Stage) -> None:
    limits = ConnectionLimits(max_connections=0, refusal_timeout=0.1)
    async with serving(stage, limits=limits) as server:
        assert (await server.ask(b"")).startswith(b"HTTP/1.1 503 ")


async def test_beyond_the_refusals_at_one_time_connections_are_dropped_silently(
    stage: Stage,
) -> None:
    limits = ConnectionLimits(max_connections=0, max_refusals=1, refusal_timeout=HOUR)
    async with serving(stage, limits=limits) as server:
        await server.connect()  # the refusal is sent, and not read
        await server.observer.until(lambda: server.observer.refused == 1)
        assert await server.ask(b"") == b""
        assert server.observer.refused == 2


async def test_connections_and_refusals_hold_their_bounds(stage: Stage) -> None:
    """64 connections at once: 5 are served, 7 are refused, and the others are dropped."""
    limits = ConnectionLimits(max_connections=5, max_refusals=7, refusal_timeout=HOUR)
    async with serving(stage, limits=limits) as server:
        clients = []

        async def come() -> None:
            client = await server.connect()
            clients.append(client)
            await client.send(get("/"))

        visits = []
        for _ in range(limits.max_connections):  # one that has not asked yet would make room
            await come()
            visits.append(await stage.visit())
        async with trio.open_nursery() as nursery:
            for _ in range(64 - len(visits)):
                nursery.start_soon(come)
        await server.observer.until(lambda: server.observer.refused == 64 - len(visits))
        assert server.observer.opened == len(visits)
        for visit in visits:
            await visit.respond()
            visit.leave()
        firsts: Counter[bytes] = Counter()
        for client in clients:
            try:
                firsts[await client.receive(12)] += 1
            except trio.BrokenResourceError:  # its request was not read
                firsts[b""] += 1
        assert firsts == {b"HTTP/1.1 200": 5, b"HTTP/1.1 503": 7, b"": 52}


@pytest.mark.parametrize("polite", [True, False])
async def test_a_thousand_connections_leave_tasks_and_descriptors_as_they_were(
    polite: bool,
) -> None:
    app = QuartTrio(__name__)

    @app.websocket("/")
    async def echo() -> None:
        while True:
            await websocket.send(await websocket.receive())

    def left_over() -> tuple[int, int]:
        tasks = trio.lowlevel.current_statistics().tasks_living
        return tasks, len(os.listdir("/proc/self/fd"))

    async def visit(port: int) -> None:
        async with open_websocket("127.0.0.1", port, "/", use_ssl=False) as client:
            await client.send_message("hello")
            assert await client.get_message() == "hello"

    async with serving(app) as server:

        async def leave_rudely() -> None:
            client = await server.websocket()
            await client.accepted()
            await client.stream.aclose()

        await visit(server.port)
        await server.observer.until(lambda: server.observer.live == 0)
        gc.collect()
        await trio.testing.wait_all_tasks_blocked()
        before = left_over()
        for _ in range(20):
            async with trio.open_nursery() as nursery:
                for _ in range(50):
                    if polite:
                        nursery.start_soon(visit, server.port)
                    else:
                        nursery.start_soon(leave_rudely)
        await server.observer.until(lambda: server.observer.live == 0)
        server.clients.clear()
        gc.collect()
        await trio.testing.wait_all_tasks_blocked()
        tasks, descriptors = left_over()
        assert tasks == before[0]
        assert descriptors <= before[1]  # a thread of another test may close its own meanwhile
