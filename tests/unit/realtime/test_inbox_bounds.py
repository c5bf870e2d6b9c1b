"""Events queue in order within bounds; a reader beyond them is sent to the journal."""

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from relay.realtime.inbox import INBOX_BYTES, INBOX_EVENTS, Inbox
from relay.realtime.inbox_states import InboxState
from tests.support.hub_events import a_batch, a_batch_of
from tests.support.inboxes import offer, resting, take


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
