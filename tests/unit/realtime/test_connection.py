"""A model of every interleaving of publishing, reading, stalling, trimming, revoking and leaving.

The hub and the connections are the real ones; the journal is a list, the transports are lists with
a gate, so that the machine decides what waits for what. Whatever it does, a reader sees its own
user's stream from its position on, in order, nothing twice, and a gap sent wherever events were
trimmed before it had read them.
"""

import queue
import threading
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar
from uuid import UUID, uuid4

import pytest
import trio
import trio.testing
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from relay.db.pages import EventPage
from relay.errors import DatabaseAway, Draining, TooManyConnections, Unavailable
from relay.events import Cursor, Event, StreamHead, utc_now
from relay.realtime.close_codes import Close
from relay.realtime.encoding import EncodedEvent, event_json
from relay.realtime.event_range import EventRange
from relay.realtime.hub import Hub
from relay.realtime.inbox_states import InboxState
from relay.realtime.resume import Start, locate
from relay.realtime.stream_connection import Viewer, find_start, run_connection
from tests.support.examples import examples
from tests.support.hub_events import EPOCH, a_batch, a_credential, an_event

T = TypeVar("T")

USERS = (UUID(int=1), UUID(int=2))
CREDENTIALS = {user: (UUID(int=10 * user.int), UUID(int=10 * user.int + 1)) for user in USERS}
ADDRESSES = ("here", "there")
MOST, MOST_PER_USER, MOST_PER_ADDRESS = 6, 4, 5
PAGE = 7  # events of one read: small, so that catching up takes several
LONG = 600  # events at once that no inbox holds
MOST_READS = 100_000  # of one run: a connection that would read for ever is ended


class Trio:
    """Trio in a thread whose clock stands still, one call at a time from outside."""

    def __init__(self) -> None:
        self._token: queue.Queue[trio.lowlevel.TrioToken] = queue.Queue()
        self.clock = trio.testing.MockClock()
        self._thread = threading.Thread(
            target=trio.run, args=(self._main,), kwargs={"clock": self.clock}
        )
        self._thread.start()
        self.token = self._token.get()

    async def _main(self) -> None:
        self._end = trio.Event()
        async with trio.open_nursery() as self.nursery:
            self._token.put(trio.lowlevel.current_trio_token())
            await self._end.wait()
            self.nursery.cancel_scope.cancel()

    def do(self, act: Callable[[], T], *, seconds: float = 0) -> T:
        """Do it, then let all tasks run until none can, and again after each second given."""

        async def run() -> T:
            result = act()
            await trio.testing.wait_all_tasks_blocked()
            for _ in range(int(seconds * 2)):
                self.clock.jump(0.5)
                await trio.testing.wait_all_tasks_blocked()
            return result

        return trio.from_thread.run(run, trio_token=self.token)

    def stop(self) -> None:
        self.token.run_sync_soon(self._end.set)
        self._thread.join()


@dataclass
class Stream:
    """What the model knows of one user: the log, and the last seq that was announced."""

    log: list[Event] = field(default_factory=list)
    oldest: int = 1
    announced: int = 0

    @property
    def last(self) -> int:
        return len(self.log)

    @property
    def head(self) -> StreamHead:
        return StreamHead(EPOCH, self.oldest, self.last)


class Gate:
    """Open or shut; a task that comes while it is shut waits."""

    def __init__(self) -> None:
        self._open = trio.Event()
        self._open.set()

    @property
    def shut(self) -> bool:
        return not self._open.is_set()

    def turn(self) -> None:
        if self.shut:
            self._open.set()
        else:
            self._open = trio.Event()

    async def passed(self) -> None:
        await self._open.wait()


class FakeJournal:
    """The streams as the connection reads them: a snapshot, then whatever time it takes."""

    now = staticmethod(utc_now)

    def __init__(self, streams: dict[UUID, Stream]) -> None:
        self.streams = streams
        self.gate = Gate()
        self.away = False
        self.reads = 0

    async def head(self, user_id: UUID) -> StreamHead:
        await trio.lowlevel.checkpoint()
        head = self.streams[user_id].head
        await self.gate.passed()
        await trio.lowlevel.checkpoint()
        return head

    async def read(self, user_id: UUID, after: int) -> EventPage:
        await trio.lowlevel.checkpoint()
        self.reads += 1
        assert self.reads < MOST_READS, "reads for ever"
        if self.away:
            raise DatabaseAway()
        stream = self.streams[user_id]
        stored = [event for event in stream.log[after:] if event.seq >= stream.oldest][:PAGE]
        first = stored[0].seq if stored else 0
        page = EventPage(stream.head, first, [event_json(event) for event in stored])
        await self.gate.passed()
        await trio.lowlevel.checkpoint()
        return page


