"""What processes count together where a Valkey is between them: rates, and places of streams.

`realtime/valkey/` counts them. Without a Valkey, and while it is away, each process counts alone.
"""

from collections.abc import Callable, Hashable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import NamedTuple, Protocol

from relay.config.parsers import Rate
from relay.errors import Problem


class Charge(NamedTuple):
    """The cost of one request against one limit."""

    limit: str
    key: Hashable
    rate: Rate
    cost: int
    what: str  # what is counted, for the text of a refusal


class Taken(NamedTuple):
    """What became of charges.

    `owed` is, for each, what all processes have taken of its limit, in seconds at its rate; 0 where
    that is not known. `refused` is the index of one that was refused, and then nothing was taken;
    `wait` is in how many seconds it would not be.
    """

    owed: Sequence[float]
    refused: int | None = None
    wait: float = 0.0


OnOwed = Callable[[Charge, float], None]


class SharedRates(Protocol):
    """Rates that all processes count together. Both methods return None to count alone."""

    async def take(self, charges: Sequence[Charge], beside: Hashable) -> Taken | None:
        """Take all charges or none, exactly. Charges `beside` the same key are taken together."""
        ...

    async def spend(self, charges: Sequence[Charge]) -> Taken | None:
        """Like `take`, but from events that this process holds in advance: mostly without a wait.

        All processes together never take more than the limit, and may take less.
        """
        ...

    def report_owed(self, on_owed: OnOwed) -> None:
        """Call `on_owed` with what is learned later of a charge that was spent."""
        ...


class Place(NamedTuple):
    """One of the places that a user or an address has for something, and `most` of which exist."""

    bound: str
    key: Hashable
    most: int
    refusal: Callable[[], Problem]  # raised where none is left


class HeldPlaces(AbstractAsyncContextManager[None], Protocol):
    """Places that are held for the length of the block, or from `take` until `release`."""

    async def take(self) -> None:
        """Take all of them, or none. Raises the refusal of one.

        Nothing waits between the last place and the return. While this process counts alone all
        are granted: its own bounds count.
        """
        ...

    def release(self) -> None:
        """Give them back. Never waits, never raises."""
        ...


class SharedPlaces(Protocol):
    """Places that all processes count together."""

    def hold(self, places: Sequence[Place]) -> HeldPlaces:
        """What holds these places."""
        ...


class SharedLimits(SharedRates, SharedPlaces, Protocol):
    """Both."""
