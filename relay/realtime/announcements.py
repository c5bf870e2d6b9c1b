"""Collects what a process announces to the others, until its next NOTIFY. Pure.

Each user's events go, sealed, to the channel of the user's bucket, on which only processes with
readers of users in it listen. Revocations, and what processes of the version before understand, go
to the channel of all.
"""

from collections.abc import Iterator, Sequence
from uuid import UUID

import msgspec

from relay.realtime.encoding import CommittedEvents
from relay.realtime.notification import MAX_ITEMS, NewEvents, Notification
from relay.realtime.sealing import Sealer

CHANNEL = "relay"  # of all processes
# Few enough that one connection listens to all of them, many enough that a process with readers
# of some hundred users hears little of others. Part of the protocol between processes.
BUCKETS = 1_024
MAX_USERS = 1_024  # in one statement; with more, everything is to be looked up
MAX_BYTES = 2**20  # of events that wait; of those that come later the position is announced
MAX_PAYLOAD_BYTES = 5_940  # of one message: sealed less than 8 000, which NOTIFY refuses
_ENVELOPE_BYTES = 256  # at most, of a payload and of one user in it, beside the events' texts
MAX_TEXT_BYTES = MAX_PAYLOAD_BYTES - _ENVELOPE_BYTES

Message = tuple[str, str]
"""A channel and a payload for it."""


def channel_of(user_id: UUID) -> str:
    """The channel of this user's bucket."""
    return f"{CHANNEL}_{user_id.int % BUCKETS}"


class _Waiting:
    """Successive events of one user that wait; without `texts` only their position does."""

    __slots__ = ("epoch", "last", "received_at", "size", "texts")

    def __init__(self, events: CommittedEvents) -> None:
        self.epoch = events.epoch
        self.last = events.last
        self.received_at = events.received_at
        self.size = 0
        self.texts: list[bytes] = []

    def drop_texts(self) -> None:
        self.texts, self.size = [], 0

    def encode(self, user_id: UUID) -> bytes:
        texts = tuple([msgspec.Raw(text) for text in self.texts])
        first, received_at = self.last - len(texts) + 1, self.received_at.timestamp()
        return _encode(NewEvents(user_id, self.epoch, first, received_at, texts))


class Announcements:
    """What was announced since the last NOTIFY."""

    def __init__(self, sender: UUID) -> None:
        self._sender = sender
        self._users: dict[UUID, _Waiting] = {}
        self._bytes = 0
        self._revoked: set[UUID] = set()
        self.everything = False

    def add_events(self, user_id: UUID, events: CommittedEvents) -> None:
        """Add one user's newly committed events."""
        waiting = self._users.get(user_id)
        if waiting is None:
            if len(self._users) >= MAX_USERS:
                self.everything = True
                return
            waiting = self._users[user_id] = _Waiting(events)
            follows_on = True
        else:
            follows_on = bool(waiting.texts) and waiting.last + 1 == events.first
            follows_on = follows_on and waiting.epoch == events.epoch
            waiting.epoch, waiting.last = events.epoch, max(waiting.last, events.last)
        self._bytes -= waiting.size
        if follows_on and self._fits(waiting.size + events.payload_bytes):
            texts = [event.json for event in events.encoded]
            size = waiting.size + sum([len(text) + 1 for text in texts])
            if self._fits(size):
                waiting.texts += texts
                waiting.size = size
                self._bytes += size
                return
        waiting.drop_texts()

    def _fits(self, size: int) -> bool:
        return size <= MAX_TEXT_BYTES and self._bytes + size <= MAX_BYTES

    def add_revoked(self, credential_id: UUID) -> None:
        """Add a revoked credential."""
        self._revoked.add(credential_id)
        if len(self._revoked) > MAX_ITEMS:
            self._revoked.clear()
            self.everything = True

    def messages(self, sealer: Sealer, *, with_positions: bool) -> list[Message]:
        """All that was announced, as messages for NOTIFY. If it is nothing, one without content.

        `with_positions`: the positions of streams go to the channel of all, too, for processes
        that listen to no other.
        """
        messages = [(channel, sealer.seal(text)) for channel, text in self._to_buckets()]
        heads = (
            {user_id: one.last for user_id, one in self._users.items()} if with_positions else {}
        )
        note = Notification(self._sender, heads, self._revoked, self.everything)
        if note.everything or len(heads) + len(self._revoked) > MAX_ITEMS:
            note = Notification(self._sender, everything=True)
        if note or not messages:
            messages.append((CHANNEL, note.encode()))
        return messages

    def _to_buckets(self) -> Iterator[tuple[str, bytes]]:
        buckets: dict[str, list[bytes]] = {}
        for user_id, waiting in self._users.items():
            buckets.setdefault(channel_of(user_id), []).append(waiting.encode(user_id))
        head = b'{"by":"%s","grew":[' % str(self._sender).encode()
        for channel, parts in buckets.items():
            for joined in _join(parts, MAX_PAYLOAD_BYTES - len(head) - len(b"]}")):
                yield channel, head + joined + b"]}"


def _join(parts: Sequence[bytes], most: int) -> Iterator[bytes]:
    """Join the parts with commas, as many at a time as `most` bytes hold."""
    held: list[bytes] = []
    size = 0
    for part in parts:
        if held and size + len(part) > most:
            yield b",".join(held)
            held, size = [], 0
        held.append(part)
        size += len(part) + 1
    yield b",".join(held)


_encode = msgspec.json.encode
