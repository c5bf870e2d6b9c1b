"""The names of Relay's channels and keys in a Valkey, each with its hash slot.

They are part of the protocol between processes, and of the permissions that an operator grants.
"""

from dataclasses import dataclass
from functools import lru_cache
from uuid import UUID

from relay.realtime.valkey.hash_slots import slot_of

CACHED_USERS = 16_384  # whose names are kept: it takes a microsecond to make them


@dataclass(frozen=True, slots=True)
class UserNames:
    """A user's names, which are on one node."""

    channel: bytes  # the user's events
    streams: bytes  # a hash: the number of live streams of each process that has any
    slot: int


class Names:
    """All names with one prefix."""

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix
        self.everyone = f"{prefix}:all".encode()  # the channel of all processes
        self.everyone_slot = slot_of(self.everyone)
        self.of_user = lru_cache(maxsize=CACHED_USERS)(self._of_user)

    def _of_user(self, user_id: UUID) -> UserNames:
        tag = str(user_id)
        return UserNames(
            f"{self._prefix}:events:{{{tag}}}".encode(),
            f"{self._prefix}:streams:{{{tag}}}".encode(),
            slot_of(tag.encode()),
        )
