"""Run one server, from its application's startup to its shutdown."""

from collections.abc import Awaitable, Callable
from functools import partial

import msgspec
import trio
from hypercorn.config import Config, Sockets
from hypercorn.typing import ASGIFramework, LifespanState
from hypercorn.utils import LifespanFailureError, LifespanTimeoutError

from .common_headers import CommonHeaders
from .connection import serve_connection
from .connections import Connections
from .context import ServerContext
from .lifespan import LifespanEnded, StartupFailed, running_lifespan
from .limits import ConnectionLimits
from .listeners import BatchListener, addresses, close_sockets
from .observer import Observer
from .refusals import ExtraHeaders, Refusals

__all__ = ["LifespanEnded", "ServerConfig", "StartupFailed", "serve"]


class ServerConfig(msgspec.Struct, frozen=True, kw_only=True):
    """A server's configuration.

    `hypercorn` is Hypercorn's: timeouts, TLS, bounds. `refusal_headers` takes the headers of a
    request that the server refuses, and returns headers for the refusal. `drain` is awaited when
    the server stops, and ends the application's streams.
    """

    hypercorn: Config
    limits: ConnectionLimits
    observer: Observer = msgspec.field(default_factory=Observer)
    refusal_headers: ExtraHeaders = lambda _: []
    drain: Callable[[], Awaitable[None]] = trio.lowlevel.checkpoint


async def serve(
    app: ASGIFramework,
    sockets: Sockets,
    config: ServerConfig,
    *,
    shutdown_trigger: Callable[[], Awaitable[None]],
    task_status: trio.TaskStatus[list[str]] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve `app` on listening `sockets` until `shutdown_trigger` returns; then close them.

    Reports the addresses through `task_status` once the application has started and connections
    are accepted. After the trigger it accepts no more, closes idle connections, drains streams,
    answers the first request of each accepted connection, and lets the rest finish, all within
    Hypercorn's `graceful_timeout` seconds. Then the application shuts down, within its
    `shutdown_timeout`.

    Raises StartupFailed, LifespanEnded, or whatever the trigger, the drain or the application's
    shutdown raised: one exception, never a group.
    """
    state: LifespanState = {}
    started = False
    try:
        async with running_lifespan(app, config.hypercorn, state):
            started = True
            async with trio.open_nursery() as nursery:
                server = _context(app, config, state, nursery)
                connections = server.connections
                try:
                    nursery.start_soon(connections.sweep)
                    async with trio.open_nursery() as accepting:
                        accept = partial(trio.serve_listeners, handler_nursery=nursery)
                        listeners = _listeners(config.hypercorn, sockets)
                        await accepting.start(accept, partial(serve_connection, server), listeners)
                        task_status.started(addresses(sockets))
                        await shutdown_trigger()
                        accepting.cancel_scope.cancel()
                    server.stopping.set()
                    with trio.move_on_after(config.hypercorn.graceful_timeout):
                        connections.close_idle()
                        await config.drain()
                        with trio.move_on_after(config.limits.first_request_timeout):
                            await connections.wait_none()
                        connections.close_waiting()
                        await connections.wait_none()
                finally:
                    connections.abort()
                nursery.cancel_scope.cancel()
    except BaseExceptionGroup as group:
        failure = _first_failure(group)
        if isinstance(failure, (LifespanFailureError, LifespanTimeoutError)) and not started:
            raise StartupFailed(str(failure)) from failure
        raise failure from failure.__cause__
    finally:
        close_sockets(sockets)


def _context(
    app: ASGIFramework, config: ServerConfig, state: LifespanState, nursery: trio.Nursery
) -> ServerContext:
    limits, observer = config.limits, config.observer
    keep_alive_timeout = config.hypercorn.keep_alive_timeout
    return ServerContext(
        app=app,
        config=config.hypercorn,
        limits=limits,
        observer=observer,
        refusals=Refusals(observer, config.refusal_headers),
        common_headers=CommonHeaders(config.hypercorn),
        connections=Connections(limits, observer, nursery, keep_alive_timeout=keep_alive_timeout),
        lifespan_state=state,
        stopping=trio.Event(),
    )


def _listeners(config: Config, sockets: Sockets) -> list[BatchListener]:
    tls = config.create_ssl_context()
    if tls is not None:
        tls.set_alpn_protocols(["http/1.1"])
    secure = [BatchListener(sock, tls) for sock in sockets.secure_sockets]
    return [*secure, *(BatchListener(sock) for sock in sockets.insecure_sockets)]


def _first_failure(group: BaseExceptionGroup) -> BaseException:
    """The group's first failure that is not a cancellation, which is only its consequence."""
    _, failures = group.split(trio.Cancelled)
    first: BaseException = failures or group
    while isinstance(first, BaseExceptionGroup):
        first = first.exceptions[0]
    return first
