"""What processes announce to each other: streams that have grown, credentials that ended. Pure.

An announcement only says where to look. One too many, or one that is lost, costs time and nothing
else.
"""

from typing import Self
from uuid import UUID

import msgspec

MOST = 128  # users and credentials one notification names: 59 bytes each at most, of 8 000


class News(msgspec.Struct, omit_defaults=True, rename={"sender": "by", "everything": "all"}):
    """One announcement, gathered until it is sent.

    `heads` are the last seqs of users' streams, `ended` the ids of credentials. `everything`: there
    was more than MOST names; look at all streams and credentials.
    """

    sender: UUID
    heads: dict[UUID, int] = {}
    ended: set[UUID] = set()
    everything: bool = False

    def grew(self, user_id: UUID, seq: int) -> None:
        """This user's stream goes up to this seq now, or further."""
        if seq > self.heads.get(user_id, 0):
            self.heads[user_id] = seq
            self._bound()

    def end(self, credential_id: UUID) -> None:
        """This credential ended."""
        self.ended.add(credential_id)
        self._bound()

    def _bound(self) -> None:
        if self.everything or len(self.heads) + len(self.ended) > MOST:
            self.heads.clear()
            self.ended.clear()
            self.everything = True

    def __bool__(self) -> bool:
        return bool(self.heads or self.ended or self.everything)

    def encode(self) -> str:
        """The text of the notification; `decode` reads it."""
        return _encode(self).decode()

    @classmethod
    def decode(cls, text: str) -> Self | None:
        """The announcement in a notification's text; None for a text of another version's form."""
        try:
            return msgspec.json.decode(text, type=cls)
        except msgspec.MsgspecError:
            return None


_encode = msgspec.json.encode
