"""A model of every interleaving of publishing, reading, stalling, trimming, revoking and leaving.

The hub and the connections are the real ones; the journal is a list, the transports are lists with
a gate, so that the machine decides what waits for what. Whatever it does, a reader sees its own
user's stream from its position on, in order, nothing twice, and a gap sent wherever events were
trimmed before it had read them.
"""

from collections.abc import Awaitable, Callable
from functools import partial
from uuid import UUID

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from relay.errors import Draining, TooManyConnections, Unavailable
from relay.events import Cursor
from relay.realtime.close_codes import Close
from relay.realtime.encoding import EncodedEvent
from relay.realtime.hub import Hub
from relay.realtime.remote_reader import RemoteEventReader
from relay.realtime.resume import Start
from tests.support.hub_events import EPOCH, an_event, known_revocations
from tests.support.hub_model.journal import FakeJournal, Stream
from tests.support.hub_model.reader import Reader
from tests.support.hub_model.standing_trio import Trio

USERS = (UUID(int=1), UUID(int=2))
CREDENTIALS = {user: (UUID(int=10 * user.int), UUID(int=10 * user.int + 1)) for user in USERS}
ADDRESSES = ("here", "there")
MOST, MOST_PER_USER, MOST_PER_ADDRESS = 6, 4, 5
LONG = 600  # events at once that no inbox holds


