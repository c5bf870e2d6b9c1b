"""Leases of events, simulated: whatever is posted where, and however late or lost its answers are.

The node executes what the scripts say in Python; the scripts themselves are tried on real servers
in `integration/realtime/test_valkey_leases.py`.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any
from uuid import uuid4

import trio
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock

from relay.config.parsers import Rate, SigningKey
from relay.config.settings import Settings
from relay.ingest.ndjson import MAX_BATCH_EVENTS
from relay.realtime.valkey.event_leases import LARGEST_POST, EventLeases, reserve_of
from relay.realtime.valkey.names import CountNames, Key
from relay.realtime.valkey.scripts import LOST
from relay.shared_limits import Charge, Taken

RATE = Rate(20, 1, 1_200)
NAMES = CountNames("relay", [SigningKey("k1", b"x" * 32)])


class Node:
    """One limit's key."""

    def __init__(self) -> None:
        self.arrival = 0.0

    def owed(self) -> float:
        return min(max(0.0, self.arrival - trio.current_time()), RATE.burst * RATE.interval)

    def take(self, cost: int, most: int) -> tuple[bool, float]:
        owes = self.owed() + cost * RATE.interval
        if owes > most * RATE.interval + 1e-6:
            return False, self.owed()
        self.arrival = trio.current_time() + owes
        return True, owes

    def lend(self, spent: float, wanted: int) -> list[int]:
        most = RATE.burst - reserve_of(RATE)
        owes = max(0.0, self.owed() + spent * RATE.interval)
        granted = max(0, min(wanted, math.floor(most - owes / RATE.interval + 1e-9)))
        self.arrival = trio.current_time() + owes + granted * RATE.interval
        return [granted, math.ceil((owes + granted * RATE.interval) * 1e6)]


class Way:
    """One process's way to the node: scripts that take a while, and whose answers may be lost."""

    def __init__(self, node: Node, nursery: trio.Nursery, delays: Callable[[], float]) -> None:
        self._node = node
        self._nursery = nursery
        self._delays = delays
        self._connection = object()

    def connection_of(self, _slot: int) -> object:
        return self._connection

    def cut(self) -> None:
        """Scripts that are under way may reach the node; their answers are lost."""
        self._connection = object()

    def run(
        self, _script: object, _slot: int, _keys: object, arguments: Sequence[bytes],
        on_reply: Callable[[Any], None],
    ) -> bool:  # fmt: skip
        self._nursery.start_soon(self._lend, float(arguments[0]), int(arguments[1]), on_reply)
        return True

    async def _lend(self, spent: float, wanted: int, on_reply: Callable[[Any], None]) -> None:
        connection = self._connection
        delay = self._delays()
        await trio.sleep(delay)
        if delay and connection is not self._connection:
            on_reply(LOST)  # before the node read it
            return
        reply = self._node.lend(spent, wanted)
        await trio.sleep(self._delays())
        on_reply(reply if connection is self._connection else LOST)

    async def take_from(
        self, _keys: Sequence[Key], charges: Sequence[Charge], most: Sequence[int]
    ) -> Taken:
        await trio.sleep(self._delays())
        taken, owed = self._node.take(charges[0].cost, most[0])
        await trio.sleep(self._delays())
        return Taken([owed]) if taken else Taken([owed], 0, 1.0)


class Bucket:
    """What all processes took, as one leaky bucket: its level may never be above the burst."""

    def __init__(self) -> None:
        self.level = 0.0
        self.total = 0
        self._at = 0.0

    def take(self, events: int) -> None:
        now = trio.current_time()
        self.level = max(0.0, self.level - (now - self._at) * RATE.count) + events
        self.total += events
        self._at = now
        assert self.level <= RATE.burst + 1e-3


POSTS = st.lists(
    st.tuples(
        st.integers(0, 3),  # the process
        st.sampled_from([1, 1, 2, 7, 8, 60, 1_000]),  # events; 8 is more than a part
        st.sampled_from([1, 1, 7, 40]),  # posts at once
        st.sampled_from([0.0, 0.0, 0.0, 0.0005, 0.03, 0.3, 1.5]),  # seconds after them
        st.sampled_from(["post", "post", "post", "post", "cut", "tidy"]),
    ),
    max_size=60,
)


@given(POSTS, st.lists(st.sampled_from([0.0, 0.0001, 0.002, 0.2]), min_size=1, max_size=5))
def test_all_processes_together_never_take_more_than_the_limit(
    posts: list[tuple[int, int, int, float, str]], delays: list[float]
) -> None:
    async def simulate() -> None:
        node, bucket, drawn = Node(), Bucket(), 0
        token = uuid4()

        def delay() -> float:
            nonlocal drawn
            drawn += 1
            return delays[drawn % len(delays)]

        async with trio.open_nursery() as nursery:
            ways = [Way(node, nursery, delay) for _ in range(4)]
            processes = [EventLeases(way, way, NAMES) for way in ways]  # type: ignore[arg-type]
            for one in processes:
                one.set_processes(len(processes))
                nursery.start_soon(one.run)

            async def post(number: int, events: int) -> None:
                charge = Charge("events_token", token, RATE, events, "events")
                taken = await processes[number].spend([charge])
                assert taken is not None
                if taken.refused is None:
                    bucket.take(events)

            for number, events, count, pause, what in posts:
                if what == "post":
                    for _ in range(count):
                        nursery.start_soon(post, number, events)
                elif what == "cut":
                    ways[number].cut()
                else:
                    processes[number].tidy()
                await trio.sleep(pause)
            await trio.sleep(1.0)
            nursery.cancel_scope.cancel()

    trio.run(simulate, clock=MockClock(autojump_threshold=0))


async def test_a_steady_producer_has_its_rate_and_asks_less_often_than_it_posts(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    node, bucket, asked, period = Node(), Bucket(), 0, 1 / (0.9 * RATE.count)

    def delay() -> float:
        nonlocal asked
        asked += 1
        return 0.0005

    way = Way(node, nursery, delay)
    process = EventLeases(way, way, NAMES)  # type: ignore[arg-type]
    process.set_processes(1)
    nursery.start_soon(process.run)
    charge = Charge("events_token", uuid4(), RATE, 1, "events")
    for _ in range(5_000):
        await trio.sleep(period)
        taken = await process.spend([charge])
        assert taken is not None
        assert taken.refused is None
        bucket.take(1)
    assert asked / 2 < 5_000 / 2  # each takes two delays


def test_a_reserve_leaves_room_for_the_largest_post() -> None:
    assert LARGEST_POST == MAX_BATCH_EVENTS
    given = Settings.load({})
    bursts = {1: 0, 1_141: 0, 1_142: 142}
    reserves = {burst: reserve_of(Rate(1, 1, burst)) for burst in bursts}
    assert reserves == bursts
    assert reserve_of(given.rate_events_per_token) == 250
    assert reserve_of(given.rate_events_per_address) == 1_000
