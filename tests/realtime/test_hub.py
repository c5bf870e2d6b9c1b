"""The hub and its inboxes: one user's events to that user's readers, within bounds, in order."""

from collections.abc import Sequence
from contextlib import ExitStack
from uuid import UUID, uuid4

import pytest
import trio
import trio.testing
from hypothesis import given
from hypothesis import strategies as st

from relay.errors import Draining, TooManyConnections, Unavailable
from relay.realtime.close_codes import Close
from relay.realtime.encoding import MAX_MESSAGE, Frame, array_frame
from relay.realtime.hub import INBOX_BYTES, INBOX_EVENTS, Hub, Inbox
from tests.realtime.people import EPOCH, a_batch, a_batch_of

ME, YOU = uuid4(), uuid4()


def a_hub(most: int = 100, most_per_user: int = 100, most_per_address: int = 100) -> Hub:
    return Hub(most=most, most_per_user=most_per_user, most_per_address=most_per_address)


@pytest.fixture
def hub() -> Hub:
    return a_hub()


@pytest.fixture
def inbox(hub: Hub, stack: ExitStack) -> Inbox:
    """One reader of mine that has caught up with an empty stream."""
    return caught_up(stack.enter_context(hub.subscribe(ME, uuid4(), "here")))


@pytest.fixture
def stack() -> ExitStack:
    with ExitStack() as stack:
        yield stack


def caught_up(inbox: Inbox) -> Inbox:
    inbox.epoch = EPOCH
    inbox.catch_up()
    inbox.caught_up()
    return inbox


def seqs(frames: Sequence[Frame]) -> list[int]:
    return [frame.seq for frame in frames]


class Wire:
    """A door that writes at once, and can be told to refuse."""

    def __init__(self) -> None:
        self.written: list[int] = []
        self.free = True

    def __call__(self, frames: Sequence[Frame]) -> bool:
        if self.free:
            self.written += seqs(frames)
        return self.free


# -- who gets what


async def test_an_event_reaches_every_reader_of_its_user_and_nobody_else(hub: Hub) -> None:
    with (
        hub.subscribe(ME, uuid4(), "here") as first,
        hub.subscribe(ME, uuid4(), "there") as second,
        hub.subscribe(YOU, uuid4(), "here") as other,
    ):
        for inbox in (first, second, other):
            caught_up(inbox)
        assert (hub.watchers(ME), hub.watchers(YOU), hub.watchers(uuid4())) == (2, 1, 0)
        hub.publish(ME, a_batch(1, 2))
        hub.publish(ME, a_batch(3))
        assert seqs(await first.take()) == [1, 2, 3]
        assert seqs(await second.take()) == [1, 2, 3]
        hub.publish(YOU, a_batch(1))
        assert seqs(await other.take()) == [1]
        assert hub.publish(uuid4(), a_batch(1)) is False  # nobody listens: nothing happens


async def test_what_waits_is_taken_all_at_once_and_in_order(hub: Hub, inbox: Inbox) -> None:
    for seq in range(1, 11):
        hub.publish(ME, a_batch(seq))
    assert seqs(await inbox.take()) == list(range(1, 11))
    async with trio.open_nursery() as nursery:
        taken: list[int] = []

        async def read() -> None:
            taken.extend(seqs(await inbox.take()))

        nursery.start_soon(read)
        await trio.testing.wait_all_tasks_blocked()
        hub.publish(ME, a_batch(11))
    assert taken == [11]


# -- an inbox holds so much and no more


async def test_a_reader_that_is_late_by_an_inbox_is_sent_to_the_journal(
    hub: Hub, inbox: Inbox
) -> None:
    for seq in range(1, INBOX_EVENTS + 1):
        hub.publish(ME, a_batch(seq))
    assert not inbox.behind
    hub.publish(ME, a_batch(INBOX_EVENTS + 1))
    assert inbox.behind
    assert len(await inbox.take()) <= INBOX_EVENTS  # and it wakes


@pytest.mark.parametrize(("count", "behind"), [(INBOX_EVENTS, False), (INBOX_EVENTS + 1, True)])
async def test_a_batch_counts_for_the_events_in_it(
    hub: Hub, inbox: Inbox, count: int, behind: bool
) -> None:
    hub.publish(ME, a_batch(*range(1, count + 1)))
    assert inbox.behind is behind
    assert len(await inbox.take()) == (0 if behind else count)


@pytest.mark.parametrize(("total", "behind"), [(INBOX_BYTES, False), (INBOX_BYTES + 1, True)])
async def test_an_inbox_is_bounded_in_bytes(
    hub: Hub, inbox: Inbox, total: int, behind: bool
) -> None:
    half = total // 2
    hub.publish(ME, a_batch_of(half))
    hub.publish(ME, a_batch_of(total - half, first=3))
    assert inbox.behind is behind
    assert len(await inbox.take()) == (2 if behind else 4)


