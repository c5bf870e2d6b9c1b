"""Encodes successive events for one reader: read from the journal or taken from its inbox.

An event that many readers get at once is encoded once for all of them, as one `EncodedEvent`. A
range is joined for one reader, a thousand events in a few calls.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from relay.realtime.encoding import MAX_MESSAGE_BYTES, array_frame, text_frame, text_frames


class EventRange(NamedTuple):
    """Events with the seqs `first`, `first + 1`, …, at least one; `texts` are their JSON."""

    epoch: str
    first: int
    texts: Sequence[bytes]

    @property
    def last(self) -> int:
        """The seq of the last event."""
        return self.first + len(self.texts) - 1

    @property
    def messages(self) -> bytes:
        """One WebSocket message for each event."""
        return text_frames(self.texts)

    @property
    def array(self) -> bytes:
        """One WebSocket message: a JSON array, or the event itself if there is only one."""
        if len(self.texts) == 1:
            return text_frame(self.texts[0])
        return array_frame(self.texts)

    @property
    def sse(self) -> bytes:
        """One SSE block for each event."""
        numbered, epoch = enumerate(self.texts, self.first), self.epoch.encode()
        return b"".join([b"id: %s.%d\ndata: %s\n\n" % (epoch, seq, text) for seq, text in numbered])

    def parts(self) -> Iterator["EventRange"]:
        """Split so that each part's JSON is at most `MAX_MESSAGE_BYTES`, or one event."""
        if sum(map(len, self.texts)) + len(self.texts) + 1 <= MAX_MESSAGE_BYTES:
            yield self
            return
        start, size = 0, 2
        for index, text in enumerate(self.texts):
            if index > start and size + len(text) + 1 > MAX_MESSAGE_BYTES:
                yield self._part(start, index)
                start, size = index, 2
            size += len(text) + 1
        yield self._part(start, len(self.texts))

    def _part(self, start: int, end: int) -> "EventRange":
        return EventRange(self.epoch, self.first + start, self.texts[start:end])
