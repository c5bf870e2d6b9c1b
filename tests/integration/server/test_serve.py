"""A server's start, and what ends it: one clear exception each."""

from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing
from quart_trio import QuartTrio

from relay.server.limits import ConnectionLimits
from relay.server.listeners import open_sockets
from relay.server.serve import LifespanEnded, ServerConfig, StartupFailed, serve
from tests.support.client.connection import ClientConnection
from tests.support.patience import PATIENCE
from tests.support.ports import HeldPort
from tests.support.server.stage import HOUR, Recorder, Stage, configuration, get, opened, serving


async def run_to_its_end(app: Any, **settings: Any) -> None:
    """Serve without ever being asked to stop."""
    config = configuration(**settings)
    with trio.fail_after(PATIENCE):
        await serve(
            app,
            open_sockets(config),
            ServerConfig(hypercorn=config, limits=ConnectionLimits(), observer=Recorder()),
            shutdown_trigger=trio.sleep_forever,
        )


async def test_readiness_names_the_addresses(stage: Stage) -> None:
    held = HeldPort()  # no other program listens there afterwards
    port = held.number
    config = configuration(bind=[f"127.0.0.1:{port}"])
    sockets = open_sockets(config)
    stop = trio.Event()

    async def run(*, task_status: trio.TaskStatus[list[str]]) -> None:
        await serve(
            stage,
            sockets,
            ServerConfig(hypercorn=config, limits=ConnectionLimits()),
            shutdown_trigger=stop.wait,
            task_status=task_status,
        )

    async with trio.open_nursery() as nursery:
        assert await nursery.start(run) == [f"http://127.0.0.1:{port}"]
        stop.set()
    with pytest.raises(OSError, match="all attempts to connect"):
        await trio.open_tcp_stream("127.0.0.1", port)


async def test_a_startup_that_fails_is_one_clear_exception() -> None:
    app = QuartTrio(__name__)

    @app.before_serving
    async def fail() -> None:
        raise RuntimeError("the database is away")

    with pytest.raises(StartupFailed, match="the database is away"):
        await run_to_its_end(app)


async def test_a_startup_that_hangs_is_one_clear_exception() -> None:
    async def hangs(scope: object, receive: object, send: object) -> None:
        await trio.sleep_forever()

    with pytest.raises(StartupFailed, match="startup"):
        await run_to_its_end(hangs, startup_timeout=0.1)


async def test_a_dead_background_task_ends_the_server() -> None:
    app = QuartTrio(__name__)

    async def work() -> None:
        raise RuntimeError

    @app.before_serving
    async def begin() -> None:
        app.nursery.start_soon(work)

    with pytest.raises(LifespanEnded):
        await run_to_its_end(app, errorlog=None)


async def test_an_application_without_a_lifespan_is_served() -> None:
    async def plain(scope: Any, receive: Any, send: Any) -> None:
        assert scope["type"] == "http"
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    async with serving(plain, errorlog=None) as server:
        assert (await server.ask(get("/", "Connection: close"))).startswith(b"HTTP/1.1 204 ")


async def test_a_unix_socket_is_served(stage: Stage, tmp_path: Path) -> None:
    path = tmp_path / "relay.sock"
    async with serving(stage, bind=[f"unix:{path}"]) as server:
        client = ClientConnection(await trio.open_unix_socket(path))
        server.clients.append(client)
        await client.send(get())
        visit = await stage.visit()
        assert visit.scope["path"] == "/"
        await visit.respond(b"over a path")
        visit.leave()
        assert (await client.response())[1] == b"over a path"


async def test_a_server_that_is_cancelled_does_not_wait_for_readers(stage: Stage) -> None:
    with trio.CancelScope() as outer:
        async with serving(stage, limits=ConnectionLimits(send_timeout=HOUR)) as server:
            _, visit = await opened(server, stage)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(visit.handle.send_raw, bytes(20_000_000))
                await trio.testing.wait_all_tasks_blocked()
                outer.cancel()


async def test_what_the_drain_raises_is_raised_plainly(stage: Stage) -> None:
    async def drain() -> None:
        raise LookupError("drain")

    config = configuration()
    with pytest.raises(LookupError, match="drain"):
        await serve(
            stage,
            open_sockets(config),
            ServerConfig(hypercorn=config, limits=ConnectionLimits(), drain=drain),
            shutdown_trigger=trio.lowlevel.checkpoint,
        )