class FakeTransport:
    """Writes what it is given when its gate lets it, one write at a time."""

    name = "model"
    heartbeat = 25.0

    def __init__(self, *, quick: bool) -> None:
        self.quick = quick  # whether it can write at once
        self.gate = Gate()
        self.seen: list[tuple[int, bytes] | tuple[str, dict[str, Any]]] = []  # seqs and texts
        self.writing = False
        self.closed: Close | None = None

    def try_write(self, frames: Sequence[EncodedEvent]) -> bool:
        assert not self.writing, "overtook a write under way"
        if self.quick and not self.gate.shut:
            self.seen += [(frame.seq, frame.json) for frame in frames]
            return True
        return False

    async def _write(self, *what: tuple[int, bytes] | tuple[str, dict[str, Any]]) -> None:
        assert not self.writing
        self.writing = True
        try:
            await self.gate.passed()
            await trio.lowlevel.checkpoint()
            self.seen += what
        finally:
            self.writing = False

    async def send(self, stretch: EventRange) -> None:
        await self._write(*enumerate(stretch.texts, stretch.first))

    async def send_control(self, kind: str, **fields: Any) -> None:
        await self._write((kind, fields))

    async def send_message(self, kind: str, body: bytes) -> None:
        raise AssertionError("nobody asked for tasks")

    def next_heartbeat_at(self) -> float:
        return float("inf")

    async def send_heartbeat(self) -> None:
        raise AssertionError("nobody asked for a sign of life")

    def idle_deadline(self) -> float:
        return float("inf")

    def listen(self, end: Callable[[Close], None], nursery: trio.Nursery) -> None:
        """No message is sent."""

    async def close(self, close: Close, *_reason: str) -> None:
        self.closed = close

    def abort(self) -> Close:
        self.closed = self.closed or Close.GONE
        return Close.GONE


class Reader:
    """One connection, and what it must have seen."""

    def __init__(self, user: UUID, credential: UUID, address: str, *, quick: bool) -> None:
        self.user = user
        self.credential = credential
        self.address = address
        self.transport = FakeTransport(quick=quick)
        self.scope = trio.CancelScope()
        self.first = 0  # the first seq it has not seen
        self.gone = False

    async def live(self, hub: Hub, journal: FakeJournal, start: Start) -> None:
        credential = a_credential(self.user, self.credential)
        with self.scope, hub.subscribe(self.user, self.credential, self.address) as inbox:
            position = await find_start(inbox, start, journal)  # type: ignore[arg-type]
            self.first = position.seq + 1
            if position.gap is not None:
                self.first = position.gap.first
            await run_connection(
                self.transport,
                inbox,
                Viewer(credential, None),
                position,
                journal,  # type: ignore[arg-type]
            )
        self.gone = True

    def covered(self) -> int:
        """Check everything it saw; returns the last seq it knows of."""
        greeting, *seen = self.transport.seen or [("hello", {})]
        assert greeting[0] == "hello"
        following = self.first
        for one in seen:
            if isinstance(one[1], bytes):
                assert one[0] == following
                assert str(self.user).encode() in one[1]
                following += 1
            elif one[0] == "gap":
                assert one[1]["from"] == following
                assert one[1]["cursor"] == f"{EPOCH}.{one[1]['to']}"
                following = one[1]["to"] + 1
            else:
                assert one[0] == "close"
                assert one is seen[-1]
        return following - 1


class Streams(RuleBasedStateMachine):
    """Readers of two users, and everything that may happen to them."""

    def __init__(self) -> None:
        super().__init__()
        self.streams = {user: Stream() for user in USERS}
        self.readers: list[Reader] = []
        self.trio = Trio()
        self.hub, self.journal = self.trio.do(
            lambda: (
                Hub(
                    max_streams=MOST,
                    max_streams_per_user=MOST_PER_USER,
                    max_streams_per_address=MOST_PER_ADDRESS,
                ),
                FakeJournal(self.streams),
            )
        )

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
        self.start(reader.live, self.hub, self.journal, starts[start])
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


TestStreams = Streams.TestCase
TestStreams.settings = settings(
    deadline=None,
    max_examples=examples(100),
    stateful_step_count=40,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)


@pytest.mark.parametrize("reason", [Close.MAX_AGE, Close.INTERNAL])
async def test_a_stream_that_ends_by_itself_ends_its_inbox(
    autojump_clock: trio.testing.MockClock, reason: Close
) -> None:
    """By its age, or by a failure of its own."""
    user = USERS[0]
    stream = Stream([an_event(1)])
    hub = Hub(
        max_streams=MOST,
        max_streams_per_user=MOST_PER_USER,
        max_streams_per_address=MOST_PER_ADDRESS,
    )
    journal, transport = FakeJournal({user: stream}), FakeTransport(quick=True)
    if reason is Close.INTERNAL:
        stream.log = None  # type: ignore[assignment]
    viewer = Viewer(a_credential(user), max_age=100)
    with hub.subscribe(user, uuid4(), "here") as inbox:
        position = locate(Start(oldest=True), StreamHead(EPOCH, 1, 1))
        await run_connection(transport, inbox, viewer, position, journal)  # type: ignore[arg-type]
        assert (inbox.state, inbox.closing, transport.closed) == (InboxState.ENDED, reason, reason)
        assert hub.publish(user, a_batch(2)) is False


def test_streams_opened_together_reach_their_maximum_age_spread_out() -> None:
    watcher = Viewer(a_credential(uuid4()), max_age=100)
    endings = [watcher.compute_end(time.time()) for _ in range(1000)]
    ages = sorted(age for age, _ in endings)
    assert {close for _, close in endings} == {Close.MAX_AGE}
    assert 80 <= ages[0] < 82
    assert 98 < ages[-1] <= 100
    busiest = max(sum(second <= age < second + 1 for age in ages) for second in range(80, 100))
    assert busiest < 100, "a twentieth each second, not all in one"
