"""Any interleaving delivers every event once and in order, against a model."""

import functools
from collections.abc import Awaitable, Callable, Sequence
from uuid import uuid4

import trio
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import wait_all_tasks_blocked

from relay.realtime.close_codes import Close
from relay.realtime.inbox import INBOX_EVENTS, Inbox
from relay.realtime.inbox_states import InboxState
from tests.support.hub_events import EPOCH, a_batch
from tests.support.inboxes import Wire, offer, take


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
