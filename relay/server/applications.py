"""Running the application for one request: its task, and the events that wait for it."""

from collections.abc import Awaitable, Callable

import trio
from hypercorn.config import Config
from hypercorn.trio.task_group import TaskGroup
from hypercorn.typing import AppWrapper, ASGIReceiveEvent, ASGISendEvent, Scope

from .observer import Observer

Send = Callable[[ASGISendEvent | None], Awaitable[None]]
Put = Callable[[ASGIReceiveEvent], Awaitable[None]]


class Mailbox:
    """ASGI events on their way to the application: bounded, ordered, and ended by a disconnect.

    Two things must never wait for an application that does not receive: the disconnect itself,
    and whoever delivers to an application that has returned. Either would keep the connection's
    task, and with it the socket, for ever.
    """

    __slots__ = ("_disconnect", "_incoming", "_outgoing")

    def __init__(self, size: int) -> None:
        self._incoming, self._outgoing = trio.open_memory_channel[ASGIReceiveEvent](size)
        self._disconnect: ASGIReceiveEvent | None = None

    async def put(self, event: ASGIReceiveEvent) -> None:
        """Wait until there is room. After the end of either side events are dropped."""
        if event["type"] in ("http.disconnect", "websocket.disconnect"):
            self._disconnect = event
            self._incoming.close()
            return
        try:
            await self._incoming.send(event)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            await trio.lowlevel.checkpoint()

    async def receive(self) -> ASGIReceiveEvent:
        """The next event; once disconnected, the disconnect again and again."""
        try:
            return await self._outgoing.receive()
        except trio.EndOfChannel:
            await trio.lowlevel.checkpoint()
            assert self._disconnect is not None
            return self._disconnect

    def close(self) -> None:
        """The application has returned: nobody will receive again."""
        self._outgoing.close()


class ApplicationTasks(TaskGroup):
    """A connection's nursery, in which an application that raises harms only its own answer."""

    def __init__(self, observer: Observer) -> None:
        super().__init__()
        self._observer = observer

    async def spawn_app(self, app: AppWrapper, config: Config, scope: Scope, send: Send) -> Put:
        mailbox = Mailbox(config.max_app_queue_size)
        self.spawn(self._run, app, scope, mailbox, send)
        return mailbox.put

    async def _run(self, app: AppWrapper, scope: Scope, mailbox: Mailbox, send: Send) -> None:
        try:
            await app(scope, mailbox.receive, send, trio.to_thread.run_sync, trio.from_thread.run)
        except* Exception as failures:
            self._observer.application_failed(failures)
        finally:
            mailbox.close()
        await send(None)  # whatever is unfinished gets finished, or cut