class Streams(RuleBasedStateMachine):
    """Readers of two users, and everything that may happen to them."""

    def __init__(self) -> None:
        super().__init__()
        self.streams = {user: Stream() for user in USERS}
        self.readers: list[Reader] = []
        self.revocations = known_revocations()
        self.trio = Trio()
        self.hub, self.journal = self.trio.do(
            lambda: (
                Hub(
                    self.revocations,
                    max_streams=MOST,
                    max_streams_per_user=MOST_PER_USER,
                    max_streams_per_address=MOST_PER_ADDRESS,
                ),
                FakeJournal(self.streams),
            )
        )
        self.remote_reader = RemoteEventReader(self.hub, self.journal)  # type: ignore[arg-type]
        self.start(self.remote_reader.run)

    def start(self, work: Callable[..., Awaitable[None]], *args: object) -> None:
        self.trio.do(lambda: self.trio.nursery.start_soon(work, *args))

    def pick(self, index: int) -> Reader:
        return self.readers[index % len(self.readers)]

    def append(self, user: UUID, count: int) -> list[EncodedEvent]:
        log = self.streams[user].log
        new = [an_event(len(log) + 1 + n, f'"{user}"') for n in range(count)]
        log += new
        return [EncodedEvent.from_event(event) for event in new]

    # -- what may happen

    @rule(
        user=st.sampled_from(USERS),
        which=st.booleans(),
        address=st.sampled_from(ADDRESSES),
        quick=st.booleans(),
        start=st.sampled_from(["now", "oldest", "last", "cursor"]),
        n=st.integers(0, 20),
    )
    def connect(
        self, user: UUID, which: bool, address: str, quick: bool, start: str, n: int
    ) -> None:
        stream = self.streams[user]
        full = (
            len(self.readers) >= MOST
            or sum(one.user == user for one in self.readers) >= MOST_PER_USER
            or sum(one.address == address for one in self.readers) >= MOST_PER_ADDRESS
        )
        try:
            self.trio.do(lambda: self.hub.admit(user, address))
        except (TooManyConnections, Unavailable):
            assert full
            return
        assert not full
        starts = {
            "now": Start(),
            "oldest": Start(oldest=True),
            "last": Start(last=n + 1),
            "cursor": Start(after=Cursor(EPOCH, min(n, stream.last))),
        }
        reader = Reader(user, CREDENTIALS[user][which], address, quick=quick)
        self.start(reader.live, self.hub, self.revocations, self.journal, starts[start])
        self.readers.append(reader)

    @rule(user=st.sampled_from(USERS), count=st.sampled_from([1, 1, 1, 2, 30, 300, LONG]))
    def publish(self, user: UUID, count: int) -> None:
        def act() -> None:
            frames = self.append(user, count)
            self.hub.publish(user, frames)

        self.trio.do(act)
        self.streams[user].announced = self.streams[user].last

    @rule(user=st.sampled_from(USERS), count=st.integers(2, 40))
    def publish_one_by_one_before_any_read(self, user: UUID, count: int) -> None:
        def act() -> None:
            for _ in range(count):
                self.hub.publish(user, self.append(user, 1))

        self.trio.do(act)
        self.streams[user].announced = self.streams[user].last

    @rule(
        user=st.sampled_from(USERS),
        order=st.permutations(range(4)),
        length=st.integers(1, 2),
        again=st.booleans(),
        at_once=st.booleans(),
    )
    def offer_out_of_step(
        self, user: UUID, order: list[int], length: int, again: bool, at_once: bool
    ) -> None:
        """Commits here, and news of commits elsewhere: early, late and more than once."""
        new = self.append(user, len(order))
        offers = [new[start : start + length] for start in order] + [new] * again
        if at_once:
            self.trio.do(lambda: [self.hub.publish(user, offer) for offer in offers])
        else:
            for offer in offers:
                self.trio.do(partial(self.hub.publish, user, offer))
        self.streams[user].announced = self.streams[user].last

    @rule(user=st.sampled_from(USERS), count=st.integers(1, 3))
    def store_without_a_word(self, user: UUID, count: int) -> None:
        self.append(user, count)

    @rule(user=st.sampled_from(USERS), known=st.booleans())
    def recheck(self, user: UUID, known: bool) -> None:
        last = self.streams[user].last
        self.trio.do(lambda: self.hub.recheck(user, last if known else None))
        self.streams[user].announced = last

    @rule(user=st.sampled_from(USERS), keep=st.integers(0, 40))
    def trim(self, user: UUID, keep: int) -> None:
        stream = self.streams[user]
        stream.oldest = max(stream.oldest, stream.last + 1 - keep)

    @rule(
        user=st.sampled_from(USERS), count=st.sampled_from([0, 1, 3, 300]), announced=st.booleans()
    )
    def publish_while_pages_are_on_their_way(self, user: UUID, count: int, announced: bool) -> None:
        self.trio.do(self.journal.gate.turn)
        self.trio.do(lambda: self.hub.recheck(user))
        for _ in range(3):
            self.append(user, 0 if announced else 1)
            self.publish(user, count + 1)
        self.trio.do(self.journal.gate.turn)

    @rule(
        user=st.sampled_from(USERS),
        start=st.sampled_from(["now", "oldest", "last", "cursor"]),
        count=st.sampled_from([1, 3, 300]),
        announced=st.booleans(),
    )
    def publish_while_a_reader_starts(
        self, user: UUID, start: str, count: int, announced: bool
    ) -> None:
        self.trio.do(self.journal.gate.turn)
        self.connect(user, True, "here", True, start, 2)
        if announced:
            self.publish(user, count)
        else:  # stored elsewhere, and heard of
            self.append(user, count)
            self.recheck(user, known=True)
        self.trio.do(self.journal.gate.turn)

    @rule(user=st.sampled_from(USERS), count=st.sampled_from([1, 3, 300]))
    def publish_while_the_database_is_away(self, user: UUID, count: int) -> None:
        self.journal.away = True
        self.recheck(user, known=False)
        self.publish(user, count)
        self.trio.do(lambda: None, seconds=1)
        self.journal.away = False
        self.trio.do(lambda: None, seconds=2)

    @precondition(lambda self: self.readers)
    @rule(index=st.integers(0, MOST))
    def a_reader_stalls_or_goes_on(self, index: int) -> None:
        self.trio.do(self.pick(index).transport.gate.turn)

    @precondition(lambda self: self.readers)
    @rule(index=st.integers(0, MOST))
    def a_reader_leaves(self, index: int) -> None:
        reader = self.pick(index)
        self.trio.do(reader.scope.cancel)
        self.readers.remove(reader)
        assert reader.gone
        reader.covered()

    @rule(user=st.sampled_from(USERS), which=st.booleans())
    def revoke(self, user: UUID, which: bool) -> None:
        credential = CREDENTIALS[user][which]
        self.trio.do(lambda: self.hub.end_credential(credential), seconds=1)
        ended = [one for one in self.readers if one.credential == credential]
        for reader in ended:
            assert reader.gone, "still there a second after the revoke"
            reader.covered()
            if not reader.transport.gate.shut:  # else it was cut, without a word
                assert reader.transport.closed is Close.REVOKED
                kind, announced = reader.transport.seen[-1]
                assert isinstance(announced, dict)
                assert (kind, announced["code"]) == ("close", 4401)
        self.readers = [one for one in self.readers if one not in ended]

    # -- what always holds

    @invariant()
    def everybody_has_seen_what_they_could(self) -> None:
        for reader in self.readers:
            assert not reader.gone
            seen = reader.covered()
            stream = self.streams[reader.user]
            assert seen <= max(stream.last, reader.first - 1)
            if not reader.transport.gate.shut:
                assert seen >= min(stream.announced, stream.last)

    @invariant()
    def the_hub_counts_its_readers(self) -> None:
        assert self.hub.count == len(self.readers)
        for user in USERS:
            assert self.hub.watchers(user) == sum(one.user == user for one in self.readers)

    def teardown(self) -> None:
        """Drain: every reader that can be sent a close gets one, and no reader is left."""

        def act() -> None:
            for inbox in self.hub.drain():
                inbox.end(Close.RESTART)

        try:
            self.trio.do(act, seconds=1)
            for reader in self.readers:
                assert reader.gone
                if not reader.transport.gate.shut:
                    assert reader.transport.closed is Close.RESTART
            assert self.hub.drained.is_set()
            assert [*self.hub._by_user, *self.hub._by_credential, *self.hub._by_address] == []
            try:
                self.hub.admit(USERS[0], "here")
            except Draining:
                pass
            else:
                raise AssertionError("admitted while draining")
        finally:
            self.trio.stop()
