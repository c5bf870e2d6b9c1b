"""Request bodies on their way in, bounded together: in a full house the slowest is given up.

A body is small, but ten thousand connections may each bring one, and who they are is asked when
it is here. Honest ones are here in a moment; so whoever has taken longest makes room.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import trio

from relay.observability import metrics

MOST = 64 * 2**20  # bytes of all bodies on their way: sixty-four of the largest at one time


class Body:
    """One of them, as far as it has come."""

    __slots__ = ("data", "patience")

    def __init__(self, patience: trio.CancelScope) -> None:
        self.data = bytearray()  # however small the pieces, none is copied twice
        self.patience = patience


class Intake:
    def __init__(self, most: int = MOST) -> None:
        self._left = most
        self._coming: dict[Body, None] = {}  # the one that began first is the first

    @contextmanager
    def body(self, timeout: float) -> Iterator[Body]:
        """A body to be taken in within so many seconds; the block is cancelled when it is not."""
        with trio.move_on_after(timeout) as patience:
            body = Body(patience)
            self._coming[body] = None
            try:
                yield body
            finally:
                self._forget(body)

    def add(self, body: Body, piece: bytes) -> None:
        """One more piece of it. Whoever has taken longest goes when it is too much for all."""
        if body not in self._coming:
            return  # it was given up, and does not know yet
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
