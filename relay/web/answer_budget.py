"""A bound on the memory of all large answers that are being sent.

An answer stays in memory until its client has taken it, and a client may take it as slowly as the
send timeout allows. Past the bound, of the client that has the most of them, the connection whose
answer began first is reset.
"""

from collections import Counter
from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

from relay.observability import metrics
from relay.server.handle import ConnectionHandle

MAX_BYTES = 64 * 2**20  # bytes: eight of the largest pages of events at a time
SMALL = 16_384  # bytes: the kernel takes as much at once, so these hardly ever wait


class _Sent(NamedTuple):
    """An answer that is being sent: its client, and its bytes."""

    client: Hashable
    size: int


class AnswerBudget:
    """The large answers that an app is sending, at most `max_bytes` bytes together."""

    def __init__(self, max_bytes: int = MAX_BYTES) -> None:
        self._bytes_left = max_bytes
        self._sent: dict[ConnectionHandle, _Sent] = {}  # oldest first

    @contextmanager
    def sending(self, handle: ConnectionHandle, client: Hashable, size: int) -> Iterator[None]:
        """A block that sends a body of `size` bytes; others may be aborted to make room for it.

        `client` is the user, or the address of a client without one.
        """
        self._sent[handle] = _Sent(client, size)
        self._bytes_left -= size
        try:
            while self._bytes_left < 0:
                displaced = self._slowest()
                metrics.answers_displaced.inc()
                displaced.abort()
                self._remove(displaced)
            yield
        finally:
            self._remove(handle)

    def _slowest(self) -> ConnectionHandle:
        """Of the client with the most bytes, the connection whose answer began first."""
        totals: Counter[Hashable] = Counter()
        for sent in self._sent.values():
            totals[sent.client] += sent.size
        most = max(totals, key=totals.__getitem__)
        return next(handle for handle, sent in self._sent.items() if sent.client == most)

    def _remove(self, handle: ConnectionHandle) -> None:
        if (sent := self._sent.pop(handle, None)) is not None:
            self._bytes_left += sent.size
