"""A waiting reader is written to directly, and no event overtakes another."""

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from relay.realtime.encoding import MAX_MESSAGE_BYTES, EncodedEvent, array_frame
from relay.realtime.inbox import Inbox
from relay.realtime.inbox_states import InboxState
from tests.support.hub_events import a_batch, a_batch_of
from tests.support.inboxes import OTHER_EPOCH, Wire, offer, resting, seqs, take


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
        (a_batch(1, epoch=OTHER_EPOCH), False, InboxState.BEHIND),  # the journal knows which counts
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


async def test_a_written_event_is_not_offered_again(
    nursery: trio.Nursery, inbox: Inbox, wire: Wire
) -> None:
    await resting(nursery, inbox)
    offer(inbox, a_batch(1, 2))
    assert offer(inbox, a_batch(1)) is False
    assert offer(inbox, a_batch(2, 3)) is True
    assert (wire.written, inbox.position) == ([1, 2, 3], 3)
    nursery.cancel_scope.cancel()
