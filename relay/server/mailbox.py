"""A queue of ASGI events for the application."""

from collections.abc import Callable

import trio
from hypercorn.typing import ASGIReceiveEvent

OnEvent = Callable[[ASGIReceiveEvent], None]


class Mailbox:
    """A bounded queue of a WebSocket's events, which ends with the disconnect.

    `put` never waits with the disconnect, nor after the application has returned. Otherwise an
    application that does not receive would keep the connection's task and socket for ever.
    """

    __slots__ = ("_changed", "_closed", "_disconnect", "_events", "_max_events", "_on_event")

    def __init__(self, size: int) -> None:
        self._max_events = max(1, size)
        self._events: list[ASGIReceiveEvent] = []
        self._disconnect: ASGIReceiveEvent | None = None
        self._closed = False
        self._on_event: OnEvent | None = None
        self._changed: trio.Event | None = None  # set while a task waits for a change

    async def put(self, event: ASGIReceiveEvent) -> None:
        """Add an event, and wait for room if full. Dropped after the disconnect or `close`."""
        if event["type"] == "websocket.disconnect":
            self._disconnect = event
            self._notify()
            self._forward(event)
            self._on_event = None
            return
        await trio.lowlevel.checkpoint()
        while len(self._events) >= self._max_events and not self._ended:
            await self._wait()
        if not (self._ended or self._forward(event)):
            self._events.append(event)
            self._notify()

    async def receive(self) -> ASGIReceiveEvent:
        """The next event. After the disconnect it is returned each time."""
        await trio.lowlevel.checkpoint()
        while not self._events:
            if self._disconnect is not None:
                return self._disconnect
            await self._wait()
        event = self._events.pop(0)
        self._notify()
        return event

    def forward(self, on_event: OnEvent) -> None:
        """Pass all queued and later events to `on_event`, in the task that calls `put`.

        `receive` then returns only the disconnect.
        """
        events, self._events = self._events, []
        for event in events:
            on_event(event)
        if self._disconnect is not None:
            on_event(self._disconnect)
        elif not self._closed:
            self._on_event = on_event
        self._notify()

    def close(self) -> None:
        """Drop later events: the application has returned."""
        self._closed = True
        self._on_event = None
        self._notify()

    @property
    def _ended(self) -> bool:
        return self._closed or self._disconnect is not None

    def _forward(self, event: ASGIReceiveEvent) -> bool:
        if self._on_event is not None:
            self._on_event(event)
        return self._on_event is not None

    async def _wait(self) -> None:
        if self._changed is None:
            self._changed = trio.Event()
        await self._changed.wait()

    def _notify(self) -> None:
        if self._changed is not None:
            self._changed.set()
            self._changed = None
