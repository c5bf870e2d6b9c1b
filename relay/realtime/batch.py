"""Events that all readers of a user are offered at once: joined for each transport at most once."""

from collections.abc import Sequence

from relay.realtime.encoding import EncodedEvent, array_frame, chunk


class Batch:
    """Successive events, at least one; `at` is when they are offered, in trio's clock.

    `size` is about how many bytes they take in an inbox.
    """

    __slots__ = ("_array", "_chunk", "_messages", "_sse", "at", "events", "size")

    def __init__(self, events: Sequence[EncodedEvent], at: float) -> None:
        self.events = events
        self.at = at
        self.size = sum([event.size for event in events])
        self._messages: bytes | None = None
        self._array: bytes | None = None
        self._sse: bytes | None = None
        self._chunk: bytes | None = None

    @property
    def messages(self) -> bytes:
        """One WebSocket message for each event."""
        if self._messages is None:
            self._messages = b"".join([event.websocket for event in self.events])
        return self._messages

    @property
    def array(self) -> bytes:
        """One WebSocket message: a JSON array, or the event itself if there is only one."""
        if self._array is None:
            one = len(self.events) == 1
            self._array = self.messages if one else array_frame([e.json for e in self.events])
        return self._array

    @property
    def sse(self) -> bytes:
        """One SSE block for each event."""
        if self._sse is None:
            self._sse = b"".join([event.sse for event in self.events])
        return self._sse

    @property
    def sse_chunk(self) -> bytes:
        """The same as one chunk of a chunked response."""
        if self._chunk is None:
            self._chunk = chunk(self.sse)
        return self._chunk
