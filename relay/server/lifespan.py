"""Run the application's startup and shutdown around the server."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio
from hypercorn.app_wrappers import ASGIWrapper
from hypercorn.config import Config
from hypercorn.trio.lifespan import Lifespan
from hypercorn.typing import ASGIFramework, LifespanState


class StartupFailed(Exception):
    """The application did not start, or not in time."""


class LifespanEnded(Exception):
    """The application's lifespan ended while connections were served.

    Under quart-trio a background task has raised. The server stops, because it must not answer
    requests without its background tasks.
    """


@asynccontextmanager
async def running_lifespan(
    app: ASGIFramework, config: Config, state: LifespanState
) -> AsyncIterator[None]:
    """Start the application, run the block, and shut the application down.

    If the lifespan ends early, the block is cancelled and LifespanEnded is raised. Raises
    StartupFailed, or Hypercorn's errors for a startup or shutdown that failed or took too long;
    possibly in a group.
    """
    lifespan = Lifespan(ASGIWrapper(app), config, state)
    ended = trio.Event()
    async with trio.open_nursery() as nursery:
        await nursery.start(_run_lifespan, lifespan, ended)
        await lifespan.wait_for_startup()
        if lifespan.supported and lifespan.shutdown.is_set():  # it has begun to end
            await ended.wait()
            raise StartupFailed("the application's lifespan ended before it had started")
        async with trio.open_nursery() as watchers:
            if lifespan.supported:
                watchers.start_soon(_fail_when, ended)
            yield
            watchers.cancel_scope.cancel()
        await lifespan.wait_for_shutdown()
        nursery.cancel_scope.cancel()


async def _run_lifespan(
    lifespan: Lifespan, ended: trio.Event, *, task_status: trio.TaskStatus[None]
) -> None:
    await lifespan.handle_lifespan(task_status=task_status)
    ended.set()


async def _fail_when(ended: trio.Event) -> None:
    await ended.wait()
    raise LifespanEnded("the application's lifespan ended while connections were served")
