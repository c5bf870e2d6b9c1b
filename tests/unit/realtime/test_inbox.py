"""A reader's inbox: events in order, once, without a gap, within bounds; else from the journal."""

import functools
import weakref
from collections.abc import Awaitable, Callable, Sequence
from uuid import uuid4

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import wait_all_tasks_blocked

from relay.realtime.close_codes import Close
from relay.realtime.encoding import MAX_MESSAGE_BYTES, EncodedEvent, array_frame
from relay.realtime.inbox import INBOX_BYTES, INBOX_EVENTS, Inbox
from relay.realtime.inbox_states import TRANSITIONS, InboxState, Trigger
from tests.support.hub_events import EPOCH, a_batch, a_batch_of, live

OTHER_EPOCH = "f" * 20


@pytest.fixture
def inbox() -> Inbox:
    """That of a live reader of an empty stream."""
    return live(Inbox(uuid4()))


def seqs(frames: Sequence[EncodedEvent]) -> list[int]:
    return [frame.seq for frame in frames]


def offer(inbox: Inbox, frames: Sequence[EncodedEvent]) -> bool:
    return inbox.offer(frames, sum(frame.size for frame in frames))


async def take(inbox: Inbox) -> list[int]:
    return seqs(await inbox.take())


async def resting(nursery: trio.Nursery, inbox: Inbox) -> list[int]:
    """Have a task wait for what comes; returns a list that will hold it."""
    taken: list[int] = []

    async def read() -> None:
        taken.extend(await take(inbox))

    nursery.start_soon(read)
    await wait_all_tasks_blocked()
    assert inbox.state is InboxState.RESTING
    return taken


class Wire:
    """A direct write that can be set to refuse."""

    def __init__(self) -> None:
        self.written: list[int] = []
        self.free = True

    def __call__(self, frames: Sequence[EncodedEvent]) -> bool:
        if self.free:
            self.written += seqs(frames)
        return self.free


@pytest.fixture
def wire(inbox: Inbox) -> Wire:
    wire = Wire()
    inbox.use_direct_write(wire)
    return wire


# -- states


ACTS: dict[Trigger, Callable[[Inbox], None]] = {
    Trigger.START_LIVE: lambda inbox: inbox.start(EPOCH, 1, 1),
    Trigger.START_EARLIER: lambda inbox: inbox.start(EPOCH, 1, 2),
    Trigger.MISS: Inbox.fall_behind,
    Trigger.READ: Inbox.begin_read,
    Trigger.CATCH_UP: Inbox.finish_read,
    Trigger.END: lambda inbox: inbox.end(Close.IDLE),
}
WAYS: dict[InboxState, list[Trigger]] = {
    InboxState.STARTING: [],
    InboxState.BEHIND: [Trigger.START_EARLIER],
    InboxState.READING: [Trigger.START_EARLIER, Trigger.READ],
    InboxState.BUSY: [Trigger.START_LIVE],
    InboxState.RESTING: [Trigger.START_LIVE, Trigger.REST],
    InboxState.ENDED: [Trigger.END],
}


async def in_state(nursery: trio.Nursery, state: InboxState) -> Inbox:
    inbox = Inbox(uuid4())
    for trigger in WAYS[state]:
        if trigger is Trigger.REST:
            await resting(nursery, inbox)
        else:
            ACTS[trigger](inbox)
    assert inbox.state is state
    return inbox


@pytest.mark.parametrize("trigger", ACTS)
@pytest.mark.parametrize("state", InboxState)
async def test_every_trigger_follows_the_transition_table_or_raises(
    nursery: trio.Nursery, state: InboxState, trigger: Trigger
) -> None:
    inbox = await in_state(nursery, state)
    if trigger in TRANSITIONS[state]:
        ACTS[trigger](inbox)
        assert inbox.state is TRANSITIONS[state][trigger]
    else:
        before = (inbox.epoch, inbox.position, inbox.offered_seq)
        with pytest.raises(RuntimeError, match=f"that is {state} cannot {trigger}"):
            ACTS[trigger](inbox)
        assert (inbox.epoch, inbox.position, inbox.offered_seq) == before
        assert inbox.state is state
    nursery.cancel_scope.cancel()


