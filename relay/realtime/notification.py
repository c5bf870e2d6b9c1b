"""The message between processes: new events, new heads of streams, revoked credentials. Pure.

What it says is in the database, too, so a duplicate or a lost one costs time, nothing else.
"""

from typing import Self
from uuid import UUID

import msgspec

MAX_ITEMS = 128  # users and credentials in one message, 59 bytes each at most

# the names in the message's JSON, which processes of other versions read
_WIRE_NAMES = {
    **{"sender": "by", "everything": "all", "revoked": "ended", "grown": "grew"},
    **{"leaves": "left", "missed": "unsure"},
}


class NewEvents(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Successive new events of one user. `texts` are their JSON for readers, the first is `first`.

    Without texts only the position is announced: the stream goes up to `first` - 1.
    `received_at` is when the oldest of them was received, in seconds since 1970.
    """

    user_id: UUID
    epoch: str
    first: int
    received_at: float
    texts: tuple[msgspec.Raw, ...] = ()

    @property
    def last(self) -> int:
        """The last seq that is announced."""
        return self.first + len(self.texts) - 1


class Notification(msgspec.Struct, omit_defaults=True, rename=_WIRE_NAMES):
    """Announcements of one process.

    `grown` are new events, by user. `heads` are the last seqs of users' streams: the form that
    processes with the protocol POSITIONS send and understand (`process_ids.py`). `revoked` are the
    ids of revoked credentials. `everything`: announcements are missing, so all streams and
    credentials have to be looked up. `missed` are users whose announcements may be missing.
    `leaves`: the process ends now, with its streams.
    """

    sender: UUID
    heads: dict[UUID, int] = {}
    revoked: set[UUID] = set()
    everything: bool = False
    grown: tuple[NewEvents, ...] = ()
    missed: set[UUID] = set()
    leaves: bool = False

    def __bool__(self) -> bool:
        """Whether it says anything of streams or credentials."""
        return bool(self.heads or self.revoked or self.everything or self.grown or self.missed)

    def encode(self) -> str:
        """The payload for NOTIFY, as JSON; `decode` reads it."""
        return self.encode_bytes().decode()

    def encode_bytes(self) -> bytes:
        """The same as bytes."""
        return _encode(self)

    @classmethod
    def decode(cls, text: str | bytes) -> Self | None:
        """Parse what `encode` made; None if another version of Relay wrote it in another form."""
        try:
            return msgspec.json.decode(text, type=cls)
        except msgspec.MsgspecError:
            return None


_encode = msgspec.json.encode
