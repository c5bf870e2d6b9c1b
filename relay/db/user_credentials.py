"""Which session or token of which user: what credentials are found by."""

from collections.abc import Iterable
from typing import NamedTuple
from uuid import UUID


class UserCredential(NamedTuple):
    """The id of a session or token, and its user."""

    user_id: UUID
    id: UUID


def columns(credentials: Iterable[UserCredential]) -> tuple[list[UUID], list[UUID]]:
    """The users and the ids, as two arguments of a statement."""
    found = list(credentials)
    return [one.user_id for one in found], [one.id for one in found]