@pytest.mark.parametrize("state", [InboxState.STARTING, InboxState.READING, InboxState.RESTING])
async def test_only_one_live_reader_may_wait(nursery: trio.Nursery, state: InboxState) -> None:
    inbox = await in_state(nursery, state)
    with pytest.raises(RuntimeError, match=f"that is {state} cannot rest"):
        await inbox.take()
    nursery.cancel_scope.cancel()


async def test_a_reader_waits_until_an_event_or_its_deadline(
    nursery: trio.Nursery, inbox: Inbox
) -> None:
    assert inbox.state is InboxState.BUSY
    taken = await resting(nursery, inbox)
    offer(inbox, a_batch(1))
    assert (inbox.state, taken) == (InboxState.BUSY, [])  # woken, and did not run yet
    await wait_all_tasks_blocked()
    assert (inbox.state, taken) == (InboxState.BUSY, [1])
    with trio.CancelScope() as scope:
        scope.cancel()
        await inbox.take()
    assert (scope.cancelled_caught, inbox.state) == (True, InboxState.BUSY)


def test_every_state_is_reachable_and_only_the_journal_leads_back_to_live() -> None:
    reached, found = {InboxState.STARTING}, [InboxState.STARTING]
    while found:
        new = set(TRANSITIONS[found.pop()].values()) - reached
        reached |= new
        found += new
    assert reached == set(TRANSITIONS) == set(InboxState)
    assert set(TRANSITIONS[InboxState.ENDED].values()) == {InboxState.ENDED}
    for state in set(InboxState) - {InboxState.ENDED}:
        assert TRANSITIONS[state][Trigger.END] is InboxState.ENDED
        assert TRANSITIONS[state][Trigger.MISS] is InboxState.BEHIND
    assert set(TRANSITIONS[InboxState.BEHIND].values()) == {
        InboxState.BEHIND,
        InboxState.READING,
        InboxState.ENDED,
    }
    ways_to_rest = [
        before for before, row in TRANSITIONS.items() if InboxState.RESTING in row.values()
    ]
    assert ways_to_rest == [InboxState.BUSY]


@pytest.mark.parametrize("name", [name for name in dir(Inbox) if name[0] != "_"])
def test_nothing_is_written_from_outside(inbox: Inbox, name: str) -> None:
    with pytest.raises(AttributeError):
        setattr(inbox, name, None)


# -- what waits


async def test_queued_events_are_taken_all_at_once_in_order(
    nursery: trio.Nursery, inbox: Inbox
) -> None:
    for seq in range(1, 11):
        offer(inbox, a_batch(seq))
    assert await take(inbox) == list(range(1, 11))
    taken = await resting(nursery, inbox)
    offer(inbox, a_batch(11))
    await wait_all_tasks_blocked()
    assert taken == [11]


async def test_a_reader_with_a_full_inbox_is_sent_to_the_journal(inbox: Inbox) -> None:
    for seq in range(1, INBOX_EVENTS + 1):
        offer(inbox, a_batch(seq))
    assert inbox.live
    offer(inbox, a_batch(INBOX_EVENTS + 1))
    assert inbox.behind
    assert await take(inbox) == []  # it does not wait; the journal has them


@pytest.mark.parametrize(("count", "behind"), [(INBOX_EVENTS, False), (INBOX_EVENTS + 1, True)])
@pytest.mark.parametrize("rests", [False, True])
async def test_a_batch_counts_for_the_events_in_it(
    nursery: trio.Nursery, inbox: Inbox, count: int, behind: bool, rests: bool
) -> None:
    taken = await resting(nursery, inbox) if rests else []
    offer(inbox, a_batch(*range(1, count + 1)))
    assert inbox.behind is behind
    if not rests:
        taken = await take(inbox)
    await wait_all_tasks_blocked()
    assert len(taken) == (0 if behind else count)