async def test_what_was_taken_counts_no_more(hub: Hub, inbox: Inbox) -> None:
    for start in range(1, 5 * INBOX_EVENTS, INBOX_EVENTS):
        hub.publish(ME, a_batch(*range(start, start + INBOX_EVENTS)))
        assert len(await inbox.take()) == INBOX_EVENTS
    assert not inbox.behind


async def test_a_reader_on_its_way_to_the_journal_is_offered_nothing(
    hub: Hub, inbox: Inbox
) -> None:
    inbox.fall_behind()
    for seq in range(1, 2 * INBOX_EVENTS):
        assert hub.publish(ME, a_batch(seq)) is False
    assert await inbox.take() == []  # it was woken, and that is all
    inbox.catch_up()
    hub.publish(ME, a_batch(2 * INBOX_EVENTS))
    assert seqs(await inbox.take()) == [2 * INBOX_EVENTS]


async def test_falling_behind_wakes_a_waiting_reader_however_often(inbox: Inbox) -> None:
    woken = 0

    async def read() -> None:
        nonlocal woken
        assert await inbox.take() == []
        woken += 1

    async with trio.open_nursery() as nursery:
        nursery.start_soon(read)
        await trio.testing.wait_all_tasks_blocked()
        for _ in range(3 * INBOX_EVENTS):
            inbox.fall_behind()
    assert (woken, inbox.behind) == (1, True)


# -- past the inbox, straight to the wire


async def resting(nursery: trio.Nursery, inbox: Inbox) -> None:
    """Have somebody wait for what comes."""
    nursery.start_soon(inbox.take)
    await trio.testing.wait_all_tasks_blocked()


async def test_an_event_goes_straight_to_a_reader_at_rest(hub: Hub, inbox: Inbox) -> None:
    wire = inbox.direct = Wire()
    async with trio.open_nursery() as nursery:
        await resting(nursery, inbox)
        assert hub.publish(ME, a_batch(1)) is True
        assert hub.publish(ME, a_batch(2, 3)) is True
        assert (wire.written, inbox.position) == ([1, 2, 3], 3)
        nursery.cancel_scope.cancel()


async def test_nothing_overtakes_what_a_busy_reader_is_about_to_write(
    hub: Hub, inbox: Inbox
) -> None:
    wire = inbox.direct = Wire()
    assert hub.publish(ME, a_batch(1)) is False  # nobody waits: the reader is busy
    assert seqs(await inbox.take()) == [1]
    assert hub.publish(ME, a_batch(2)) is False  # it writes 1 now
    assert wire.written == []
    inbox.position = 1
    assert seqs(await inbox.take()) == [2]


async def test_nothing_overtakes_what_woke_a_reader_that_did_not_run_yet(
    hub: Hub, inbox: Inbox
) -> None:
    wire = inbox.direct = Wire()
    wire.free = False
    async with trio.open_nursery() as nursery:
        await resting(nursery, inbox)
        assert hub.publish(ME, a_batch(1)) is False  # queued, and the reader is scheduled
        wire.free = True
        assert hub.publish(ME, a_batch(2)) is False
    assert wire.written == []


@pytest.mark.parametrize(
    ("batch", "straight"),
    [
        (a_batch(1), True),
        (a_batch(2), False),  # a hole: the journal has what is missing
        (a_batch(1, epoch="f" * 20), False),  # the numbering began anew
        (a_batch_of(MAX_MESSAGE - 3), True),  # two events, a comma and two brackets
        (a_batch_of(MAX_MESSAGE - 2), False),  # more than one message may hold
        (a_batch_of(MAX_MESSAGE), False),
    ],
    ids=["next", "hole", "epoch", "fits", "too large by one", "too large"],
)
async def test_only_what_is_next_and_fits_goes_straight(
    hub: Hub, inbox: Inbox, batch: list[Frame], straight: bool
) -> None:
    wire = inbox.direct = Wire()
    async with trio.open_nursery() as nursery:
        await resting(nursery, inbox)
        assert hub.publish(ME, batch) is straight
        assert wire.written == (seqs(batch) if straight else [])
        if straight and len(batch) > 1:
            assert len(array_frame(batch)) - 10 <= MAX_MESSAGE
        nursery.cancel_scope.cancel()


async def test_a_full_wire_loses_nothing(hub: Hub, inbox: Inbox) -> None:
    wire = inbox.direct = Wire()
    wire.free = False
    taken: list[int] = []

    async def read() -> None:
        taken.extend(seqs(await inbox.take()))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(read)
        await trio.testing.wait_all_tasks_blocked()
        assert hub.publish(ME, a_batch(1)) is False
    assert (taken, inbox.position) == ([1], 0)


