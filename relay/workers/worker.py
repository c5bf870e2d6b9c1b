"""Run a worker process: serve, report, and never outlive the supervisor."""

import os
import signal
from contextlib import suppress
from pathlib import Path

import msgspec
import structlog
import trio

from relay.config.settings import SettingError, Settings
from relay.db.source import Source, reachable
from relay.server.listeners import open_sockets
from relay.serving import ProcessConfig, freeze_startup_objects, serve_source, server_config
from relay.workers.protocol import BEAT, Order, Report

ORPHANED = 1.0  # to drain when the supervisor has died, and its Postgres with it
ORPHANED_MOST = 1.5  # until the worker ends then

log = structlog.get_logger("relay.workers")


def read_order() -> Order | None:
    """Read the configuration from standard input; None if the supervisor ended before."""
    line = b""
    while not line.endswith(b"\n"):
        if not (data := os.read(0, 65_536)):
            return None
        line += data
    return msgspec.json.decode(line, type=Order)


class Reports:
    """Writes reports to the supervisor's pipe. Other output to stdout is redirected to stderr."""

    def __init__(self) -> None:
        self._descriptor = os.dup(1)
        os.set_blocking(self._descriptor, False)  # a stuck supervisor must not block the worker
        os.dup2(2, 1)

    def send(self, report: Report) -> None:
        # broken: the supervisor has died, which `mind_the_supervisor` handles; full: it is stuck
        with suppress(BrokenPipeError, BlockingIOError):
            os.write(self._descriptor, msgspec.json.encode(report) + b"\n")


async def work(order: Order, settings: Settings, reports: Reports) -> None:
    """Serve until SIGTERM, or until the supervisor is gone. Raises what `serve_relay` does."""
    structlog.contextvars.bind_contextvars(worker=order.number)
    config = server_config(settings, Path.cwd())
    if order.insecure_bind and not config.ssl_enabled:
        raise SettingError("hypercorn.toml: a reload cannot switch TLS off; restart Relay")
    config.bind, config.insecure_bind = order.bind, order.insecure_bind
    for descriptor in order.others:
        os.close(descriptor)
    sockets = open_sockets(config)
    folder = None if order.folder is None else Path(order.folder)
    source = Source(order.dsn, order.direct, order.keys, order.database, folder, shared=True)
    stop, all_serve, serving = trio.Event(), trio.Event(), False

    async def announce(_base_url: str, _database: str) -> None:
        nonlocal serving
        serving = True
        freeze_startup_objects()
        reports.send(Report("serving"))
        while True:  # in the serving loop, so that a stuck loop sends no reports
            await trio.sleep(BEAT)
            reports.send(Report("alive"))

    async def heed_signals(task_status: trio.TaskStatus[None]) -> None:
        with trio.open_signal_receiver(signal.SIGTERM) as signals:
            task_status.started()
            async for _ in signals:
                if not serving:
                    process.cancel_scope.cancel()
                stop.set()

    async def mind_the_supervisor() -> None:
        pipe = trio.lowlevel.FdStream(os.dup(0))
        async with pipe:
            while await pipe.receive_some():  # `ALL_SERVE` is the only message
                all_serve.set()
        log.error("supervisor_gone")
        config.graceful_timeout = min(config.graceful_timeout, ORPHANED)
        process.cancel_scope.deadline = trio.current_time() + ORPHANED_MOST
        stop.set()
        if not serving:
            process.cancel_scope.cancel()

    async with trio.open_nursery() as process:
        await process.start(heed_signals)
        process.start_soon(mind_the_supervisor)
        named = "DATABASE_URL" if folder is None else "the embedded Postgres"
        await reachable(named, source.dsn, settings.database_timeout)
        await serve_source(
            ProcessConfig(
                settings=settings,
                server=config,
                base_url=order.base_url,
                keeps_house=order.keeps_house,
                all_serve=all_serve.is_set,
                on_leaving=lambda: reports.send(Report("leaving")),
            ),
            sockets,
            source,
            announce=announce,
            stop=stop,
        )
        process.cancel_scope.cancel()