@pytest.mark.parametrize(("total", "behind"), [(INBOX_BYTES, False), (INBOX_BYTES + 1, True)])
async def test_an_inbox_is_bounded_in_bytes(inbox: Inbox, total: int, behind: bool) -> None:
    half = total // 2
    offer(inbox, a_batch_of(half))
    offer(inbox, a_batch_of(total - half, first=3))
    assert inbox.behind is behind
    assert len(await take(inbox)) == (0 if behind else 4)


async def test_taken_events_free_the_bound(inbox: Inbox) -> None:
    for start in range(1, 5 * INBOX_EVENTS, INBOX_EVENTS):
        offer(inbox, a_batch(*range(start, start + INBOX_EVENTS)))
        assert len(await take(inbox)) == INBOX_EVENTS
    for _ in range(3):
        offer(inbox, a_batch_of(INBOX_BYTES, first=inbox.offered_seq + 1))
        assert len(await take(inbox)) == 2
    assert inbox.live


async def test_events_on_the_next_page_free_the_bound(inbox: Inbox) -> None:
    inbox.fall_behind()
    for start in range(1, 5 * INBOX_EVENTS, INBOX_EVENTS):
        inbox.begin_read()
        offer(inbox, a_batch(*range(start, start + INBOX_EVENTS)))
        assert inbox.state is InboxState.READING
        inbox.advance(start)
    inbox.finish_read()
    assert len(await take(inbox)) == INBOX_EVENTS - 1


async def test_a_reader_on_its_way_to_the_journal_is_offered_nothing(inbox: Inbox) -> None:
    inbox.fall_behind()
    for seq in range(1, 2 * INBOX_EVENTS):
        assert offer(inbox, a_batch(seq)) is False
    assert await take(inbox) == []
    inbox.begin_read()
    inbox.advance(2 * INBOX_EVENTS - 1)
    offer(inbox, a_batch(2 * INBOX_EVENTS))
    inbox.finish_read()
    assert await take(inbox) == [2 * INBOX_EVENTS]


async def test_falling_behind_wakes_a_waiting_reader_once_however_often(
    nursery: trio.Nursery, inbox: Inbox
) -> None:
    taken = await resting(nursery, inbox)
    offer(inbox, a_batch(1))
    for _ in range(3 * INBOX_EVENTS):
        inbox.fall_behind()
    await wait_all_tasks_blocked()
    assert (taken, inbox.behind) == ([], True)  # what it was woken for is in the journal, too


# -- past the queue, straight to the wire


async def test_an_event_is_written_directly_to_a_waiting_reader(
    nursery: trio.Nursery, inbox: Inbox, wire: Wire
) -> None:
    await resting(nursery, inbox)
    assert offer(inbox, a_batch(1)) is True
    assert offer(inbox, a_batch(2, 3)) is True
    assert (wire.written, inbox.position, inbox.state) == ([1, 2, 3], 3, InboxState.RESTING)
    nursery.cancel_scope.cancel()


async def test_no_event_overtakes_a_busy_readers_pending_write(inbox: Inbox, wire: Wire) -> None:
    assert offer(inbox, a_batch(1)) is False  # it does not wait: it is busy
    assert await take(inbox) == [1]
    assert offer(inbox, a_batch(2)) is False  # it writes 1 now
    assert wire.written == []
    inbox.advance(1)
    assert await take(inbox) == [2]


async def test_no_event_overtakes_those_of_a_woken_reader(
    nursery: trio.Nursery, inbox: Inbox, wire: Wire
) -> None:
    wire.free = False
    taken = await resting(nursery, inbox)
    assert offer(inbox, a_batch(1)) is False  # queued, and the reader is scheduled
    wire.free = True
    assert offer(inbox, a_batch(2)) is False
    await wait_all_tasks_blocked()
    assert (wire.written, taken) == ([], [1, 2])


