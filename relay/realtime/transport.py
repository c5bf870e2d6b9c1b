"""What a connection needs of its transport: WebSocket and SSE differ in this and nothing else."""

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import trio

from relay.realtime.close_codes import Close
from relay.realtime.encoding import Frame
from relay.realtime.event_range import Stretch


class ClientLeft(Exception):
    """The client is gone: no message can be received any more."""


class Door(Protocol):
    """One reader's socket. Every write may wait; none outlives the server's send timeout."""

    name: str  # the metric's label: websocket, sse
    heartbeat: float  # seconds, as in `hello`

    def direct(self, frames: Sequence[Frame]) -> bool:
        """Write at once, without waiting, or not at all."""
        ...

    async def send(self, stretch: Stretch) -> None:
        """Write all of it: at most MAX_MESSAGE bytes, or one event."""
        ...

    async def control(self, kind: str, **fields: Any) -> None:
        """Write a control message; a `cursor` among the fields moves the reader's position."""
        ...

    def next_beat(self) -> float:
        """When (trio's clock) a sign of life is due if nothing else happens."""
        ...

    async def beat(self) -> None:
        """Give a sign of life, or ask for one."""
        ...

    def idle_at(self) -> float:
        """When (trio's clock) the client counts as gone unless something comes from it."""
        ...

    def listen(self, end: Callable[[Close], None], nursery: trio.Nursery) -> None:
        """Have `end` called when the client says too much, or has left.

        `nursery` is for the task that this may take.
        """
        ...

    async def close(self, close: Close, reason: str) -> None:
        """End the stream on the wire. The in-band `close` was sent before."""
        ...

    def cut(self) -> Close:
        """Drop the connection, whatever is under way. Returns why: STALLED or GONE."""
        ...
