"""Counts the downloads under way: answers that are streamed, each with a place until its end."""

from collections.abc import Iterator
from contextlib import contextmanager
from uuid import UUID

from relay.errors import ProcessFull, TooManyConnections

MAX_OF_USER = 2  # in one process: a person's browser and a terminal
MAX_OF_PROCESS = 32  # each holds a page of what it sends, up to 1 MiB


class Downloads:
    """The downloads of one kind in one process."""

    def __init__(self) -> None:
        self._by_user: dict[UUID, int] = {}
        self._count = 0

    @contextmanager
    def place(self, user_id: UUID) -> Iterator[None]:
        """Hold one of the user's places for the length of the block.

        Raises TooManyConnections if the user has none left, ProcessFull if the process has none.
        """
        if self._by_user.get(user_id, 0) >= MAX_OF_USER:
            raise TooManyConnections(f"This user has {MAX_OF_USER} downloads under way.")
        if self._count >= MAX_OF_PROCESS:
            raise ProcessFull("This process has as many downloads under way as it may have.")
        self._by_user[user_id] = self._by_user.get(user_id, 0) + 1
        self._count += 1
        try:
            yield
        finally:
            self._count -= 1
            self._by_user[user_id] -= 1
            if not self._by_user[user_id]:
                del self._by_user[user_id]