@pytest.mark.parametrize(
    ("batch", "straight", "state"),
    [
        (a_batch(1), True, InboxState.RESTING),
        (a_batch(2), False, InboxState.BEHIND),  # a hole: the journal has what is missing
        (a_batch(1, epoch=OTHER_EPOCH), False, InboxState.ENDED),  # the numbering began anew
        (
            a_batch_of(MAX_MESSAGE_BYTES - 3),
            True,
            InboxState.RESTING,
        ),  # two events, a comma, two brackets
        (
            a_batch_of(MAX_MESSAGE_BYTES - 2),
            False,
            InboxState.BUSY,
        ),  # more than one message may hold
        (a_batch_of(MAX_MESSAGE_BYTES), False, InboxState.BUSY),
    ],
    ids=["next", "hole", "epoch", "fits", "too large by one", "too large"],
)
async def test_only_the_next_event_that_fits_is_written_directly(
    nursery: trio.Nursery,
    inbox: Inbox,
    wire: Wire,
    batch: list[EncodedEvent],
    straight: bool,
    state: InboxState,
) -> None:
    await resting(nursery, inbox)
    assert offer(inbox, batch) is straight
    assert (wire.written, inbox.state) == (seqs(batch) if straight else [], state)
    if straight and len(batch) > 1:
        assert len(array_frame([frame.json for frame in batch])) - 10 <= MAX_MESSAGE_BYTES
    nursery.cancel_scope.cancel()


async def test_a_full_socket_loses_no_event(
    nursery: trio.Nursery, inbox: Inbox, wire: Wire
) -> None:
    wire.free = False
    taken = await resting(nursery, inbox)
    assert offer(inbox, a_batch(1)) is False
    await wait_all_tasks_blocked()
    assert (taken, inbox.position) == ([1], 0)


async def test_a_transport_without_direct_writes_gets_every_event(
    nursery: trio.Nursery, inbox: Inbox
) -> None:
    taken = await resting(nursery, inbox)
    offer(inbox, a_batch(1))
    await wait_all_tasks_blocked()
    assert taken == [1]


async def test_a_reader_cancelled_while_waiting_gets_no_direct_write(
    inbox: Inbox, wire: Wire
) -> None:
    async with trio.open_nursery() as nursery:
        await resting(nursery, inbox)
        nursery.cancel_scope.cancel()
    assert offer(inbox, a_batch(1)) is False
    assert wire.written == []


# -- commits here and news of commits elsewhere are not in step


@pytest.mark.parametrize(
    ("offers", "waits"),
    [
        ([[1, 2], [1, 2]], [1, 2]),
        ([[1, 2], [2, 3]], [1, 2, 3]),
        ([[1, 2, 3], [2]], [1, 2, 3]),
        ([[2]], None),  # a hole: the journal has all of it, in order
        ([[1], [3], [2]], None),
        ([[1], [3], [2], [4]], None),
        ([[1], [1, 2], [2, 3], [1, 2, 3, 4]], [1, 2, 3, 4]),
    ],
)
async def test_events_offered_out_of_order_are_queued_in_order_once(
    inbox: Inbox, offers: list[list[int]], waits: list[int] | None
) -> None:
    for batch in offers:
        offer(inbox, a_batch(*batch))
    assert inbox.behind is (waits is None)
    if waits is not None:
        assert await take(inbox) == waits


async def test_a_written_event_is_not_offered_again(
    nursery: trio.Nursery, inbox: Inbox, wire: Wire
) -> None:
    await resting(nursery, inbox)
    offer(inbox, a_batch(1, 2))
    assert offer(inbox, a_batch(1)) is False
    assert offer(inbox, a_batch(2, 3)) is True
    assert (wire.written, inbox.position) == ([1, 2, 3], 3)
    nursery.cancel_scope.cancel()


# -- the journal


