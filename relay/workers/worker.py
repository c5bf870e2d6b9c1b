"""Run a worker process: serve, report, and never outlive the supervisor."""

import os
import signal
from contextlib import suppress
from pathlib import Path

import msgspec
import structlog
import trio

from relay.config.hypercorn import server_config
from relay.config.settings import SettingError, Settings
from relay.db.source import Source, require_reachable
from relay.server.listeners import open_sockets
from relay.server_process import freeze_startup_objects
from relay.serving import ProcessConfig, serve_source
from relay.workers.protocol import HEARTBEAT_INTERVAL, Report, WorkerConfig

ORPHAN_DRAIN_SECONDS = 1.0  # to drain when the supervisor has died, and its Postgres with it
ORPHAN_EXIT_SECONDS = 1.5  # until the worker ends then

log = structlog.get_logger("relay.workers")


def read_worker_config() -> WorkerConfig | None:
    """Read the configuration from standard input; None if the supervisor ended before."""
    line = b""
    while not line.endswith(b"\n"):
        if not (data := os.read(0, 65_536)):
            return None
        line += data
    return msgspec.json.decode(line, type=WorkerConfig)


class Reports:
    """Writes reports to the supervisor's pipe. Other output to stdout is redirected to stderr."""

    def __init__(self) -> None:
        self._descriptor = os.dup(1)
        os.set_blocking(self._descriptor, False)  # a stuck supervisor must not block the worker
        os.dup2(2, 1)

    def send(self, report: Report) -> None:
        # broken: the supervisor has died, which `watch_supervisor` handles; full: it is stuck
        with suppress(BrokenPipeError, BlockingIOError):
            os.write(self._descriptor, msgspec.json.encode(report) + b"\n")


async def run_worker(worker_config: WorkerConfig, settings: Settings, reports: Reports) -> None:
    """Serve until SIGTERM, or until the supervisor is gone. Raises what `serve_relay` does."""
    structlog.contextvars.bind_contextvars(worker=worker_config.number)
    config = server_config(settings, Path.cwd())
    if worker_config.insecure_bind and not config.ssl_enabled:
        raise SettingError("hypercorn.toml: a reload cannot switch TLS off; restart Relay")
    config.bind, config.insecure_bind = worker_config.bind, worker_config.insecure_bind
    for descriptor in worker_config.other_descriptors:
        os.close(descriptor)
    sockets = open_sockets(config)
    folder = None if worker_config.folder is None else Path(worker_config.folder)
    source = Source(
        worker_config.dsn,
        worker_config.direct,
        worker_config.keys,
        worker_config.database,
        folder,
        shared=True,
    )
    stop, all_serve, serving = trio.Event(), trio.Event(), trio.Event()

    async def announce(_base_url: str, _database: str) -> None:
        freeze_startup_objects()
        reports.send(Report("serving"))
        while True:  # in the serving loop, so that a stuck loop sends no reports
            await trio.sleep(HEARTBEAT_INTERVAL)
            reports.send(Report("alive"))

    async def handle_signals(task_status: trio.TaskStatus[None]) -> None:
        with trio.open_signal_receiver(signal.SIGTERM) as signals:
            task_status.started()
            async for _ in signals:
                if not serving.is_set():
                    process.cancel_scope.cancel()
                stop.set()

    async def watch_supervisor() -> None:
        pipe = trio.lowlevel.FdStream(os.dup(0))
        async with pipe:
            while await pipe.receive_some():  # ALL_SERVING_MESSAGE is the only message
                all_serve.set()
        log.error("supervisor_gone")
        config.graceful_timeout = min(config.graceful_timeout, ORPHAN_DRAIN_SECONDS)
        process.cancel_scope.deadline = trio.current_time() + ORPHAN_EXIT_SECONDS
        stop.set()
        if not serving.is_set():
            process.cancel_scope.cancel()

    async with trio.open_nursery() as process:
        await process.start(handle_signals)
        process.start_soon(watch_supervisor)
        source_name = "DATABASE_URL" if folder is None else "the embedded Postgres"
        await require_reachable(source_name, source.dsn, settings.database_timeout)
        await serve_source(
            ProcessConfig(
                settings=settings,
                server=config,
                base_url=worker_config.base_url,
                all_serve=all_serve.is_set,
                on_leaving=lambda: reports.send(Report("leaving")),
            ),
            sockets,
            source,
            announce=announce,
            serving=serving,
            stop=stop,
        )
        process.cancel_scope.cancel()
