"""The model with other processes: it hears of their commits, or cannot look up revocations."""

import math
import time
from functools import partial
from uuid import UUID

import msgspec
from hypothesis import strategies as st
from hypothesis.stateful import rule

from relay.realtime.encoding import EncodedEvent
from relay.realtime.notification import NewEvents, Notification
from tests.support.hub_events import EPOCH
from tests.support.hub_model.machine import CREDENTIALS, USERS, Streams


class StreamsBesideOthers(Streams):
    """What may happen to readers, and what other processes do."""

    @rule(
        user=st.sampled_from(USERS),
        heard=st.lists(st.tuples(st.integers(0, 5), st.booleans()), max_size=10),
        length=st.integers(1, 2),
        at_once=st.booleans(),
    )
    def hear_of_remote_commits(
        self, user: UUID, heard: list[tuple[int, bool]], length: int, at_once: bool
    ) -> None:
        """Some notifications come, in any order and number, with the events or the position.

        Those that are lost are found by the poll.
        """
        stored = [self.append(user, length) for _ in range(6)]

        def hear(commit: list[EncodedEvent], with_texts: bool) -> None:
            texts = tuple([msgspec.Raw(event.json) for event in commit if with_texts])
            first = commit[-1].seq - len(texts) + 1
            new = NewEvents(user, EPOCH, first, time.time(), texts)
            self.remote_reader.on_notification(Notification(UUID(int=9), grown=(new,)))

        def hear_all() -> None:
            for index, with_texts in heard:
                hear(stored[index], with_texts)

        if at_once:
            self.trio.do(hear_all)
        else:
            for index, with_texts in heard:
                self.trio.do(partial(hear, stored[index], with_texts))
        self.trio.do(lambda: None, seconds=2)
        self.streams[user].announced = self.streams[user].last

    @rule(
        user=st.sampled_from(USERS),
        count=st.sampled_from([1, 3, 300]),
        revoked=st.booleans(),
        which=st.booleans(),
    )
    def publish_while_revocations_are_unknown(
        self, user: UUID, count: int, revoked: bool, which: bool
    ) -> None:
        """Nothing is handed over, and a reader whose credential was revoked meanwhile gets none."""
        self.trio.do(partial(self.revocations.note_success, -math.inf))
        self.trio.do(self.revocations.note_failure)
        handed = [reader.transport.handed for reader in self.readers]
        last = self.streams[user].last
        self.trio.do(lambda: self.hub.publish(user, self.append(user, count)), seconds=1)
        self.trio.do(lambda: self.hub.recheck(user), seconds=1)
        assert [reader.transport.handed for reader in self.readers] == handed
        if revoked:  # the poll that succeeds applies it first
            readers = [one for one in self.readers if one.credential == CREDENTIALS[user][which]]
            self.revoke(user, which)
            for reader in readers:
                assert reader.covered() <= max(last, reader.first - 1)
        self.trio.do(partial(self.revocations.note_success, math.inf), seconds=2)
        self.streams[user].announced = self.streams[user].last