@pytest.mark.parametrize("offered", [[], [6, 7]], ids=["nothing", "something"])
@pytest.mark.parametrize("last", [5, 7])
async def test_a_start_is_live_if_no_event_follows_it(offered: list[int], last: int) -> None:
    inbox = Inbox(uuid4())
    if offered:
        offer(inbox, a_batch(*offered))
    inbox.start(EPOCH, 5, last)
    assert inbox.live is (not offered and last == 5)
    assert inbox.behind is not inbox.live
    assert (inbox.epoch, inbox.position) == (EPOCH, 5)


@pytest.mark.parametrize(
    ("read_up_to", "waits"),
    [(5, None), (6, [7, 8]), (7, [8]), (8, []), (9, [])],
    ids=["a hole", "next", "overlap", "all of it", "more than it"],
)
async def test_events_offered_during_a_journal_read_continue_after_it(
    inbox: Inbox, read_up_to: int, waits: list[int] | None
) -> None:
    inbox.fall_behind()
    inbox.begin_read()  # and now it reads: what comes may begin anywhere
    offer(inbox, a_batch(7))
    offer(inbox, a_batch(8))
    assert inbox.state is InboxState.READING
    inbox.advance(read_up_to)
    inbox.finish_read()
    assert inbox.behind is (waits is None)
    if waits:
        assert await take(inbox) == waits
    offer(inbox, a_batch(max(8, read_up_to) + 1))
    assert inbox.behind is (waits is None)


async def test_a_gap_during_a_journal_read_repeats_the_read(inbox: Inbox) -> None:
    inbox.fall_behind()
    inbox.begin_read()
    offer(inbox, a_batch(9))
    offer(inbox, a_batch(11))
    inbox.advance(10)
    inbox.finish_read()
    assert inbox.behind
    inbox.begin_read()
    inbox.advance(11)
    inbox.finish_read()
    assert inbox.live


# -- ends


def test_an_ended_inbox_releases_its_socket(inbox: Inbox) -> None:
    wire = Wire()
    inbox.use_direct_write(wire)
    left = weakref.ref(wire)
    del wire
    assert left() is not None
    inbox.end(Close.IDLE)
    assert left() is None


def test_the_first_close_reason_is_kept(inbox: Inbox) -> None:
    assert inbox.closing is None
    inbox.end(Close.IDLE)
    inbox.end(Close.RESTART)
    assert inbox.closing is Close.IDLE


async def test_no_event_reaches_a_reader_ended_while_waiting(
    nursery: trio.Nursery, inbox: Inbox, wire: Wire
) -> None:
    with trio.CancelScope() as life:
        inbox.bind_scope(life)

        async def end() -> None:
            inbox.end(Close.REVOKED)
            assert offer(inbox, a_batch(1)) is False  # before the reader ran
            inbox.use_direct_write(wire)

        nursery.start_soon(end)
        await inbox.take()
    assert life.cancelled_caught
    assert offer(inbox, a_batch(1)) is False
    assert (wire.written, inbox.position, inbox.state) == ([], 0, InboxState.ENDED)


async def test_a_reader_that_was_woken_and_then_ended_runs_into_its_end(inbox: Inbox) -> None:
    with trio.CancelScope() as life:
        inbox.bind_scope(life)
        offer(inbox, a_batch(1))
        inbox.end(Close.REVOKED)
        await inbox.take()
        raise AssertionError("it would go on for ever")
    assert life.cancelled_caught


@pytest.mark.parametrize("state", [InboxState.READING, InboxState.BUSY, InboxState.RESTING])
async def test_an_event_of_another_epoch_ends_the_stream(
    nursery: trio.Nursery, state: InboxState
) -> None:
    inbox = await in_state(nursery, state)
    offer(inbox, a_batch(2, epoch=OTHER_EPOCH))
    assert inbox.closing is Close.RESTART  # the client's cursor will tell
    nursery.cancel_scope.cancel()


# -- all of it, against a model


