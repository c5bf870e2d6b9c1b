"""Serve with this process alone: the counterpart of the supervisor."""

import sys
from importlib import import_module

import trio
from hypercorn.config import Config

from relay.config.settings import Settings
from relay.db.source import open_source, warn_about_few_connections
from relay.imports import frozen_imports
from relay.server.listeners import addresses, close_sockets, open_sockets
from relay.server_process import Announce, client_url

APPLICATION = "relay.serving"  # with all routes, Quart, and what they use


async def serve_relay(
    settings: Settings,
    config: Config,
    *,
    announce: Announce,
    serving: trio.Event,
    stop: trio.Event,
) -> None:
    """Serve until `stop`, then end all streams and commit accepted events.

    The application is imported while the database starts or is connected to: it takes as long,
    and neither needs the other. `serving` is set before the first client is served: from then on
    a stop has to drain. `announce(base_url, database)` runs beside the server from when it listens
    until it stops. Raises ListenError, EmbeddedError, NoDatabase, MigrationError,
    DatabaseAway, or what a background task failed with; possibly in a group.
    """
    sockets = open_sockets(config)
    try:
        base_url = settings.base_url or client_url(addresses(sockets)[0])
        async with trio.open_nursery() as beside:
            imported = trio.Event()
            beside.start_soon(_import_application, imported)
            async with open_source(settings) as source:
                if source.folder is None:
                    await warn_about_few_connections(source.direct, settings)
                await imported.wait()
                from relay.serving import ProcessConfig, serve_source

                process = ProcessConfig(settings=settings, server=config, base_url=base_url)
                await serve_source(
                    process, sockets, source, announce=announce, serving=serving, stop=stop
                )
    finally:
        close_sockets(sockets)


async def _import_application(imported: trio.Event) -> None:
    if APPLICATION not in sys.modules:
        await trio.to_thread.run_sync(_import_frozen)
    imported.set()


def _import_frozen() -> None:
    with frozen_imports():
        import_module(APPLICATION)
