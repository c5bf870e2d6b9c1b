"""The events that ended processes left over: file after file, the oldest first."""

from collections.abc import Iterator

from relay.client.spool import Owner, Spool, open_left_over


class LeftOver:
    """The files of one owner. They are opened one at a time, when it is their turn."""

    def __init__(self, owner: Owner) -> None:
        self._files: Iterator[Spool] = open_left_over(owner)
        self._current: Spool | None = None

    def file(self) -> Spool | None:
        """The file whose turn it is; None if there is no more."""
        if self._current is None:
            self._current = next(self._files, None)
        return self._current

    def close(self) -> None:
        """Close the file whose turn it is. It is deleted if all of it was delivered."""
        if self._current is not None:
            self._current.close()
            self._current = None
