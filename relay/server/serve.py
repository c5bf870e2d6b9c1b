"""One server, from its application's startup to its shutdown."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from functools import partial

import trio
from hypercorn.app_wrappers import ASGIWrapper
from hypercorn.config import Config, Sockets
from hypercorn.trio.lifespan import Lifespan
from hypercorn.trio.worker_context import WorkerContext
from hypercorn.typing import ASGIFramework, ConnectionState, LifespanState
from hypercorn.utils import LifespanFailureError, LifespanTimeoutError

from .bounds import GuardLimits
from .connection import Connection
from .connections import Connections
from .http1 import LeanConnection
from .listeners import CrowdListener, addresses, close_sockets
from .observer import Observer
from .refusals import Also, Refusals
from .stamp import Stamp
from .wire import Stream

Listener = CrowdListener | trio.SSLListener[trio.SocketStream]


class StartupFailed(Exception):
    """The application refused to start, or did not in time."""


class LifespanEnded(Exception):
    """The application's lifespan ended while connections were served.

    Under quart-trio that is a background task that raised: to go on would be to answer requests
    while the work behind them is dead.
    """


async def serve(
    app: ASGIFramework,
    config: Config,
    sockets: Sockets,
    *,
    limits: GuardLimits,
    observer: Observer | None = None,
    refusals_also: Also = lambda _: [],
    shutdown_trigger: Callable[[], Awaitable[None]],
    drain: Callable[[], Awaitable[None]] | None = None,
    layer: type[Connection] = LeanConnection,
    task_status: trio.TaskStatus[list[str]] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve `app` on listening `sockets`, and close them, until `shutdown_trigger` returns.

    Each connection is a `layer`: LeanConnection, or GuardedConnection. What it refuses in the
    application's place carries `refusals_also`, by the headers of the request.
    Reports the addresses through `task_status` once the application has started and connections
    are accepted. On the trigger nothing more is accepted, idle connections end, `drain` lets the
    application say goodbye to its streams, and whoever is left may finish; all of that within
    `config.graceful_timeout` seconds, whatever readers do. Then the application shuts down,
    within `config.shutdown_timeout`.

    Raises StartupFailed, LifespanEnded, or whatever the trigger, `drain` or the application's
    shutdown raised: one exception, never a group.
    """
    wrapped = ASGIWrapper(app)
    state: LifespanState = {}
    context = WorkerContext(None)
    started = False
    try:
        async with _lifespan(Lifespan(wrapped, config, state)):
            started = True
            async with trio.open_nursery() as handlers:
                heard = observer or Observer()
                refusals = Refusals(heard, refusals_also)
                connections = Connections(limits, heard, refusals, Stamp(config), handlers)

                def handle(stream: Stream) -> Awaitable[None]:
                    shared = ConnectionState(state)
                    return layer(app, config, context, shared, connections, stream).run()

                try:
                    handlers.start_soon(connections.sweep, config.keep_alive_timeout)
                    async with trio.open_nursery() as accepting:
                        listeners = _listeners(config, sockets)
                        accept = partial(trio.serve_listeners, handler_nursery=handlers)
                        await accepting.start(accept, handle, listeners)
                        task_status.started(addresses(sockets))
                        await shutdown_trigger()
                        accepting.cancel_scope.cancel()
                    await context.terminated.set()
                    with trio.move_on_after(config.graceful_timeout):
                        connections.close_idle()
                        if drain is not None:
                            await drain()
                        await connections.wait_none()
                finally:
                    connections.abort()
                handlers.cancel_scope.cancel()
    except BaseExceptionGroup as group:
        failure = _first(group)
        if isinstance(failure, (LifespanFailureError, LifespanTimeoutError)) and not started:
            raise StartupFailed(str(failure)) from failure
        raise failure from failure.__cause__
    finally:
        close_sockets(sockets)


@asynccontextmanager
async def _lifespan(lifespan: Lifespan) -> AsyncIterator[None]:
    """The application's startup, its shutdown, and between them the block.

    When the lifespan ends before its time the block is cancelled, and LifespanEnded raised.
    """
    ended = trio.Event()
    async with trio.open_nursery() as nursery:
        await nursery.start(_run_lifespan, lifespan, ended)
        await lifespan.wait_for_startup()
        if lifespan.supported and lifespan.shutdown.is_set():  # it is ending already
            await ended.wait()
            raise StartupFailed("the application's lifespan ended before it had started")
        async with trio.open_nursery() as watching:
            if lifespan.supported:
                watching.start_soon(_fail_when, ended)
            yield
            watching.cancel_scope.cancel()
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


def _listeners(config: Config, sockets: Sockets) -> list[Listener]:
    plain = [CrowdListener(sock) for sock in sockets.insecure_sockets]
    tls = config.create_ssl_context()
    if tls is None:
        return [*plain]
    tls.set_alpn_protocols(["http/1.1"])
    secure = [
        trio.SSLListener(CrowdListener(sock), tls, https_compatible=True)
        for sock in sockets.secure_sockets
    ]
    return [*secure, *plain]


def _first(group: BaseExceptionGroup) -> BaseException:
    """The failure that says most: not a cancellation, which is how the other tasks were told."""
    return min(_leaves(group), key=lambda leaf: isinstance(leaf, trio.Cancelled))


def _leaves(group: BaseExceptionGroup) -> Iterator[BaseException]:
    for part in group.exceptions:
        if isinstance(part, BaseExceptionGroup):
            yield from _leaves(part)
        else:
            yield part