async def test_a_door_that_cannot_write_at_once_gets_its_events_all_the_same(
    hub: Hub, inbox: Inbox
) -> None:
    assert inbox.direct is None
    hub.publish(ME, a_batch(1))
    assert seqs(await inbox.take()) == [1]


# -- commits here and news of commits elsewhere are not in step


@pytest.mark.parametrize(
    ("offers", "waits"),
    [
        ([[1, 2], [1, 2]], [1, 2]),
        ([[1, 2], [2, 3]], [1, 2, 3]),
        ([[1, 2, 3], [2]], [1, 2, 3]),
        ([[1], [3], [2]], None),  # a hole: the journal has all of it, in order
        ([[1], [3], [2], [4]], None),
        ([[1], [1, 2], [2, 3], [1, 2, 3, 4]], [1, 2, 3, 4]),
    ],
)
async def test_what_is_offered_out_of_step_waits_in_order_and_once(
    hub: Hub, inbox: Inbox, offers: list[list[int]], waits: list[int] | None
) -> None:
    for offer in offers:
        hub.publish(ME, a_batch(*offer))
    assert inbox.behind is (waits is None)
    if waits is not None:
        assert seqs(await inbox.take()) == waits


@given(
    steps=st.lists(
        st.one_of(st.tuples(st.integers(1, 6), st.integers(0, 2)), st.just("write")), max_size=20
    )
)
async def test_whatever_is_offered_is_written_in_order_and_once_or_left_to_the_journal(
    steps: list[tuple[int, int] | str],
) -> None:
    with a_hub().subscribe(ME, uuid4(), "here") as inbox:
        caught_up(inbox)
        for step in [*steps, "write"]:
            if step != "write":
                first, more = step
                inbox.offer(a_batch(*range(first, first + 1 + int(more))), 10)
            elif not inbox.behind and inbox.heard > inbox.position:
                for seq in seqs(await inbox.take()):
                    if seq > inbox.position:  # as the connection does: written before
                        assert seq == inbox.position + 1 or inbox.position == 0
                        inbox.position = seq


async def test_what_was_written_is_not_offered_again(hub: Hub, inbox: Inbox) -> None:
    wire = inbox.direct = Wire()
    async with trio.open_nursery() as nursery:
        await resting(nursery, inbox)
        hub.publish(ME, a_batch(1, 2))
        hub.publish(ME, a_batch(1))
        assert hub.publish(ME, a_batch(2, 3)) is True
        assert (wire.written, inbox.position) == ([1, 2, 3], 3)
        nursery.cancel_scope.cancel()


async def test_while_the_journal_is_read_an_offer_may_begin_anywhere(
    hub: Hub, inbox: Inbox
) -> None:
    hub.publish(ME, a_batch(1))
    inbox.fall_behind()
    inbox.catch_up()  # and now it reads: who knows how far
    hub.publish(ME, a_batch(7))
    hub.publish(ME, a_batch(8))
    assert not inbox.behind
    assert seqs(await inbox.take()) == [7, 8]
    inbox.catch_up()
    hub.publish(ME, a_batch(9))
    hub.publish(ME, a_batch(11))
    assert inbox.behind


async def test_a_user_is_told_as_far_as_the_last_of_its_readers(hub: Hub) -> None:
    assert hub.told(ME) is None
    with (
        hub.subscribe(ME, uuid4(), "here") as quick,
        hub.subscribe(ME, uuid4(), "here") as late,
        hub.subscribe(ME, uuid4(), "here") as lost,
    ):
        assert hub.told(ME) is None  # all of them are about to read
        for inbox in (quick, late):
            caught_up(inbox)
        assert hub.told(ME) == 0
        quick.position = 7
        assert hub.told(ME) == 0
        late.offer(a_batch(1, 2), 10)
        assert hub.told(ME) == 2
        assert lost.behind
        assert (hub.counts(), hub.told(YOU)) == ({ME: 3}, None)


# -- what was never announced


async def test_a_recheck_wakes_only_readers_that_have_not_heard_of_it(hub: Hub) -> None:
    with (
        hub.subscribe(ME, uuid4(), "here") as written,
        hub.subscribe(ME, uuid4(), "here") as waiting,
        hub.subscribe(ME, uuid4(), "here") as missed,
        hub.subscribe(YOU, uuid4(), "here") as other,
    ):
        for inbox in (written, waiting, missed, other):
            caught_up(inbox)
        written.position = 5
        waiting.offer(a_batch(4, 5), 10)
        missed.position = 4
        hub.recheck(ME, 5)
        assert [one.behind for one in (written, waiting, missed, other)] == [False] * 2 + [
            True,
            False,
        ]
        hub.recheck(ME)  # a commit whose outcome is not known: everybody looks
        assert [one.behind for one in (written, waiting, missed, other)] == [True] * 3 + [False]


# -- ends


