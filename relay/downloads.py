"""Counts the downloads under way: answers that are streamed, each with a place until its end."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeVar
from uuid import UUID

from relay.errors import ProcessFull, TooManyConnections
from relay.shared_limits import Place

MAX_OF_USER = 2  # a person's browser and a terminal
# Users are free where sign-up is open, so a few of them at one address must not take all places
# from the others, each for as long as a slow download may last.
MAX_OF_ADDRESS = 8
MAX_OF_PROCESS = 32  # each holds a page of what it sends, up to 1 MiB

Key = TypeVar("Key")


class Downloads:
    """The downloads of one kind in one process; `kind` is its name among the places."""

    def __init__(self, kind: str) -> None:
        self._kind = kind
        self._by_user: Counter[UUID] = Counter()
        self._by_address: Counter[str] = Counter()

    def places(self, user_id: UUID, address: str) -> tuple[Place, Place]:
        """Those that a download takes, where processes count them together."""
        return (
            Place(f"{self._kind}_user", user_id, MAX_OF_USER, _user_full),
            Place(f"{self._kind}_address", address, MAX_OF_ADDRESS, _address_full),
        )

    @contextmanager
    def place(self, user_id: UUID, address: str) -> Iterator[None]:
        """Hold one of the places of the user and of the address for the length of the block.

        Raises TooManyConnections if one of them has none left, ProcessFull if the process has none.
        """
        if self._by_user[user_id] >= MAX_OF_USER:
            raise _user_full()
        if self._by_address[address] >= MAX_OF_ADDRESS:
            raise _address_full()
        if self._by_user.total() >= MAX_OF_PROCESS:
            raise ProcessFull("This process has as many downloads under way as it may have.")
        with _counted(self._by_user, user_id), _counted(self._by_address, address):
            yield


def _user_full() -> TooManyConnections:
    return TooManyConnections(f"This user has {MAX_OF_USER} downloads under way.")


def _address_full() -> TooManyConnections:
    return TooManyConnections(f"This address has {MAX_OF_ADDRESS} downloads under way.")


@contextmanager
def _counted(counts: Counter[Key], key: Key) -> Iterator[None]:
    counts[key] += 1
    try:
        yield
    finally:
        counts[key] -= 1
        if not counts[key]:
            del counts[key]
