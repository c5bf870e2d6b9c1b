"""The two processes of `bench.announced`: one announces events, the other one has the readers.

Orders come as lines of JSON on stdin, and each is answered by a line on stdout when it is done.
"""

import os
import sys
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from functools import partial
from statistics import quantiles
from typing import Any, cast
from uuid import UUID, uuid5

import msgspec
import structlog
import trio

from relay.config.parsers import signing_keys
from relay.config.valkey_address import valkey_address
from relay.db.journal import Journal
from relay.realtime.backplane import OnNotification
from relay.realtime.batch import Batch
from relay.realtime.encoding import CommittedEvents
from relay.realtime.hub import Hub
from relay.realtime.inbox import Inbox
from relay.realtime.notification import Notification
from relay.realtime.remote_reader import RemoteEventReader
from relay.realtime.valkey.backplane import ValkeyBackplane
from tests.support.hub_events import EPOCH, a_hub, an_event
from tests.support.tokens import KEYS

USERS = 1_000
PAYLOAD = '"' + "x" * 150 + '"'  # the event has 300 bytes as JSON
PATIENCE_SECONDS = 120.0  # for all events of an order
MIN_PAUSE_SECONDS = 0.001  # at a higher rate several events are announced one after the other
_NAMESPACE = UUID(int=21)


class Order(msgspec.Struct):
    """Announce, or wait for, so many events; at so many a second; and count the passes."""

    count: int
    rate: float = 0.0
    announce: bool = True
    passes: bool = False


class Answer(msgspec.Struct):
    """What was done."""

    passes: int = 0
    p50_ms: float = 0.0
    p99_ms: float = 0.0


class Passes(trio.abc.Instrument):
    """Counts the turns of the event loop."""

    def __init__(self) -> None:
        self.count = 0

    def after_io_wait(self, timeout: float) -> None:
        self.count += 1


class _NoJournal:
    """What the reader of other processes' events asks of the journal while it reads nothing."""

    def is_storing(self, _user_id: UUID, _seq: int) -> bool:
        return False

    def now(self) -> datetime:
        return datetime.now(UTC)


class Readers:
    """A resting reader of each user. All write to one socket, which the other process empties."""

    def __init__(self, hub: Hub, socket: int) -> None:
        self._hub = hub
        self._socket = socket
        self._seen = dict.fromkeys(users(), 0)
        self._late: list[float] = []
        self._missing = 0
        self._done = trio.Event()

    async def attend(self, backplane: ValkeyBackplane, nursery: trio.Nursery) -> None:
        for user_id in self._seen:
            await nursery.start(self._read, backplane, user_id)

    async def _read(
        self, backplane: ValkeyBackplane, user_id: UUID, task_status: trio.TaskStatus[None]
    ) -> None:
        with self._hub.subscribe(user_id, user_id, "here") as inbox:
            await backplane.attend(user_id)
            inbox.start(EPOCH, 0, 0)
            inbox.use_direct_write(partial(self._write, user_id))
            task_status.started()
            await self._rest(inbox)

    async def _rest(self, inbox: Inbox) -> None:
        await inbox.take()
        raise RuntimeError("an event was not written at once, or one is missing")

    def _write(self, user_id: UUID, batch: Batch) -> bool:
        os.write(self._socket, batch.messages)
        now = datetime.now(UTC)
        for event in batch.events:
            assert event.received_at is not None
            assert event.seq == self._seen[user_id] + 1
            self._seen[user_id] = event.seq
            self._late.append((now - event.received_at).total_seconds() * 1e3)
        self._missing -= len(batch.events)
        if not self._missing:
            self._done.set()
        return True

    async def wait_for(self, count: int) -> Answer:
        self._missing += count
        with trio.fail_after(PATIENCE_SECONDS):
            while self._missing > 0:
                await self._done.wait()
        self._done = trio.Event()
        late, self._late = self._late, []
        cuts = quantiles(late, n=100)
        return Answer(p50_ms=cuts[49], p99_ms=cuts[98])


def users() -> list[UUID]:
    return [uuid5(_NAMESPACE, str(number)) for number in range(USERS)]


async def announce(backplane: ValkeyBackplane, seqs: dict[UUID, int], order: Order) -> None:
    """Make, encode and mostly announce events, one user's after the other."""
    at, all_users = trio.current_time(), list(seqs)
    together = max(1, round(order.rate * MIN_PAUSE_SECONDS))
    for number in range(order.count):
        if number % together == 0:
            at = max(at + together / order.rate, trio.current_time())
            await trio.sleep_until(at)
        user_id = all_users[number % len(all_users)]
        seq = seqs[user_id] + 1
        events = CommittedEvents([an_event(seq, PAYLOAD)])
        _ = events.encoded
        if order.announce:
            seqs[user_id] = seq
            backplane.announce_events(user_id, events)


async def orders() -> AsyncIterator[Order]:
    stream, waiting = trio.lowlevel.FdStream(os.dup(0)), b""
    async with stream:
        async for data in stream:
            *lines, waiting = (waiting + data).split(b"\n")
            for line in lines:
                yield msgspec.json.decode(line, type=Order)


def say(answer: Answer) -> None:
    print(msgspec.json.encode(answer).decode(), flush=True)


def nothing(_notification: Notification) -> None:
    """Take what others say: this process has no readers."""


async def main(side: str, url: str, socket: int) -> None:
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    hub = a_hub(*[USERS] * 3)
    backplane = ValkeyBackplane(valkey_address(url), signing_keys(KEYS), hub)
    readers, seqs = Readers(hub, socket), dict.fromkeys(users(), 0)
    remote = RemoteEventReader(hub, cast("Journal", _NoJournal()))
    on_notification: OnNotification = nothing
    if side == "read":
        on_notification = remote.on_notification
    async with trio.open_nursery() as nursery:
        await nursery.start(backplane.run, on_notification)
        if side == "read":
            await readers.attend(backplane, nursery)
        say(Answer())
        async for order in orders():
            passes: Any = Passes()
            if order.passes:
                trio.lowlevel.add_instrument(passes)
            answer = Answer()
            if side == "read":
                answer = await readers.wait_for(order.count)
            else:
                await announce(backplane, seqs, order)
            if order.passes:
                trio.lowlevel.remove_instrument(passes)
            answer.passes = passes.count
            say(answer)
        nursery.cancel_scope.cancel()


if __name__ == "__main__":
    _, its_side, address, number = sys.argv
    trio.run(main, its_side, address, int(number))
