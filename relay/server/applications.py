"""Running the application for one request: its task, and the events that wait for it."""

from collections.abc import Awaitable, Callable

import trio
from hypercorn.config import Config
from hypercorn.trio.task_group import TaskGroup
from hypercorn.typing import AppWrapper, ASGIReceiveEvent, ASGISendEvent, Scope

from .observer import Observer

Send = Callable[[ASGISendEvent | None], Awaitable[None]]
Put = Callable[[ASGIReceiveEvent], Awaitable[None]]
Heard = Callable[[ASGIReceiveEvent], None]


class Mailbox:
    """ASGI events on their way to the application: bounded, ordered, and ended by a disconnect.

    Two things must never wait for an application that does not receive: the disconnect itself,
    and whoever delivers to an application that has returned. Either would keep the connection's
    task, and with it the socket, for ever.
    """

    __slots__ = ("_changed", "_closed", "_disconnect", "_events", "_heard", "_size")

    def __init__(self, size: int) -> None:
        self._size = max(1, size)
        self._events: list[ASGIReceiveEvent] = []
        self._disconnect: ASGIReceiveEvent | None = None
        self._closed = False
        self._heard: Heard | None = None
        self._changed: trio.Event | None = None  # while somebody waits for a change

    async def put(self, event: ASGIReceiveEvent) -> None:
        """Wait until there is room. After the end of either side events are dropped."""
        if event["type"] in ("http.disconnect", "websocket.disconnect"):
            self._disconnect = event
            self._change()
            self._hand_over(event)
            self._heard = None
            return
        await trio.lowlevel.checkpoint()
        while len(self._events) >= self._size and not self._ended:
            await self._wait()
        if not (self._ended or self._hand_over(event)):
            self._events.append(event)
            self._change()

    async def receive(self) -> ASGIReceiveEvent:
        """The next event; once disconnected, the disconnect again and again."""
        await trio.lowlevel.checkpoint()
        while not self._events:
            if self._disconnect is not None:
                return self._disconnect
            await self._wait()
        event = self._events.pop(0)
        self._change()
        return event

    def forward(self, heard: Heard) -> None:
        """Hand over all that came and comes, in the task of whoever puts it here.

        `receive` is left the disconnect.
        """
        events, self._events = self._events, []
        for event in events:
            heard(event)
        if self._disconnect is not None:
            heard(self._disconnect)
        elif not self._closed:
            self._heard = heard
        self._change()

    def close(self) -> None:
        """The application has returned: nobody will receive again."""
        self._closed = True
        self._heard = None
        self._change()

    @property
    def _ended(self) -> bool:
        return self._closed or self._disconnect is not None

    def _hand_over(self, event: ASGIReceiveEvent) -> bool:
        if self._heard is not None:
            self._heard(event)
        return self._heard is not None

    async def _wait(self) -> None:
        if self._changed is None:
            self._changed = trio.Event()
        await self._changed.wait()

    def _change(self) -> None:
        if self._changed is not None:
            self._changed.set()
            self._changed = None


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
