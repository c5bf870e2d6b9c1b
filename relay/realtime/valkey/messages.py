"""Encode what a process announces to the others as sealed messages, and read theirs."""

from uuid import UUID

import msgspec

from relay.realtime.encoding import CommittedEvents
from relay.realtime.notification import NewEvents, Notification
from relay.realtime.sealing import Sealer

MAX_TEXT_BYTES = 256 * 1024  # of the events in one message; of more the position is announced


class Messages:
    """Writes and reads messages of one process."""

    def __init__(self, process_id: UUID, sealer: Sealer) -> None:
        self._process_id = process_id
        self._sealer = sealer

    def of_events(self, user_id: UUID, events: CommittedEvents, *, with_texts: bool) -> bytes:
        """A message with one user's events, or with the position of the stream alone."""
        texts: tuple[msgspec.Raw, ...] = ()
        if with_texts and events.payload_bytes <= MAX_TEXT_BYTES:
            size = sum([len(event.json) for event in events.encoded])
            if size <= MAX_TEXT_BYTES:
                texts = tuple([msgspec.Raw(event.json) for event in events.encoded])
        first = events.first if texts else events.last + 1
        new = NewEvents(user_id, events.epoch, first, events.received_at.timestamp(), texts)
        return self._seal(Notification(self._process_id, grown=(new,)))

    def of_revoked(self, credential_id: UUID) -> bytes:
        """A message that a credential was revoked."""
        return self._seal(Notification(self._process_id, revoked={credential_id}))

    def of_itself(self, *, everything: bool = False, leaves: bool = False) -> bytes:
        """A message that this process is alive, or ends; others look up everything if asked to."""
        return self._seal(Notification(self._process_id, everything=everything, leaves=leaves))

    def read(self, message: bytes) -> Notification | None:
        """What another process has sent; None if it is not understood, or sealed by no process."""
        opened = self._sealer.open_bytes(message)
        return None if opened is None else Notification.decode(opened)

    def _seal(self, notification: Notification) -> bytes:
        return self._sealer.seal_bytes(notification.encode_bytes())
