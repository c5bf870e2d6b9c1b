"""Events offered early, late or twice, and during a read, are taken in order and once."""

from uuid import uuid4

import pytest
import trio

from relay.realtime.inbox import Inbox
from relay.realtime.inbox_states import InboxState
from tests.support.hub_events import EPOCH, a_batch
from tests.support.inboxes import OTHER_EPOCH, in_state, offer, take


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


@pytest.mark.parametrize("state", [InboxState.READING, InboxState.BUSY, InboxState.RESTING])
async def test_an_event_of_another_epoch_sends_the_reader_to_the_journal(
    nursery: trio.Nursery, state: InboxState
) -> None:
    inbox = await in_state(nursery, state)
    assert not offer(inbox, a_batch(2, epoch=OTHER_EPOCH))
    assert (inbox.state, inbox.closing) == (InboxState.BEHIND, None)
    nursery.cancel_scope.cancel()


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