async def test_a_revoke_ends_what_its_credential_opened_and_nothing_else(hub: Hub) -> None:
    stolen, kept = uuid4(), uuid4()
    with (
        hub.subscribe(ME, stolen, "here") as first,
        hub.subscribe(ME, stolen, "there") as second,
        hub.subscribe(ME, kept, "here") as mine,
        hub.subscribe(YOU, uuid4(), "here") as other,
    ):
        lives = [trio.CancelScope() for _ in range(4)]
        for inbox, life in zip((first, mine, other), lives[1:], strict=True):
            inbox.live_in(life)
        hub.end_credential(stolen)
        hub.end_credential(uuid4())
        second.live_in(lives[0])  # its end came before its life
        assert [one.closing for one in (first, second)] == [Close.REVOKED] * 2
        assert [one.closing for one in (mine, other)] == [None] * 2
        assert [life.cancel_called for life in lives] == [True, True, False, False]


def test_the_first_reason_to_end_stands(inbox: Inbox) -> None:
    inbox.end(Close.IDLE)
    inbox.end(Close.RESTART)
    assert inbox.closing is Close.IDLE


async def test_a_drain_lists_everybody_admits_nobody_and_knows_when_the_last_is_gone(
    hub: Hub,
) -> None:
    with hub.subscribe(ME, uuid4(), "here") as mine:
        with hub.subscribe(YOU, uuid4(), "here") as yours:
            assert set(hub.drain()) == {mine, yours}
            with pytest.raises(Draining), hub.subscribe(ME, uuid4(), "here"):
                pass
        assert not hub.drained.is_set()
    assert hub.drained.is_set()


async def test_a_drain_of_an_empty_house_is_over_at_once(hub: Hub) -> None:
    assert hub.drain() == []
    assert hub.drained.is_set()


# -- bounds


@pytest.mark.parametrize(
    ("bounds", "same_user", "same_address", "refusal"),
    [
        ((3, 100, 100), False, False, Unavailable),
        ((100, 3, 100), True, False, TooManyConnections),
        ((100, 100, 3), False, True, TooManyConnections),
    ],
    ids=["process", "user", "address"],
)
def test_a_bound_is_exact_and_who_leaves_makes_room(
    bounds: tuple[int, int, int],
    same_user: bool,
    same_address: bool,
    refusal: type[Exception],
    stack: ExitStack,
) -> None:
    hub = a_hub(*bounds)

    def user() -> UUID:
        return ME if same_user else uuid4()

    def address() -> str:
        return "here" if same_address else str(uuid4())

    for _ in range(2):
        stack.enter_context(hub.subscribe(user(), uuid4(), address()))
    for _ in range(3):  # the third place is given again and again
        with hub.subscribe(user(), uuid4(), address()):
            assert hub.count == 3
            with pytest.raises(refusal):
                hub.admit(user(), address())
            with pytest.raises(refusal), hub.subscribe(user(), uuid4(), address()):
                pass
            assert hub.count == 3
    assert hub.count == 2


def test_one_user_or_address_at_its_bound_does_not_close_the_door_to_others() -> None:
    hub = a_hub(most_per_user=1, most_per_address=2)
    with hub.subscribe(ME, uuid4(), "here"), hub.subscribe(YOU, uuid4(), "here"):
        with pytest.raises(TooManyConnections):
            hub.admit(ME, "there")
        with pytest.raises(TooManyConnections):
            hub.admit(uuid4(), "here")
        hub.admit(uuid4(), "there")


def everything_in(hub: Hub) -> list[object]:
    """Whatever a hub remembers of its streams."""
    return [*hub._by_user, *hub._by_credential, *hub._by_address]


@pytest.mark.parametrize("how", ["return", "error", "cancelled"])
async def test_a_stream_leaves_nothing_behind_however_it_ends(hub: Hub, how: str) -> None:
    async def stream() -> None:
        with hub.subscribe(ME, uuid4(), "here") as inbox:
            caught_up(inbox)
            hub.publish(ME, a_batch(1))
            if how == "error":
                raise LookupError
            if how == "cancelled":
                await inbox.take()
                scope.cancel()
                await inbox.take()

    with trio.CancelScope() as scope:
        if how == "error":
            with pytest.raises(LookupError):
                await stream()
        else:
            await stream()
    assert scope.cancelled_caught is (how == "cancelled")
    assert (hub.count, everything_in(hub)) == (0, [])
    assert hub.publish(ME, a_batch(2)) is False
    hub.recheck(ME, 3)


async def test_a_reader_cancelled_at_rest_is_passed_by_no_more(hub: Hub, inbox: Inbox) -> None:
    wire = inbox.direct = Wire()
    async with trio.open_nursery() as nursery:
        await resting(nursery, inbox)
        nursery.cancel_scope.cancel()
    assert hub.publish(ME, a_batch(1)) is False
    assert wire.written == []
