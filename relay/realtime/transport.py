"""The transport interface, with all that differs between WebSocket and SSE."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

import trio

from relay.realtime.batch import Batch
from relay.realtime.close_codes import Close
from relay.realtime.event_range import EventRange

if TYPE_CHECKING:
    from relay.server.handle import ConnectionHandle


class ClientLeft(Exception):
    """The client has disconnected: no more messages can be received."""


class Transport(Protocol):
    """One reader's socket. Writes may wait, at most for the server's send timeout."""

    name: str  # the metric's label: websocket, sse
    heartbeat: float  # seconds, as in `hello`

    def try_write(self, batch: Batch) -> bool:
        """Write all events without waiting and return True, or write nothing and return False."""
        ...

    async def send(self, event_range: EventRange) -> None:
        """Write a range of at most `MAX_MESSAGE_BYTES`, or of one event."""
        ...

    async def send_control(self, kind: str, **fields: Any) -> None:
        """Write a control message. A client keeps the last `cursor` among the fields."""
        ...

    async def send_message(self, kind: str, body: bytes) -> None:
        """Write a control message that is encoded already and has no cursor for the client."""
        ...

    def next_heartbeat_at(self) -> float:
        """When (trio's clock) the next heartbeat is due if nothing else is sent."""
        ...

    async def send_heartbeat(self) -> None:
        """Send a heartbeat, a ping, or both."""
        ...

    def idle_deadline(self) -> float:
        """When (trio's clock) the client counts as idle unless it sends something before."""
        ...

    def listen(self, end: Callable[[Close], None], nursery: trio.Nursery) -> None:
        """Call `end` when the client has disconnected, or sends too many or too large messages.

        If that takes a task, it is started in `nursery`.
        """
        ...

    async def close(self, close: Close, reason: str) -> None:
        """End the stream on the wire, after the `close` message."""
        ...

    def abort(self) -> Close:
        """Drop the connection at once. Returns STALLED or GONE."""
        ...


def abort_handle(handle: "ConnectionHandle | None") -> Close:
    """`Transport.abort`, by the server's handle of the connection if it has given one."""
    if handle is None:
        return Close.GONE
    stalled = handle.stalled
    handle.abort()
    return Close.STALLED if stalled else Close.GONE
