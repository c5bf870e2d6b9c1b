"""The message between processes: the new heads of streams, and revoked credentials. Pure.

It only names what to look up in the database. A duplicate or a lost one costs time, nothing else.
"""

from typing import Self
from uuid import UUID

import msgspec

MAX_ITEMS = 128  # users and credentials in one message, 59 bytes each at most: NOTIFY carries 8 000

# the names in the message's JSON, which processes of other versions read
_WIRE_NAMES = {"sender": "by", "everything": "all", "revoked": "ended"}


class Notification(msgspec.Struct, omit_defaults=True, rename=_WIRE_NAMES):
    """Announcements of one process, collected until they are sent.

    `heads` are the last seqs of users' streams, `revoked` the ids of revoked credentials.
    `everything`: there were more than `MAX_ITEMS` of them, so all streams and credentials have
    to be looked up.
    """

    sender: UUID
    heads: dict[UUID, int] = {}
    revoked: set[UUID] = set()
    everything: bool = False

    def add_head(self, user_id: UUID, seq: int) -> None:
        """Add a user's stream that now goes up to this seq or further."""
        if seq > self.heads.get(user_id, 0):
            self.heads[user_id] = seq
            self._limit_size()

    def add_revoked(self, credential_id: UUID) -> None:
        """Add a revoked credential."""
        self.revoked.add(credential_id)
        self._limit_size()

    def _limit_size(self) -> None:
        if self.everything or len(self.heads) + len(self.revoked) > MAX_ITEMS:
            self.heads.clear()
            self.revoked.clear()
            self.everything = True

    def __bool__(self) -> bool:
        return bool(self.heads or self.revoked or self.everything)

    def encode(self) -> str:
        """The payload for NOTIFY, as JSON; `decode` reads it."""
        return _encode(self).decode()

    @classmethod
    def decode(cls, text: str) -> Self | None:
        """Parse a NOTIFY payload; None if another version of Relay wrote it in another form."""
        try:
            return msgspec.json.decode(text, type=cls)
        except msgspec.MsgspecError:
            return None


_encode = msgspec.json.encode
