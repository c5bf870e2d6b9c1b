"""Compare two implementations of a reader's inbox: Relay's list, and a trio memory channel.

    python -m bench.inbox [--rounds 5] [--readers 10000]

Both behave the same behind the interface of `Inbox`. The times are CPU times for one event offered
to one reader: medians over alternating rounds. The memory is what Python allocates for one idle
reader, its task included.
"""

import argparse
import gc
import time
import tracemalloc
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from statistics import median
from uuid import UUID

import trio
from trio.testing import wait_all_tasks_blocked

from relay.observability import metrics
from relay.realtime.batch import Batch
from relay.realtime.encoding import EncodedEvent
from relay.realtime.inbox import INBOX_BYTES, INBOX_EVENTS, Inbox
from relay.realtime.inbox_states import RESTING, Trigger

USER = UUID(int=1)
EPOCH = "e" * 20
FANS = (1, 100, 1000)
OFFERS = 100_000  # per measurement, to all readers together
DRAIN_EVERY = 100  # events between two reads of a busy reader

REST, WAKE = Trigger.REST, Trigger.WAKE
InboxFactory = Callable[[], Inbox]


class ChannelInbox(Inbox):
    """The inbox on a trio memory channel with one item per event, so that its bound counts events.

    A channel has no bound in bytes, and cannot take or return several items at once or drop any.
    An event that is sent to a waiting task is no longer in the channel's buffer: it does not
    count towards the bound, and the inbox has to remember it until the task runs.
    """

    __slots__ = ("_buffered", "_in_flight", "_receive", "_send", "_waiting")

    def __init__(self, user_id: UUID) -> None:
        super().__init__(user_id)
        self._send, self._receive = trio.open_memory_channel[EncodedEvent | None](INBOX_EVENTS)
        self._buffered = 0  # events in the channel
        self._waiting = False  # a task waits in receive, and nothing was sent to it yet
        self._in_flight = False  # an event was sent to a task that has not run yet

    async def take(self) -> list[EncodedEvent]:
        if self._buffered or self.behind:
            return self._drain()
        self._fire(REST)
        self._waiting = True
        handed: list[EncodedEvent] = []
        try:
            frame = await self._receive.receive()
            if frame is not None and self._in_flight:
                handed.append(frame)
        finally:
            self._waiting = self._in_flight = False
            if self._state is RESTING:
                self._fire(WAKE)
        return handed + self._drain()

    def _enqueue(self, frames: Sequence[EncodedEvent], size: int) -> None:
        self._bytes += size
        try:
            if self._bytes > INBOX_BYTES:
                raise trio.WouldBlock
            for frame in frames:
                self._send.send_nowait(frame)
                if self._waiting:
                    self._waiting, self._in_flight = False, True
                else:
                    self._buffered += 1
        except trio.WouldBlock:
            metrics.inbox_overflows.inc()
            self.fall_behind()
        else:
            if self._in_flight and self._state is RESTING:
                self._fire(WAKE)

    def _drain(self) -> list[EncodedEvent]:
        receive = self._receive.receive_nowait
        frames = [frame for _ in range(self._buffered) if (frame := receive()) is not None]
        self._buffered = self._bytes = 0
        return frames

    def _clear(self) -> None:
        self._drain()
        self._in_flight = False

    def _fire(self, trigger: Trigger) -> None:
        super()._fire(trigger)
        if self._waiting and trigger is not REST:
            self._send.send_nowait(None)
            self._waiting = False


IMPLEMENTATIONS: dict[str, InboxFactory] = {
    "list": lambda: Inbox(USER),
    "channel": lambda: ChannelInbox(USER),
}


async def main(rounds: int, readers: int) -> None:
    cases: dict[str, Callable[[InboxFactory], Awaitable[float]]] = {
        f"{kind}, {fan} reader{'s' * (fan > 1)}": partial(measure, fan=fan)
        for kind, measure in {"at rest": at_rest, "busy": busy, "woken": woken}.items()
        for fan in FANS
    }
    for case, measure in cases.items():
        compare(case, "ns", await measure_alternating(measure, rounds))
    compare(
        f"memory, {readers} readers",
        "bytes",
        await measure_alternating(partial(memory, count=readers), 1),
    )


