"""The states of a reader's inbox: every trigger follows the transition table."""

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from relay.realtime.inbox import Inbox
from relay.realtime.inbox_states import TRANSITIONS, InboxState, Trigger
from tests.support.hub_events import a_batch
from tests.support.inboxes import ACTS, in_state, offer, resting, take


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


async def test_a_reader_that_is_interrupted_returns_from_its_wait_or_does_not_begin_one(
    nursery: trio.Nursery, inbox: Inbox
) -> None:
    inbox.interrupt()  # while it is busy
    with trio.fail_after(0):
        assert await take(inbox) == []
    inbox.interrupt()
    offer(inbox, a_batch(1))
    assert await take(inbox) == [1]
    taken = await resting(nursery, inbox)
    inbox.interrupt()
    await wait_all_tasks_blocked()
    assert (inbox.state, taken) == (InboxState.BUSY, [])
    await resting(nursery, inbox)  # each counts once
    nursery.cancel_scope.cancel()


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
