"""A bound on the memory of all request bodies that are being read.

A body is small, but ten thousand connections may each send one. Past the bound the body that has
taken longest is cancelled with 408: an ordinary body arrives within a moment.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import trio

from relay.observability import metrics

MAX_BYTES = 64 * 2**20  # bytes: sixty-four of the largest bodies at a time


class PendingBody:
    """A body that is being read: the data so far, and the cancel scope of the read."""

    __slots__ = ("data", "scope")

    def __init__(self, scope: trio.CancelScope) -> None:
        self.data = bytearray()  # appending copies each piece once, however small the pieces are
        self.scope = scope


class BodyBudget:
    """The bodies that an app is reading, at most `max_bytes` bytes together."""

    def __init__(self, max_bytes: int = MAX_BYTES) -> None:
        self._bytes_left = max_bytes
        self._pending: dict[PendingBody, None] = {}  # oldest first

    @contextmanager
    def body(self, timeout: float) -> Iterator[PendingBody]:
        """A block that reads a body; cancelled after `timeout` seconds, or to make room."""
        with trio.move_on_after(timeout) as scope:
            body = PendingBody(scope)
            self._pending[body] = None
            try:
                yield body
            finally:
                self._remove(body)

    def add(self, body: PendingBody, piece: bytes) -> bool:
        """Add a piece to a body. Past the bound, the oldest bodies are cancelled.

        Returns False if this body was cancelled: now, or before its task came to the piece, which
        is then not added.
        """
        if body in self._pending:
            body.data += piece
            self._bytes_left -= len(piece)
            while self._bytes_left < 0:
                oldest = next(iter(self._pending))
                metrics.bodies_displaced.inc()
                oldest.scope.cancel()
                self._remove(oldest)
        return body in self._pending

    def _remove(self, body: PendingBody) -> None:
        if body in self._pending:
            del self._pending[body]
            self._bytes_left += len(body.data)
