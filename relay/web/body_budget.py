"""A bound on the memory of all request bodies that are being read.

A body is small, but ten thousand connections may each send one. Past the bound the body that has
taken longest is cancelled with 408: an ordinary body arrives within a moment.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import trio

from relay.observability import metrics

MOST = 64 * 2**20  # bytes: sixty-four of the largest bodies at a time


class Body:
    """A body that is being read: the data so far, and the cancel scope of the read."""

    __slots__ = ("data", "scope")

    def __init__(self, scope: trio.CancelScope) -> None:
        self.data = bytearray()  # appending copies each piece once, however small the pieces are
        self.scope = scope


class Intake:
    """The bodies that an app is reading, at most `most` bytes together."""

    def __init__(self, most: int = MOST) -> None:
        self._left = most
        self._coming: dict[Body, None] = {}  # oldest first

    @contextmanager
    def body(self, timeout: float) -> Iterator[Body]:
        """A block that reads a body; cancelled after `timeout` seconds, or to make room."""
        with trio.move_on_after(timeout) as scope:
            body = Body(scope)
            self._coming[body] = None
            try:
                yield body
            finally:
                self._forget(body)

    def add(self, body: Body, piece: bytes) -> None:
        """Add a piece to a body. Past the bound, the oldest bodies are cancelled."""
        if body not in self._coming:
            return  # it was cancelled to make room
        body.data += piece
        self._left -= len(piece)
        while self._left < 0:
            slowest = next(iter(self._coming))
            metrics.bodies_displaced.inc()
            slowest.scope.cancel()
            self._forget(slowest)

    def _forget(self, body: Body) -> None:
        if body in self._coming:
            del self._coming[body]
            self._left += len(body.data)