class Model:
    """One user's stream as a number, and a reader that does a step at a time what
    `connection.py` does."""

    def __init__(self, nursery: trio.Nursery) -> None:
        self.inbox = Inbox(uuid4())
        self.nursery = nursery
        self.stored = 0
        self.written = Wire()
        self.page: tuple[int, int] | None = None  # read, not written: its last seq, the stream's
        self.taken: list[int] | None = None
        self.wait: trio.CancelScope | None = None

    async def commit(self, count: int, offered: bool) -> None:
        first = self.stored + 1
        self.stored += count
        if offered:
            self._offer(first, count)

    async def offer_again(self, back: int, count: int) -> None:
        first = max(1, self.stored - back)
        self._offer(first, min(count, self.stored + 1 - first))

    def _offer(self, first: int, count: int) -> None:
        if count > 0:
            offer(self.inbox, a_batch(*range(first, first + count)))

    async def recheck(self) -> None:
        if self.inbox.offered_seq < self.stored:
            self.inbox.fall_behind()

    async def turn_the_wire(self) -> None:
        self.written.free = not self.written.free

    async def tire_of_waiting(self) -> None:
        if self.wait is not None:
            self.wait.cancel()
            await wait_all_tasks_blocked()

    async def end(self) -> None:
        self.inbox.end(Close.IDLE)
        written = list(self.written.written)
        await self.commit(1, True)
        assert self.written.written == written

    async def step(self) -> None:
        """Whatever the reader does next."""
        inbox = self.inbox
        if inbox.state is InboxState.ENDED or self.wait is not None:
            return
        if not inbox.epoch:
            inbox.start(EPOCH, 0, self.stored)
            inbox.use_direct_write(self.written)
        elif self.page is not None:
            last, stored = self.page
            self._write(range(inbox.position + 1, last + 1))
            self.page = None
            if last == stored:
                inbox.finish_read()
        elif self.taken is not None:
            self._write(self.taken)
            self.taken = None
        elif not inbox.live:
            inbox.begin_read()
            self.page = min(self.stored, inbox.position + 100), self.stored
        else:
            self.nursery.start_soon(self._take)
            await wait_all_tasks_blocked()

    def _write(self, events: Sequence[int]) -> None:
        self.written.written += events
        if events:
            self.inbox.advance(events[-1])

    async def _take(self) -> None:
        with trio.CancelScope() as self.wait:
            self.taken = await take(self.inbox) or None
        self.wait = None

    async def check(self) -> None:
        await wait_all_tasks_blocked()
        assert self.written.written == list(range(1, self.inbox.position + 1))
        if self.inbox.state is InboxState.RESTING:
            assert self.inbox.position == self.inbox.offered_seq
            assert self.wait is not None
        if self.inbox.state is InboxState.BUSY:
            assert self.inbox.offered_seq <= self.stored


counts = st.sampled_from([1, 1, 2, 3, INBOX_EVENTS, INBOX_EVENTS + 1])
steps = st.one_of(
    st.builds(functools.partial, st.just(Model.commit), count=counts, offered=st.booleans()),
    st.builds(functools.partial, st.just(Model.offer_again), back=st.integers(0, 5), count=counts),
    st.sampled_from([Model.recheck, Model.turn_the_wire, Model.tire_of_waiting]),
    st.sampled_from([Model.step] * 3),
    st.sampled_from([Model.step] * 9 + [Model.end]),
)


@given(st.lists(steps, max_size=40))
async def test_any_interleaving_delivers_every_event_once_in_order(
    steps: list[Callable[[Model], Awaitable[None]]],
) -> None:
    async with trio.open_nursery() as nursery:
        model = Model(nursery)
        for step in steps:
            await step(model)
            await model.check()
        if model.inbox.closing is None:
            if model.inbox.epoch:
                await model.recheck()
                await model.check()  # a reader that waited has run
            while model.wait is None:
                await model.step()
                await model.check()
            assert model.inbox.position == model.stored
        nursery.cancel_scope.cancel()