async def measure_alternating(
    measure: Callable[[InboxFactory], Awaitable[float]], rounds: int
) -> dict[str, list[float]]:
    found: dict[str, list[float]] = {name: [] for name in IMPLEMENTATIONS}
    for number in range(rounds):
        names = list(IMPLEMENTATIONS)
        for name in names if number % 2 else reversed(names):
            gc.collect()
            found[name].append(await measure(IMPLEMENTATIONS[name]))
    return found


def compare(case: str, unit: str, found: dict[str, list[float]]) -> None:
    base = found["list"]
    for name, figures in found.items():
        ratios = [figure / first for figure, first in zip(figures, base, strict=True)]
        print(
            f"{case:24} {name:8} {median(figures):8.0f} {unit}   {median(ratios):5.2f}"
            f" ({min(ratios):.2f} to {max(ratios):.2f})",
            flush=True,
        )


async def at_rest(create: InboxFactory, fan: int) -> float:
    """Waiting readers whose socket accepts the event at once."""
    async with reading_inboxes(create, fan) as inboxes:
        for inbox in inboxes:
            inbox.use_direct_write(bool)
        seconds = 0.0
        for frames in events(OFFERS // fan):
            seconds += offer_to_all(inboxes, frames)
    return seconds / OFFERS * 1e9


async def busy(create: InboxFactory, fan: int) -> float:
    """Readers that are writing, and find a hundred events at their next read."""
    inboxes = [started(create()) for _ in range(fan)]
    seconds = 0.0
    for number, frames in enumerate(events(OFFERS // fan), 1):
        seconds += offer_to_all(inboxes, frames)
        if number % DRAIN_EVERY == 0:
            began = time.thread_time()
            for inbox in inboxes:
                await inbox.take()
            seconds += time.thread_time() - began
    return seconds / OFFERS * 1e9


async def woken(create: InboxFactory, fan: int) -> float:
    """Waiting readers that have to run for each event; the time of that run counts, too."""
    async with reading_inboxes(create, fan) as inboxes:
        began = time.thread_time()
        for frames in events(OFFERS // 10 // fan):
            offer_to_all(inboxes, frames)
            for _ in range(2):  # every reader has run after two checkpoints
                await trio.lowlevel.checkpoint()
        seconds = time.thread_time() - began
        assert {inbox.position for inbox in inboxes} == {OFFERS // 10 // fan}
    return seconds / (OFFERS // 10) * 1e9


async def memory(create: InboxFactory, count: int) -> float:
    """Idle readers: the memory that Python allocates for each."""
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    async with reading_inboxes(create, count):
        gc.collect()
        after, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return (after - before) / count


def offer_to_all(inboxes: Sequence[Inbox], frames: Sequence[EncodedEvent]) -> float:
    """Offer the events to each inbox, as `Hub.publish` does. Returns the CPU seconds."""
    began = time.thread_time()
    batch = Batch(frames, began)
    for inbox in inboxes:
        inbox.offer(batch)
    return time.thread_time() - began


def events(count: int) -> Iterator[Sequence[EncodedEvent]]:
    return ([EncodedEvent(EPOCH, seq, b"{}" * 100)] for seq in range(1, count + 1))


def started(inbox: Inbox) -> Inbox:
    inbox.start(EPOCH, 0, 0)
    return inbox


@asynccontextmanager
async def reading_inboxes(create: InboxFactory, count: int) -> AsyncIterator[list[Inbox]]:
    """Live inboxes, each with a task that takes its events."""
    inboxes = [started(create()) for _ in range(count)]
    async with trio.open_nursery() as nursery:
        for inbox in inboxes:
            nursery.start_soon(read, inbox)
        await wait_all_tasks_blocked()
        yield inboxes
        nursery.cancel_scope.cancel()


async def read(inbox: Inbox) -> None:
    while True:
        for frame in await inbox.take():
            inbox.advance(frame.seq)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--readers", type=int, default=10_000)
    options = parser.parse_args()
    trio.run(main, options.rounds, options.readers)
