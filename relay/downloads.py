"""Counts the downloads under way: answers that are streamed, each with a place until its end."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeVar
from uuid import UUID

from relay.errors import ProcessFull, TooManyConnections

MAX_OF_USER = 2  # in one process: a person's browser and a terminal
# Users are free where sign-up is open, so a few of them at one address must not take all places
# from the others, each for as long as a slow download may last.
MAX_OF_ADDRESS = 8
MAX_OF_PROCESS = 32  # each holds a page of what it sends, up to 1 MiB

Key = TypeVar("Key")


class Downloads:
    """The downloads of one kind in one process."""

    def __init__(self) -> None:
        self._by_user: Counter[UUID] = Counter()
        self._by_address: Counter[str] = Counter()

    @contextmanager
    def place(self, user_id: UUID, address: str) -> Iterator[None]:
        """Hold one of the places of the user and of the address for the length of the block.

        Raises TooManyConnections if one of them has none left, ProcessFull if the process has none.
        """
        if self._by_user[user_id] >= MAX_OF_USER:
            raise TooManyConnections(f"This user has {MAX_OF_USER} downloads under way.")
        if self._by_address[address] >= MAX_OF_ADDRESS:
            raise TooManyConnections(f"This address has {MAX_OF_ADDRESS} downloads under way.")
        if self._by_user.total() >= MAX_OF_PROCESS:
            raise ProcessFull("This process has as many downloads under way as it may have.")
        with _counted(self._by_user, user_id), _counted(self._by_address, address):
            yield


@contextmanager
def _counted(counts: Counter[Key], key: Key) -> Iterator[None]:
    counts[key] += 1
    try:
        yield
    finally:
        counts[key] -= 1
        if not counts[key]:
            del counts[key]
