"""The hub: one user's events to that user's readers and no others, within bounds."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from uuid import UUID, uuid4

import pytest
import trio

from relay.errors import Draining, TooManyConnections, Unavailable
from relay.realtime.close_codes import Close
from relay.realtime.encoding import EncodedEvent
from relay.realtime.hub import Hub
from relay.realtime.inbox_states import InboxState
from relay.realtime.wait import Wait
from tests.support.hub_events import EPOCH, a_batch, a_hub, live
from tests.support.inboxes import offer

ME, YOU = uuid4(), uuid4()


@pytest.fixture
def hub() -> Hub:
    return a_hub()


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def seqs(frames: Sequence[EncodedEvent]) -> list[int]:
    return [frame.seq for frame in frames]


# -- which reader gets what


async def test_an_event_reaches_all_readers_of_its_user_and_no_others(hub: Hub) -> None:
    with (
        hub.subscribe(ME, uuid4(), "here") as first,
        hub.subscribe(ME, uuid4(), "there") as second,
        hub.subscribe(YOU, uuid4(), "here") as other,
    ):
        for inbox in (first, second, other):
            live(inbox)
        assert (hub.watchers(ME), hub.watchers(YOU), hub.watchers(uuid4())) == (2, 1, 0)
        hub.publish(ME, a_batch(1, 2))
        hub.publish(ME, a_batch(3))
        assert seqs(await first.take()) == [1, 2, 3]
        assert seqs(await second.take()) == [1, 2, 3]
        hub.publish(YOU, a_batch(1))
        assert seqs(await other.take()) == [1]
        assert hub.publish(uuid4(), a_batch(1)) is False  # without a reader nothing happens


async def test_the_least_seq_offered_is_that_of_the_last_of_the_live_readers(hub: Hub) -> None:
    assert hub.min_offered_seq(ME) is None
    with (
        hub.subscribe(ME, uuid4(), "here") as quick,
        hub.subscribe(ME, uuid4(), "here") as late,
        hub.subscribe(ME, uuid4(), "here") as starting,
        hub.subscribe(ME, uuid4(), "here") as reading,
        hub.subscribe(ME, uuid4(), "here") as ended,
    ):
        assert hub.min_offered_seq(ME) is None  # all of them start
        reading.start(EPOCH, 0, 1)
        reading.begin_read()
        live(ended).end(Close.REVOKED)
        assert hub.min_offered_seq(ME) is None
        live(quick, 7)
        assert hub.min_offered_seq(ME) == 7
        live(late)
        assert hub.min_offered_seq(ME) == 0
        offer(late, a_batch(1, 2))
        assert hub.min_offered_seq(ME) == 2  # it waits there
        assert starting.state is InboxState.STARTING
        assert (hub.counts(), hub.min_offered_seq(YOU)) == ({ME: 5}, None)


# -- what was never announced


async def test_a_recheck_wakes_only_readers_behind_it(hub: Hub) -> None:
    with (
        hub.subscribe(ME, uuid4(), "here") as written,
        hub.subscribe(ME, uuid4(), "here") as waiting,
        hub.subscribe(ME, uuid4(), "here") as missed,
        hub.subscribe(YOU, uuid4(), "here") as other,
    ):
        live(written, 5)
        offer(live(waiting, 3), a_batch(4, 5))
        live(missed, 4)
        live(other)
        hub.recheck(ME, 5)
        assert [one.behind for one in (written, waiting, missed, other)] == [False] * 2 + [
            True,
            False,
        ]
        hub.recheck(ME)  # a commit whose outcome is not known: everybody looks
        assert [one.behind for one in (written, waiting, missed, other)] == [True] * 3 + [False]


# -- ends


async def test_a_revoke_ends_only_streams_of_its_credential(hub: Hub) -> None:
    stolen, kept = uuid4(), uuid4()
    with (
        hub.subscribe(ME, stolen, "here") as first,
        hub.subscribe(ME, stolen, "there") as second,
        hub.subscribe(ME, kept, "here") as mine,
        hub.subscribe(YOU, uuid4(), "here") as other,
    ):
        lives = [trio.CancelScope() for _ in range(4)]
        for inbox, life in zip((first, mine, other), lives[1:], strict=True):
            inbox.bind_scope(life)
        hub.end_credential(stolen)
        hub.end_credential(uuid4())
        second.bind_scope(lives[0])  # its end came before its life
        assert [one.closing for one in (first, second)] == [Close.REVOKED] * 2
        assert [one.closing for one in (mine, other)] == [None] * 2
        assert [life.cancel_called for life in lives] == [True, True, False, False]


async def test_a_drain_lists_all_streams_admits_none_and_ends_with_the_last(
    hub: Hub,
) -> None:
    with hub.subscribe(ME, uuid4(), "here") as mine:
        with hub.subscribe(YOU, uuid4(), "here") as yours:
            assert set(hub.drain()) == {mine, yours}
            with pytest.raises(Draining), hub.subscribe(ME, uuid4(), "here"):
                pass
        assert not hub.drained.is_set()
    assert hub.drained.is_set()


async def test_a_drain_without_streams_ends_at_once(hub: Hub) -> None:
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
def test_a_bound_is_exact_and_a_closed_stream_frees_its_place(
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


def test_a_user_or_address_at_its_bound_blocks_no_other() -> None:
    hub = a_hub(max_streams_per_user=1, max_streams_per_address=2)
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
async def test_a_stream_leaves_nothing_behind(hub: Hub, how: str) -> None:
    async def stream() -> None:
        with hub.subscribe(ME, uuid4(), "here") as inbox:
            live(inbox)
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


# -- calls that wait


async def test_a_waiting_call_ends_with_its_credential_and_when_the_process_drains(
    hub: Hub,
) -> None:
    mine, yours = uuid4(), uuid4()
    waits = [Wait() for _ in range(3)]
    owners = [(ME, mine, "here"), (ME, mine, "here"), (YOU, yours, "here")]
    for owner, wait in zip(owners, waits, strict=True):
        hub.begin_wait(wait, *owner)
    hub.end_credential(mine)
    assert [wait.is_over for wait in waits] == [True, True, False]
    hub.drain()
    assert waits[2].is_over
    assert not hub.drained.is_set()
    with pytest.raises(Draining):
        hub.begin_wait(Wait(), YOU, yours, "here")
    for owner, wait in zip(owners, waits, strict=True):
        assert not hub.drained.is_set()
        hub.end_wait(wait, *owner)
    assert hub.drained.is_set()
    assert not hub.attended_users()
