"""`relay serve`: runs the server with its database."""

import os
import signal
import sys
from contextlib import suppress
from pathlib import Path

import click
import structlog
import trio
from hypercorn.config import Config

from relay import __version__
from relay.cli.data_dir import data_dir_option
from relay.cli.failures import report_known_failures
from relay.cli.init_system import notify_init_system
from relay.cli.output import show
from relay.config.hypercorn import server_config
from relay.config.settings import Settings
from relay.config.unknown_variables import log_unknown_variables
from relay.observability.logs import configure_logs
from relay.observability.sentry import configure_reports
from relay.server_process import freeze_startup_objects
from relay.workers.alone import serve_relay
from relay.workers.protocol import settings_environment
from relay.workers.supervisor import supervise

WORKER_COMMAND = (sys.executable, "-P", "-m", "relay.cli.worker")

log = structlog.get_logger("relay.serve")


@click.command("serve")
@click.option("--bind", metavar="HOST:PORT", help="Address to listen on [127.0.0.1:8000].")
@click.option("--workers", type=int, metavar="N", help="Number of server processes [1].")
@data_dir_option
@click.option("--demo", is_flag=True, help="Publish demo events, to a user of its own.")
def command(bind: str | None, workers: int | None, data_dir: str | None, demo: bool) -> None:
    """Run a Relay server, with an embedded Postgres unless DATABASE_URL is set.

    \b
    Examples:
      relay serve
      relay serve --bind 0.0.0.0:8080 --data-dir /var/lib/relay
      relay serve --workers 2
      DATABASE_URL=postgresql://… RELAY_SIGNING_KEYS=k1:… relay serve

    \b
    The options are settings too (RELAY_BIND, RELAY_WORKERS, RELAY_DATA_DIR). All other settings
    are environment variables, listed in docs/reference/settings.md.
    Ctrl-C or SIGTERM stops it: accepted events are committed and streams are closed. With several
    workers, SIGHUP replaces them one after the other.
    """
    with report_known_failures():
        chosen = {"bind": bind, "workers": workers, "data_dir": data_dir}
        settings = Settings.load(os.environ, **chosen)
        given = settings_environment(os.environ, chosen)
        configure_logs(settings.log_level)
        log_unknown_variables(os.environ)
        configure_reports(settings)
        config = server_config(settings, Path.cwd())
        trio.run(_serve, settings, given, config, demo)


async def _serve(settings: Settings, given: dict[str, str], config: Config, demo: bool) -> None:
    """Serve until a SIGINT or SIGTERM drains. A second one, or one before `serving`, cancels."""
    serving, stop = trio.Event(), trio.Event()
    # at most one reload is queued: it replaces the workers that the current one has not reached
    reload, reloads = trio.open_memory_channel[None](1)

    async def announce(base_url: str, database: str) -> None:
        notify_init_system("READY=1")
        freeze_startup_objects()
        await _announce(demo, settings.bind, base_url, database)

    async with trio.open_nursery() as process:
        await process.start(_handle_signals, serving, stop, reload, process.cancel_scope)
        if settings.workers == 1:
            process.start_soon(_ignore_reloads, reloads)
            await serve_relay(settings, config, announce=announce, serving=serving, stop=stop)
        else:
            await supervise(
                settings,
                given,
                config,
                WORKER_COMMAND,
                announce=announce,
                serving=serving,
                stop=stop,
                reloads=reloads,
            )
        process.cancel_scope.cancel()


async def _handle_signals(
    serving: trio.Event,
    stop: trio.Event,
    reload: "trio.MemorySendChannel[None]",
    everything: trio.CancelScope,
    task_status: trio.TaskStatus[None],
) -> None:
    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM, signal.SIGHUP) as signals:
        task_status.started()
        async for number in signals:
            if number == signal.SIGHUP:
                with suppress(trio.WouldBlock):
                    reload.send_nowait(None)
                continue
            if stop.is_set() or not serving.is_set():
                everything.cancel()
            stop.set()
            notify_init_system("STOPPING=1")


async def _ignore_reloads(reloads: "trio.MemoryReceiveChannel[None]") -> None:
    """Log that a reload is ignored: a single process cannot be replaced while it serves."""
    async for _ in reloads:
        log.warning("reload_ignored", why="there is one process: restart it, or use --workers")


async def _announce(demo: bool, bind: str, base_url: str, database: str) -> None:
    """Print where Relay listens and how to try it."""
    path = bind.removeprefix("unix:") if bind.startswith("unix:") else None
    listens = path or base_url
    show(f"Relay {__version__} listens on {listens}, {database}.", bold=listens)
    if demo and path is None:
        from relay.cli.demo import play_demo  # with an HTTP client, which no other server needs

        await play_demo(base_url, show)
        return
    show()
    if path is not None:
        show(f"    curl --unix-socket {path} -X POST {base_url}/api/user")
    else:
        show(f"  Open {base_url} in a browser, or create a user with curl:")
        show()
        show(f"    curl -X POST {base_url}/api/user")
    show()
