"""Request bodies that are being read, bounded together: past the bound the oldest is given up.

A body is small, but ten thousand connections may each bring one. An honest one arrives within a
moment, so the one that has taken longest makes room for the others.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import trio

from relay.observability import metrics

MOST = 64 * 2**20  # bytes of all bodies that are being read: sixty-four of the largest at one time


class Body:
    """A body that is being read: the `data` that has come, and the scope in which it is awaited."""

    __slots__ = ("data", "patience")

    def __init__(self, patience: trio.CancelScope) -> None:
        self.data = bytearray()  # however small the pieces, none is copied twice
        self.patience = patience


class Intake:
    """The bodies of one app that are being read, at most `most` bytes in all."""

    def __init__(self, most: int = MOST) -> None:
        self._left = most
        self._coming: dict[Body, None] = {}  # in the order in which they began

    @contextmanager
    def body(self, timeout: float) -> Iterator[Body]:
        """Read a body in the block, which is cancelled after `timeout` seconds, or to make room."""
        with trio.move_on_after(timeout) as patience:
            body = Body(patience)
            self._coming[body] = None
            try:
                yield body
            finally:
                self._forget(body)

    def add(self, body: Body, piece: bytes) -> None:
        """Add a piece to a body. Past the bound the bodies that began first are given up."""
        if body not in self._coming:
            return  # it was given up, and its block is about to be cancelled
        body.data += piece
        self._left -= len(piece)
        while self._left < 0:
            slowest = next(iter(self._coming))
            metrics.bodies_displaced.inc()
            slowest.patience.cancel()
            self._forget(slowest)

    def _forget(self, body: Body) -> None:
        if body in self._coming:
            del self._coming[body]
            self._left += len(body.data)
