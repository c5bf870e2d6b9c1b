"""ASGI events that wait for the application."""

from collections.abc import Callable

import trio
from hypercorn.typing import ASGIReceiveEvent

OnEvent = Callable[[ASGIReceiveEvent], None]


class Mailbox:
    """A WebSocket's events for the application: bounded, in order, ended by a disconnect.

    Two things must never wait for an application that does not receive: the disconnect itself,
    and any event when the application has returned. Either would keep the connection's task, and
    with it the socket, for ever.
    """

    __slots__ = ("_changed", "_closed", "_disconnect", "_events", "_on_event", "_size")

    def __init__(self, size: int) -> None:
        self._size = max(1, size)
        self._events: list[ASGIReceiveEvent] = []
        self._disconnect: ASGIReceiveEvent | None = None
        self._closed = False
        self._on_event: OnEvent | None = None
        self._changed: trio.Event | None = None  # while a task waits for a change

    async def put(self, event: ASGIReceiveEvent) -> None:
        """Wait until there is room. After the end of either side events are dropped."""
        if event["type"] == "websocket.disconnect":
            self._disconnect = event
            self._change()
            self._hand_over(event)
            self._on_event = None
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

    def forward(self, on_event: OnEvent) -> None:
        """Call `on_event` with all events that came and come, in the task that puts them here.

        `receive` is left the disconnect.
        """
        events, self._events = self._events, []
        for event in events:
            on_event(event)
        if self._disconnect is not None:
            on_event(self._disconnect)
        elif not self._closed:
            self._on_event = on_event
        self._change()

    def close(self) -> None:
        """The application has returned: nothing will be received again."""
        self._closed = True
        self._on_event = None
        self._change()

    @property
    def _ended(self) -> bool:
        return self._closed or self._disconnect is not None

    def _hand_over(self, event: ASGIReceiveEvent) -> bool:
        if self._on_event is not None:
            self._on_event(event)
        return self._on_event is not None

    async def _wait(self) -> None:
        if self._changed is None:
            self._changed = trio.Event()
        await self._changed.wait()

    def _change(self) -> None:
        if self._changed is not None:
            self._changed.set()
            self._changed = None
