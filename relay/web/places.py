"""Places that streams, waiting calls and downloads hold among those of all processes."""

from contextlib import AbstractAsyncContextManager, nullcontext
from typing import Protocol
from uuid import UUID

from relay.shared_limits import Place
from relay.web.request import Request

_NO_PLACES: AbstractAsyncContextManager[None] = nullcontext()


class Counted(Protocol):
    """What users and addresses have places of."""

    def places(self, user_id: UUID, address: str) -> tuple[Place, Place]:
        """The place of the user, and that of the address."""
        ...


def hold_places(
    request: Request, counted: Counted, user_id: UUID
) -> AbstractAsyncContextManager[None]:
    """Hold the user's and the request's address's place, where processes count them together.

    Nothing waits between the last place and the block, nor at its end. Raises TooManyConnections.
    """
    shared = request.services.places
    if shared is None:
        return _NO_PLACES
    return shared.hold(counted.places(user_id, request.address_block))
