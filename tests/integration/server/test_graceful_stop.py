"""A stop answers what has come, drains the streams, and ends within its grace."""

from typing import Any

import pytest
import trio
import trio.testing
from wsproto.events import CloseConnection, TextMessage

from relay.server.limits import ConnectionLimits
from tests.support.client.connection import Lost
from tests.support.client.protocol import LOST
from tests.support.ports import HeldPort
from tests.support.server.stage import HOUR, Stage, Visit, get, opened, serving
from tests.support.server.writes import fill


async def test_the_applications_shutdown_comes_after_its_last_connection() -> None:
    order: list[str] = []
    begun = trio.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await receive()
            await send({"type": "lifespan.startup.complete"})
            await receive()
            order.append("shutdown")
            await send({"type": "lifespan.shutdown.complete"})
        else:
            begun.set()
            try:
                await trio.sleep_forever()
            finally:
                order.append("request")

    async with serving(app, graceful_timeout=0.1) as server:
        client = await server.connect()
        await client.send(get())
        await begun.wait()
        server.stop.set()
        await server.stopped.wait()
    assert order == ["request", "shutdown"]


async def test_idle_connections_end_when_stopping(stage: Stage) -> None:
    """First those between two requests; then those that sent nothing in a second."""
    async with serving(stage, graceful_timeout=HOUR) as server:
        silent = await server.connect()
        served = await server.connect()
        await served.send(get())
        visit = await stage.visit()
        await visit.respond()
        visit.leave()
        await served.response()
        server.stop.set()
        assert await served.rest() == b""
        assert not server.stopped.is_set()
        await server.stopped.wait()
        assert await silent.rest() == b""


async def test_a_first_request_that_comes_after_the_stop_is_answered(stage: Stage) -> None:
    """The client was let in: closing now would leave its request without an answer."""
    patient = ConnectionLimits(first_request_timeout=HOUR)
    async with serving(stage, limits=patient, graceful_timeout=HOUR) as server:
        client = await server.connect()
        await server.observer.until(lambda: server.observer.live == 1)
        server.stop.set()
        await trio.testing.wait_all_tasks_blocked()
        await client.send(get())
        visit = await stage.visit()
        await visit.respond(b"just in time")
        visit.leave()
        answer = await client.rest()
        assert answer.endswith(b"just in time")
        assert b"connection: close" in answer.lower()
        await server.stopped.wait()


async def test_a_next_request_that_has_come_when_stopping_is_answered(stage: Stage) -> None:
    async with serving(stage, graceful_timeout=HOUR) as server:
        client = await server.connect()
        await client.send(get())
        first = await stage.visit()
        await first.respond()
        first.leave()
        await client.response()
        await trio.testing.wait_all_tasks_blocked()
        await client.send(get())
        server.stop.set()  # the server's task has not read the request yet
        visit = await stage.visit()
        await trio.testing.wait_all_tasks_blocked()
        await visit.respond(b"next")
        visit.leave()
        answer = await client.rest()
        assert answer.endswith(b"next")
        assert b"connection: close" in answer.lower()
        await client.stream.aclose()
        await server.stopped.wait()


async def test_a_request_in_flight_finishes_with_connection_close(stage: Stage) -> None:
    async with serving(stage, graceful_timeout=HOUR) as server:
        client = await server.connect()
        await client.send(get())
        visit = await stage.visit()
        server.stop.set()
        await trio.testing.wait_all_tasks_blocked()
        await visit.respond(b"just in time")
        visit.leave()
        answer = await client.rest()
        assert answer.endswith(b"just in time")
        assert b"connection: close" in answer.lower()
        await client.stream.aclose()
        await server.stopped.wait()


async def test_the_drain_closes_live_streams_in_band(stage: Stage) -> None:
    visits: list[Visit] = []

    async def drain() -> None:
        for visit in visits:
            await visit.send({"type": "websocket.send", "text": '{"type":"close"}'})
            await visit.close(1012)
            visit.leave()

    async with serving(stage, drain=drain, graceful_timeout=HOUR) as server:
        client, visit = await opened(server, stage)
        visits.append(visit)
        server.stop.set()
        assert await client.frame() == TextMessage('{"type":"close"}')
        assert await client.frame() == CloseConnection(1012, "")
        await client.put(CloseConnection(1012))
        await server.stopped.wait()


async def test_nothing_is_accepted_while_draining(stage: Stage) -> None:
    draining, enough = trio.Event(), trio.Event()

    async def drain() -> None:
        draining.set()
        await enough.wait()

    held = HeldPort()  # no other program listens there meanwhile
    async with serving(
        stage, drain=drain, bind=[f"127.0.0.1:{held.number}"], graceful_timeout=HOUR
    ) as server:
        server.stop.set()
        await draining.wait()
        with pytest.raises(Lost):
            await server.connect()
        enough.set()


async def test_stopping_ends_in_time_with_readers_that_stalled(stage: Stage) -> None:
    async with serving(stage, limits=ConnectionLimits(send_timeout=HOUR)) as server:
        async with trio.open_nursery() as nursery:
            for _ in range(5):
                _, visit = await opened(server, stage)
                nursery.start_soon(visit.handle.send_raw, bytes(20_000_000))
            _, visit = await opened(server, stage)
            await fill(visit)
            server.stop.set()
            await server.stopped.wait()
        assert server.observer.live == 0


async def test_a_drain_that_hangs_does_not_outlast_the_grace(stage: Stage) -> None:
    async with serving(stage, drain=trio.sleep_forever, graceful_timeout=0.1) as server:
        client, _ = await opened(server, stage)
        server.stop.set()
        await server.stopped.wait()
        assert await client.frame() == CloseConnection(LOST)
