"""Serve with several worker processes as one service.

The supervisor serves no requests. It owns what must outlive a worker: the listening sockets with
their queued connections, and the embedded Postgres if there is one.
"""

from collections.abc import Sequence

import structlog
import trio
from hypercorn.config import Config, Sockets

from relay.config.settings import Settings
from relay.db.source import Source, bring_up_to_date, open_source, warn_about_few_connections
from relay.server.listeners import addresses, close_sockets, inherited_binds, open_for_workers
from relay.server_process import UNWIND_SECONDS, Announce, client_url
from relay.workers.metrics_folder import metrics_folder
from relay.workers.protocol import WorkerConfig
from relay.workers.slots import WorkerSlot
from relay.workers.worker_pool import WorkerPool

log = structlog.get_logger("relay.workers")


async def supervise(
    settings: Settings,
    environ: dict[str, str],
    config: Config,
    command: Sequence[str],
    *,
    announce: Announce,
    serving: trio.Event,
    stop: trio.Event,
    reloads: "trio.MemoryReceiveChannel[None]",
) -> None:
    """Serve with `settings.workers` processes of `command` until `stop`, then end them gracefully.

    `environ` has the variables from which the workers load the same settings. `serving` is set
    before the first worker serves: from then on a stop has to drain. `announce(base_url, database)`
    runs from when all serve. For each item of `reloads`, all workers are replaced one after the
    other. Raises what `serve_relay` does, and WorkerFailed if a worker cannot start at first, or
    does not end properly.
    """
    socket_sets = open_for_workers(config, settings.workers)
    try:
        base_url = settings.base_url or client_url(addresses(socket_sets[0])[0])
        async with open_source(settings) as source:
            if source.folder is None:
                await warn_about_few_connections(source.direct, settings)
            await bring_up_to_date(
                source.direct, apply=settings.auto_migrate, timeout=settings.database_timeout
            )
            slots = [
                WorkerSlot(_worker_config(number, environ, config, socket_sets, source, base_url))
                for number in range(1, settings.workers + 1)
            ]
            with metrics_folder() as folder:
                grace = settings.drain_delay + settings.drain_timeout + UNWIND_SECONDS
                silence = settings.worker_silence
                pool = WorkerPool(slots, command, _descriptors(socket_sets), folder, grace, silence)
                async with trio.open_nursery() as nursery:
                    serving.set()
                    nursery.start_soon(pool.run)
                    nursery.start_soon(_announce_pool, pool, announce, base_url, source)
                    nursery.start_soon(pool.reload_on, reloads)
                    await stop.wait()
                    log.info("stopping", workers=len(slots))
                    await pool.end()
                    nursery.cancel_scope.cancel()
    finally:
        for sockets in socket_sets:
            close_sockets(sockets)


async def _announce_pool(
    pool: WorkerPool, announce: Announce, base_url: str, source: Source
) -> None:
    await pool.all_serve.wait()
    await announce(base_url, source.description)


def _worker_config(
    number: int,
    environ: dict[str, str],
    config: Config,
    socket_sets: Sequence[Sockets],
    source: Source,
    base_url: str,
) -> WorkerConfig:
    own_sockets = socket_sets[number - 1]
    bind, insecure_bind = inherited_binds(config, own_sockets)
    return WorkerConfig(
        number=number,
        settings=environ,
        bind=bind,
        insecure_bind=insecure_bind,
        other_descriptors=_descriptors([one for one in socket_sets if one is not own_sockets]),
        base_url=base_url,
        dsn=source.dsn,
        direct=source.direct,
        keys=source.keys,
        database=source.description,
        folder=None if source.folder is None else str(source.folder.resolve()),
    )


def _descriptors(socket_sets: Sequence[Sockets]) -> list[int]:
    return [
        sock.fileno()
        for one in socket_sets
        for sock in (*one.secure_sockets, *one.insecure_sockets)
    ]
