"""Run one server process, from its database to its last commit."""

import random
from collections.abc import Callable
from functools import partial
from typing import Any

import msgspec
import structlog
import trio
from hypercorn.config import Config, Sockets

from relay.app import create_app, refusal_headers, with_middleware
from relay.background.health import ProcessHealth
from relay.config.settings import Settings
from relay.db.source import Source, bring_up_to_date
from relay.observability import metrics
from relay.observability.logs import bind_log_context
from relay.realtime.close_codes import Close
from relay.realtime.hub import Hub
from relay.realtime.stream_ends import end_spread
from relay.server.descriptors import fit_to_descriptor_limit
from relay.server.limits import ConnectionLimits
from relay.server.observer import Observer
from relay.server.serve import ServerConfig, serve
from relay.server_process import UNWIND_SECONDS, Announce
from relay.services import open_services

REQUEST_CONNECTIONS = 256  # connections beside the streams, so that a full process still answers
RESERVED_DESCRIPTORS = 256
"""Descriptors for everything but the server's connections and the database's pool.

64 calls to receivers, 20 connections to them that are kept, and 64 names that are looked up, in
threads with two sockets each, are 212. What is left is for the two connections to the database
outside the pool, the nodes of a Valkey, listeners, event loops and files.
"""
FAILING_SECONDS = 1.0  # seconds a process with a failed task still answers, so that probes see it

log = structlog.get_logger("relay.serving")


class ProcessConfig(msgspec.Struct, frozen=True, kw_only=True):
    """The configuration of one process, alone or as one of several workers.

    `on_leaving` is called when the process begins to stop, for whatever reason. `all_serve`
    returns whether all workers that share the address serve; until then /readyz fails.
    """

    settings: Settings
    server: Config
    base_url: str
    on_leaving: Callable[[], None] = lambda: None
    all_serve: Callable[[], bool] = lambda: True


async def serve_source(
    process: ProcessConfig,
    sockets: Sockets,
    source: Source,
    *,
    announce: Announce,
    serving: trio.Event,
    stop: trio.Event,
) -> None:
    """Serve until `stop`, then end all streams and commit accepted events.

    The caller has opened the sockets, and keeps the database running. `serving` is set before the
    first client is served: from then on a stop has to drain. `announce(base_url, database)` runs
    beside the server from when it listens until it stops. Raises MigrationError, DatabaseAway, or
    what a background task failed with; possibly in a group.
    """
    settings, base_url = process.settings, process.base_url
    applied = await bring_up_to_date(
        source.direct, apply=settings.auto_migrate, timeout=settings.database_timeout
    )
    if not settings.rate_limits:
        log.warning("rate_limits_off")
    if not settings.notify:
        log.warning("notifications_off")
    log.info("database_ready", database=source.description, migrated=len(applied))
    app = create_app(settings)
    async with open_services(
        settings,
        source,
        base_url,
        failure_grace=FAILING_SECONDS + settings.drain_timeout + UNWIND_SECONDS,
        all_serve=process.all_serve,
    ) as app.services:
        health = app.services.health

        async def wait_to_leave() -> None:
            await health.leaving.wait()
            process.on_leaving()
            await trio.sleep(FAILING_SECONDS if health.failed_task else settings.drain_delay)

        server = partial(
            serve,
            with_middleware(app, settings, base_url),
            sockets,
            ServerConfig(
                hypercorn=process.server,
                limits=_limits(settings),
                observer=MetricsObserver(),
                refusal_headers=refusal_headers(settings, base_url),
                drain=partial(drain_streams, app.services.hub),
            ),
            shutdown_trigger=wait_to_leave,
        )
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_leave_after, stop, health)
            serving.set()
            await _start_server(nursery, server)
            nursery.start_soon(announce, base_url, source.description)


def _limits(settings: Settings) -> ConnectionLimits:
    """The limits from the settings, lowered to what the operating system allows."""
    wanted_limits = ConnectionLimits(
        max_connections=settings.max_connections + REQUEST_CONNECTIONS,
        send_timeout=settings.send_timeout,
    )
    reserved = RESERVED_DESCRIPTORS + settings.database_connections
    limits = fit_to_descriptor_limit(wanted_limits, reserved)
    if limits.max_connections < wanted_limits.max_connections:
        log.warning(
            "descriptors_short",
            connections=limits.max_connections,
            wanted=wanted_limits.max_connections,
            hint="raise RLIMIT_NOFILE (ulimit -n), or lower RELAY_MAX_CONNECTIONS",
        )
    return limits


async def _leave_after(stop: trio.Event, health: ProcessHealth) -> None:
    await stop.wait()
    health.leaving.set()


async def _start_server(nursery: trio.Nursery, server: partial[Any]) -> None:
    """Start the server in the nursery, and cancel the nursery when the server ends."""

    async def run(task_status: trio.TaskStatus[Any]) -> None:
        await server(task_status=task_status)
        nursery.cancel_scope.cancel()

    await nursery.start(run)


async def drain_streams(hub: Hub) -> None:
    """End every stream with RESTART, and wait until they have ended.

    The server's `graceful_timeout` bounds the wait.
    """
    inboxes = hub.drain()
    log.info("draining", streams=len(inboxes))
    await end_spread(inboxes, Close.RESTART)
    await hub.drained.wait()


class MetricsObserver(Observer):
    """Counts the server's events, and gives each connection an id for its log lines."""

    def connection_opened(self) -> None:
        metrics.connections.inc()
        bind_log_context(connection_id=f"{random.getrandbits(32):08x}")  # not a secret
        super().connection_opened()

    def connection_closed(self) -> None:
        metrics.connections.dec()
        super().connection_closed()

    def connection_stalled(self) -> None:
        metrics.connections_stalled.inc()
        super().connection_stalled()

    def request_refused(self, status: int, code: str, request_id: str) -> None:
        metrics.problems.labels(code).inc()
        super().request_refused(status, code, request_id)

    def connection_failed(self, failure: BaseException) -> None:
        metrics.connections_failed.inc()
        super().connection_failed(failure)

    def connection_refused(self) -> None:
        metrics.connections_refused.inc()
        super().connection_refused()

    def connection_displaced(self) -> None:
        metrics.connections_displaced.inc()
        super().connection_displaced()
