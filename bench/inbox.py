"""What a reader's inbox costs: its list, and a trio memory channel in its place, side by side.

    python -m bench.inbox [--rounds 5] [--readers 10000]

Both keep the same promises behind the same `Inbox`. Times are of the processor, for one event
offered to one reader, medians over rounds that take turns; memory is Python's, for one reader
at rest, its task included.
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
from relay.realtime.encoding import Frame
from relay.realtime.inbox import INBOX_BYTES, INBOX_EVENTS, Inbox
from relay.realtime.inbox_states import RESTING, Trigger

USER = UUID(int=1)
EPOCH = "e" * 20
FANS = (1, 100, 1000)
OFFERS = 100_000  # of one measurement, to all readers together
DRAIN_EVERY = 100  # events that a busy reader finds waiting

REST, WAKE = Trigger.REST, Trigger.WAKE
Make = Callable[[], Inbox]


class ChannelInbox(Inbox):
    """The same on a trio memory channel: an item an event, so that its bound counts events.

    The channel has no bound in bytes, takes no batch as a whole, gives no items all at once, and
    drops none. An event that is sent to a task that waits is in no buffer any more: it counts
    for no bound, and has to be remembered until the task runs.
    """

    __slots__ = ("_buffered", "_flying", "_receive", "_send", "_waiting")

    def __init__(self, user_id: UUID) -> None:
        super().__init__(user_id)
        self._send, self._receive = trio.open_memory_channel[Frame | None](INBOX_EVENTS)
        self._buffered = 0  # events in the channel
        self._waiting = False  # a task waits, and nothing was sent to it
        self._flying = False  # an event was sent to a task that did not run yet

    async def take(self) -> list[Frame]:
        if self._buffered or self.behind:
            return self._drain()
        self._fire(REST)
        self._waiting = True
        handed: list[Frame] = []
        try:
            frame = await self._receive.receive()
            if frame is not None and self._flying:
                handed.append(frame)
        finally:
            self._waiting = self._flying = False
            if self._state is RESTING:
                self._fire(WAKE)
        return handed + self._drain()

    def _enqueue(self, frames: Sequence[Frame], size: int) -> None:
        self._bytes += size
        try:
            if self._bytes > INBOX_BYTES:
                raise trio.WouldBlock
            for frame in frames:
                self._send.send_nowait(frame)
                if self._waiting:
                    self._waiting, self._flying = False, True
                else:
                    self._buffered += 1
        except trio.WouldBlock:
            metrics.inbox_overflows.inc()
            self.fall_behind()
        else:
            if self._flying and self._state is RESTING:
                self._fire(WAKE)

    def _drain(self) -> list[Frame]:
        receive = self._receive.receive_nowait
        frames = [frame for _ in range(self._buffered) if (frame := receive()) is not None]
        self._buffered = self._bytes = 0
        return frames

    def _clear(self) -> None:
        self._drain()
        self._flying = False

    def _fire(self, trigger: Trigger) -> None:
        super()._fire(trigger)
        if self._waiting and trigger is not REST:
            self._send.send_nowait(None)
            self._waiting = False


CONTENDERS: dict[str, Make] = {
    "list": lambda: Inbox(USER),
    "channel": lambda: ChannelInbox(USER),
}


async def main(rounds: int, readers: int) -> None:
    cases: dict[str, Callable[[Make], Awaitable[float]]] = {
        f"{kind}, {fan} reader{'s' * (fan > 1)}": partial(measure, fan=fan)
        for kind, measure in {"at rest": at_rest, "busy": busy, "woken": woken}.items()
        for fan in FANS
    }
    for case, measure in cases.items():
        compare(case, "ns", await in_turn(measure, rounds))
    compare(f"memory, {readers} readers", "bytes", await in_turn(partial(memory, count=readers), 1))


async def in_turn(
    measure: Callable[[Make], Awaitable[float]], rounds: int
) -> dict[str, list[float]]:
    found: dict[str, list[float]] = {name: [] for name in CONTENDERS}
    for number in range(rounds):
        names = list(CONTENDERS)
        for name in names if number % 2 else reversed(names):
            gc.collect()
            found[name].append(await measure(CONTENDERS[name]))
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


async def at_rest(make: Make, fan: int) -> float:
    """Readers that wait, and whose socket takes the event at once."""
    async with reading(make, fan) as inboxes:
        for inbox in inboxes:
            inbox.use_direct_write(bool)
        seconds = 0.0
        for frames in events(OFFERS // fan):
            seconds += offered(inboxes, frames)
    return seconds / OFFERS * 1e9


async def busy(make: Make, fan: int) -> float:
    """Readers that write, and find a hundred events when they look again."""
    inboxes = [live(make()) for _ in range(fan)]
    seconds = 0.0
    for number, frames in enumerate(events(OFFERS // fan), 1):
        seconds += offered(inboxes, frames)
        if number % DRAIN_EVERY == 0:
            began = time.thread_time()
            for inbox in inboxes:
                await inbox.take()
            seconds += time.thread_time() - began
    return seconds / OFFERS * 1e9


async def woken(make: Make, fan: int) -> float:
    """Readers that wait, and have to run for each event: their turn counts as well."""
    async with reading(make, fan) as inboxes:
        began = time.thread_time()
        for frames in events(OFFERS // 10 // fan):
            offered(inboxes, frames)
            for _ in range(2):  # within two turns each reader had its own
                await trio.lowlevel.checkpoint()
        seconds = time.thread_time() - began
        assert {inbox.position for inbox in inboxes} == {OFFERS // 10 // fan}
    return seconds / (OFFERS // 10) * 1e9


async def memory(make: Make, count: int) -> float:
    """Readers at rest: what Python has allocated more for each of them."""
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    async with reading(make, count):
        gc.collect()
        after, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return (after - before) / count


def offered(inboxes: Sequence[Inbox], frames: Sequence[Frame]) -> float:
    """Offer it to each, as `Hub.publish` does. Returns the processor's seconds."""
    began = time.thread_time()
    size = frames[0].size
    for inbox in inboxes:
        inbox.offer(frames, size)
    return time.thread_time() - began


def events(count: int) -> Iterator[Sequence[Frame]]:
    return ([Frame(EPOCH, seq, b"{}" * 100)] for seq in range(1, count + 1))


def live(inbox: Inbox) -> Inbox:
    inbox.start(EPOCH, 0, 0)
    return inbox


@asynccontextmanager
async def reading(make: Make, count: int) -> AsyncIterator[list[Inbox]]:
    """Live inboxes, with a task each that takes what comes."""
    inboxes = [live(make()) for _ in range(count)]
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
    wanted = parser.parse_args()
    trio.run(main, wanted.rounds, wanted.readers)
