"""An inbox that has ended: its first reason is kept, and nothing more is delivered."""

import weakref

import trio

from relay.realtime.close_codes import Close
from relay.realtime.inbox import Inbox
from relay.realtime.inbox_states import InboxState
from tests.support.hub_events import a_batch
from tests.support.inboxes import Wire, offer


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
