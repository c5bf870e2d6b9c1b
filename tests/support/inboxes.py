"""Readers of an inbox, in every state, and a direct write that can refuse."""

from collections.abc import Callable, Sequence
from uuid import uuid4

import trio
from trio.testing import wait_all_tasks_blocked

from relay.realtime.batch import Batch
from relay.realtime.close_codes import Close
from relay.realtime.encoding import EncodedEvent
from relay.realtime.inbox import Inbox
from relay.realtime.inbox_states import InboxState, Trigger
from tests.support.hub_events import EPOCH

OTHER_EPOCH = "f" * 20


def seqs(frames: Sequence[EncodedEvent]) -> list[int]:
    return [frame.seq for frame in frames]


def offer(inbox: Inbox, frames: Sequence[EncodedEvent]) -> bool:
    return inbox.offer(Batch(frames, 0.0))


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

    def __call__(self, batch: Batch) -> bool:
        if self.free:
            self.written += seqs(batch.events)
        return self.free


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
