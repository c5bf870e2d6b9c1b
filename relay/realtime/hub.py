"""Registers the live streams and waiting calls of one process by user, credential and address.

`publish` offers one user's events to that user's inboxes and to no other. All methods are
synchronous, so no other task runs in the middle of one and events keep their order.

Events are offered only while the process's knowledge of revocations is current. Otherwise their
readers have to read the journal, which waits for it (`stream_connection.py`).
"""

from collections.abc import Callable, Iterator, Sequence, Set
from contextlib import contextmanager
from typing import TypeVar
from uuid import UUID

import trio

from relay.auth.revocations import RevocationKnowledge
from relay.errors import Draining, ProcessFull, TooManyConnections
from relay.observability import metrics
from relay.observability.logs import extend_log_context
from relay.realtime.batch import Batch
from relay.realtime.close_codes import Close
from relay.realtime.encoding import EncodedEvent
from relay.realtime.inbox import Inbox
from relay.realtime.wait import Wait
from relay.shared_limits import Place

Follow = Callable[[UUID, int], None]
Member = TypeVar("Member")


class Hub:
    """The live streams of one process, within its bounds."""

    def __init__(
        self,
        revocations: RevocationKnowledge,
        *,
        max_streams: int,
        max_streams_per_user: int,
        max_streams_per_address: int,
    ) -> None:
        self._revocations = revocations
        self._max_streams = max_streams
        self._max_streams_per_user = max_streams_per_user
        self._max_streams_per_address = max_streams_per_address
        self._count = 0
        self._by_user: dict[UUID, set[Inbox]] = {}
        self._by_credential: dict[UUID, set[Inbox]] = {}
        self._by_address: dict[str, int] = {}
        self._followers: dict[UUID, Follow] = {}
        self._waits: dict[UUID, int] = {}
        self._waits_by_credential: dict[UUID, set[Wait]] = {}
        self._draining = False
        self._drained = trio.Event()

    def admit(self, user_id: UUID, address: str) -> None:
        """Check whether one more stream is allowed.

        Raises ProcessFull, TooManyConnections or Draining if it is not.
        """
        if self._draining:
            raise Draining()
        if self._count >= self._max_streams:
            metrics.streams_refused.labels("process").inc()
            raise ProcessFull()
        if self.watchers(user_id) + self._waits.get(user_id, 0) >= self._max_streams_per_user:
            raise _user_full()
        if self._by_address.get(address, 0) >= self._max_streams_per_address:
            raise _address_full()

    def places(self, user_id: UUID, address: str) -> tuple[Place, Place]:
        """Those that a stream or a waiting call takes, where processes count them together."""
        return (
            Place("streams_user", user_id, self._max_streams_per_user, _user_full),
            Place("streams_address", address, self._max_streams_per_address, _address_full),
        )

    def begin_wait(self, wait: Wait, user_id: UUID, credential_id: UUID, address: str) -> None:
        """Count a call that waits like a stream, until `end_wait`. Raises like `admit`.

        `wait` ends when the process drains and when the credential is revoked.
        """
        self.admit(user_id, address)
        self._waits[user_id] = self._waits.get(user_id, 0) + 1
        self._waits_by_credential.setdefault(credential_id, set()).add(wait)
        self._enter(address)
        metrics.waiting_calls.inc()

    def end_wait(self, wait: Wait, user_id: UUID, credential_id: UUID, address: str) -> None:
        """End `begin_wait` with the same arguments."""
        metrics.waiting_calls.dec()
        _discard(self._waits_by_credential, credential_id, wait)
        self._waits[user_id] -= 1
        if not self._waits[user_id]:
            del self._waits[user_id]
        self._leave(address)

    def _enter(self, address: str) -> None:
        self._by_address[address] = self._by_address.get(address, 0) + 1
        self._count += 1

    def _leave(self, address: str) -> None:
        self._count -= 1
        self._by_address[address] -= 1
        if not self._by_address[address]:
            del self._by_address[address]
        self._check_drained()

    @contextmanager
    def subscribe(self, user_id: UUID, credential_id: UUID, address: str) -> Iterator[Inbox]:
        """Register a new inbox for the length of the block. Raises like `admit`."""
        self.admit(user_id, address)
        inbox = Inbox(user_id)
        self._by_user.setdefault(user_id, set()).add(inbox)
        self._by_credential.setdefault(credential_id, set()).add(inbox)
        self._enter(address)
        try:
            yield inbox
        finally:
            _discard(self._by_user, user_id, inbox)
            _discard(self._by_credential, credential_id, inbox)
            self._leave(address)

    def publish(self, user_id: UUID, events: Sequence[EncodedEvent]) -> bool:
        """Offer one user's new events, at least one, to that user's readers.

        Returns True when they were written to at least one reader at once.
        """
        written = False
        if not self._revocations.is_current:
            self.recheck(user_id)
        else:
            batch = Batch(events, trio.current_time())
            for inbox in self._by_user.get(user_id, ()):
                written |= inbox.offer(batch)
        if (follow := self._followers.get(user_id)) is not None:
            follow(user_id, events[-1].seq)
        return written

    def follow(self, user_id: UUID, follow: Follow) -> None:
        """Call `follow` with the seq of the last event whenever this user's events are offered."""
        self._followers[user_id] = follow

    def unfollow(self, user_id: UUID) -> None:
        """End `follow`."""
        del self._followers[user_id]

    def recheck(self, user_id: UUID, last_seq: int | None = None) -> None:
        """Make readers read the journal if they were not offered `last_seq`; all readers if None.

        Call it for events that are stored and may not have been offered here.
        """
        for inbox in self._by_user.get(user_id, ()):
            if last_seq is None or inbox.offered_seq < last_seq:
                inbox.fall_behind()

    def min_offered_seq(self, user_id: UUID) -> int | None:
        """The seq up to which every live reader of this user was offered the stream.

        None if no reader is live: there is none, or all of them read the journal or are about to.
        """
        offered = [inbox.offered_seq for inbox in self._by_user.get(user_id, ()) if inbox.live]
        return min(offered, default=None)

    def end_credential(self, credential_id: UUID) -> None:
        """End every stream and every wait that was opened with this revoked credential."""
        for inbox in list(self._by_credential.get(credential_id, ())):
            inbox.end(Close.REVOKED)
        for wait in self._waits_by_credential.get(credential_id, ()):
            wait.end()

    def drain(self) -> list[Inbox]:
        """Admit no new stream from now on, and end all waits; returns the open streams' inboxes."""
        self._draining = True
        for waits in self._waits_by_credential.values():
            for wait in waits:
                wait.end()
        self._check_drained()
        return self.inboxes()

    def inboxes(self) -> list[Inbox]:
        """The inboxes of the streams that have not ended; an ended one may still be closing."""
        found = [inbox for inboxes in self._by_user.values() for inbox in inboxes]
        return [inbox for inbox in found if inbox.closing is None]

    @property
    def draining(self) -> bool:
        """Whether `drain` was called."""
        return self._draining

    @property
    def drained(self) -> trio.Event:
        """Set when `drain` was called and the last stream has ended."""
        return self._drained

    def _check_drained(self) -> None:
        if self._draining and not self._count:
            self._drained.set()

    def users(self) -> list[UUID]:
        """Users with live streams."""
        return list(self._by_user)

    def attended_users(self) -> Set[UUID]:
        """Users with live streams or calls that wait: what is stored of them is waited for here."""
        return self._by_user.keys() | self._waits.keys()

    def is_attended(self, user_id: UUID) -> bool:
        """Whether the user has a live stream or a call that waits here."""
        return user_id in self._by_user or user_id in self._waits

    def counts(self) -> dict[UUID, int]:
        """The number of live streams here of each user that has any."""
        return {user_id: len(inboxes) for user_id, inboxes in self._by_user.items()}

    def credentials(self) -> list[tuple[UUID, UUID]]:
        """The credentials that live streams were opened with: the user and the id of each."""
        return [(next(iter(of)).user_id, one) for one, of in self._by_credential.items()]

    def watchers(self, user_id: UUID) -> int:
        """The number of live streams that the user has here."""
        return len(self._by_user.get(user_id, ()))

    @property
    def count(self) -> int:
        """The number of live streams, and of calls that wait, here."""
        return self._count


def _user_full() -> TooManyConnections:
    metrics.streams_refused.labels("user").inc()
    extend_log_context(limit="streams_user")
    return TooManyConnections("This user has as many live streams as it may have.")


def _address_full() -> TooManyConnections:
    metrics.streams_refused.labels("address").inc()
    extend_log_context(limit="streams_address")
    return TooManyConnections("This address has as many live streams as it may have.")


def _discard(index: dict[UUID, set[Member]], key: UUID, member: Member) -> None:
    members = index[key]
    members.discard(member)
    if not members:
        del index[key]
