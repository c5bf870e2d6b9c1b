"""Places that streams, waiting calls and downloads hold among those of all processes."""

from contextlib import AbstractAsyncContextManager, nullcontext
from typing import Protocol
from uuid import UUID

from relay.shared_limits import HeldPlaces, Place
from relay.web.request import Request

_NO_PLACES: AbstractAsyncContextManager[None] = nullcontext()


class Counted(Protocol):
    """What users and addresses have places of."""

    def places(self, user_id: UUID, address: str) -> tuple[Place, Place]:
        """The place of the user, and that of the address."""
        ...


def places_of(request: Request, counted: Counted, user_id: UUID) -> HeldPlaces | None:
    """The user's and the request's address's place, to be held; None if processes count alone."""
    shared = request.services.places
    if shared is None:
        return None
    return shared.hold(counted.places(user_id, request.address_block))


def hold_places(
    request: Request, counted: Counted, user_id: UUID
) -> AbstractAsyncContextManager[None]:
    """Hold these places for the length of the block, where processes count them together.

    Nothing waits between the last place and the block, nor at its end. Raises TooManyConnections.
    """
    return places_of(request, counted, user_id) or _NO_PLACES
