"""The names of Relay's channels and keys in a Valkey, each with its hash slot.

They are part of the protocol between processes, and of the permissions that an operator grants.
"""

import hashlib
import hmac
from collections.abc import Hashable, Sequence
from functools import lru_cache
from typing import NamedTuple
from uuid import UUID

import msgspec

from relay.config.parsers import SigningKey
from relay.realtime.valkey.hash_slots import slot_of

CACHED_USERS = 16_384  # whose names are kept: it takes a microsecond to make them


class UserNames(msgspec.Struct, frozen=True):
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


class Key(NamedTuple):
    """The name of a key, and its slot."""

    name: bytes
    slot: int


class CountNames:
    """The keys of what processes count together.

    Addresses, users and tokens are hashed in them, with a key derived from the first of the signing
    keys: only Relay's processes can find out what is counted there.
    """

    def __init__(self, prefix: str, keys: Sequence[SigningKey]) -> None:
        self._prefix = prefix
        self._secret = hmac.digest(keys[0].secret, b"relay shared limits", hashlib.sha256)

    def of_limit(self, limit: str, key: Hashable, beside: Hashable) -> Key:
        """The key of a rate limit; those `beside` the same are in one slot."""
        return self._key("limits", beside, (limit, key))

    def of_place(self, bound: str, key: Hashable) -> Key:
        """The key of the places of a user or an address."""
        return self._key("places", key, (bound, key))

    def _key(self, kind: str, beside: Hashable, what: Hashable) -> Key:
        tag = self._hash(beside)
        name = f"{self._prefix}:{kind}:{{{tag}}}:{self._hash(what)}"
        return Key(name.encode(), slot_of(tag.encode()))

    def _hash(self, what: Hashable) -> str:
        return hashlib.blake2b(repr(what).encode(), key=self._secret, digest_size=16).hexdigest()
