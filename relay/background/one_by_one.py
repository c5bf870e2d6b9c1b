"""Works on one user after the other: a statement refused for one of them stops only its work."""

from collections.abc import Iterator
from contextlib import contextmanager
from uuid import UUID

from relay.db.pool import StatementFailed


class OneByOne:
    """A pass over users. `refused` has those with a statement that failed.

    An outage ends the pass, because it concerns all of them.
    """

    def __init__(self) -> None:
        self.refused: dict[UUID, StatementFailed] = {}

    @contextmanager
    def attempt(self, user_id: UUID) -> Iterator[None]:
        """Do the work for one user. A refusal ends it, and is kept until the end of the pass."""
        try:
            yield
        except StatementFailed as error:
            self.refused[user_id] = error

    def end(self) -> None:
        """End the pass. Raises the first refusal."""
        for error in self.refused.values():
            raise error
