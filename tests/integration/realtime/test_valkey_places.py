"""Places that processes count together in a Valkey: exact, and free again after a death."""

from collections.abc import Iterator
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from uuid import UUID, uuid4

import pytest
import trio

from relay.errors import TooManyConnections
from relay.realtime.valkey import shared_places
from relay.realtime.valkey.limits import ValkeyLimits
from relay.shared_limits import Place
from tests.support.backplanes import Join, by_valkey
from tests.support.patience import PATIENCE, eventually
from tests.support.shared_limits import processes
from tests.support.valkey_servers import Cluster, ask, started

MOST = 7


pytestmark = pytest.mark.usefixtures("patient")


def places_of(user_id: UUID, address: str = "192.0.2.1", most: int = MOST) -> tuple[Place, Place]:
    return (
        Place("streams_user", user_id, most, lambda: TooManyConnections("user")),
        Place("streams_address", address, 2 * most, lambda: TooManyConnections("address")),
    )


class Streams:
    """Streams of users that are open until they are closed."""

    def __init__(self, nursery: trio.Nursery) -> None:
        self._nursery = nursery
        self._closed = trio.Event()
        self.refused: list[str] = []
        self.open = 0

    def start(self, limits: ValkeyLimits, places: tuple[Place, Place], count: int = 1) -> None:
        for _ in range(count):
            self._nursery.start_soon(self._stream, limits, places)

    async def _stream(self, limits: ValkeyLimits, places: tuple[Place, Place]) -> None:
        try:
            async with limits.hold(places):
                self.open += 1
                await self._closed.wait()
                self.open -= 1
        except TooManyConnections as refused:
            self.refused.append(refused.detail)

    async def settled(self, count: int) -> None:
        """Wait until so many more are open or refused."""
        await eventually(lambda: self.open + len(self.refused) == count)

    async def close(self) -> None:
        closed, self._closed = self._closed, trio.Event()
        closed.set()
        await eventually(lambda: self.open == 0)
        self.refused.clear()


async def test_places_are_exact_over_all_processes_and_come_back(
    valkey_join: Join, nursery: trio.Nursery
) -> None:
    me, you, third = uuid4(), uuid4(), uuid4()
    async with processes(valkey_join) as limits:
        streams = Streams(nursery)
        for _ in range(3):
            for one in limits:
                streams.start(one, places_of(me), 5)
            await streams.settled(20)
            assert (streams.open, streams.refused) == (MOST, ["user"] * 13)
            for one in limits:
                streams.start(one, places_of(you), 2)
                streams.start(one, places_of(third), 1)
            await streams.settled(20 + 12)
            assert streams.open == 2 * MOST  # of the address
            assert set(streams.refused) == {"user", "address"}
            await streams.close()
            for one in limits:
                await eventually(lambda: not one._places._counts)  # noqa: B023
        for name in (limits[0]._places._names.of_place("streams_user", me).name.decode(),):
            assert "streams" not in name
            assert str(me) not in name


async def test_a_call_that_is_cancelled_while_it_asks_leaves_no_place_taken(
    valkey_join: Join,
) -> None:
    async with processes(valkey_join, 2) as (one, other):
        me = uuid4()
        for _ in range(3 * MOST):
            with trio.CancelScope() as scope:
                scope.cancel()
                async with one.hold(places_of(me)):
                    raise AssertionError("it waits for the answer first")
        await eventually(lambda: not one._places._counts)
        async with AsyncExitStack() as stack:
            for _ in range(MOST):
                await stack.enter_async_context(other.hold(places_of(me)))
            with pytest.raises(TooManyConnections):
                await stack.enter_async_context(one.hold(places_of(me)))


async def test_places_can_be_taken_and_released_without_a_block(valkey_join: Join) -> None:
    async with processes(valkey_join, 2) as (one, other):
        me = uuid4()
        held = [one.hold(places_of(me)) for _ in range(MOST)]
        for places in held:
            await places.take()
        with pytest.raises(TooManyConnections):
            await other.hold(places_of(me)).take()
        for places in held:
            places.release()
        await eventually(lambda: not one._places._counts)
        with trio.CancelScope() as scope:
            scope.cancel()
            await one.hold(places_of(me)).take()
        assert scope.cancelled_caught
        again = [other.hold(places_of(me)) for _ in range(MOST)]
        with trio.fail_after(PATIENCE):
            for places in again:
                while True:  # until the write of the places that are given back has come
                    try:
                        await places.take()
                        break
                    except TooManyConnections:
                        await trio.sleep(0.02)
        with pytest.raises(TooManyConnections):
            await one.hold(places_of(me)).take()
        for places in again:
            places.release()


async def test_the_places_of_a_process_that_died_are_free_again(
    valkey_join: Join, monkeypatch: pytest.MonkeyPatch, nursery: trio.Nursery
) -> None:
    me = uuid4()
    async with processes(valkey_join, 1) as (other,):
        streams = Streams(nursery)
        async with valkey_join() as member:
            dying: ValkeyLimits = member.backplane.limits  # type: ignore[attr-defined]
            await eventually(lambda: dying._shared)
            places = dying._places
            monkeypatch.setattr(places, "leave", lambda _places: None)
            streams.start(dying, places_of(me), MOST)
            await streams.settled(MOST)
            await refused(other, me)
            monkeypatch.setattr(shared_places, "EXPIRY_SECONDS", 0.5)
            for count in list(places._counts.values()):  # the last time
                key, arguments = count.key, places._arguments(count, held=count.held, wanted=0)
                await places._scripts.ask(shared_places._HOLD, key.slot, [key.name], arguments)
            monkeypatch.setattr(shared_places, "EXPIRY_SECONDS", PATIENCE)
        with trio.fail_after(PATIENCE):
            async with AsyncExitStack() as stack:
                free = MOST
                while free:
                    try:
                        await stack.enter_async_context(other.hold(places_of(me)))
                        free -= 1
                    except TooManyConnections:
                        await trio.sleep(0.02)
                await refused(other, me)
        await streams.close()


async def test_the_places_of_a_process_that_lives_are_written_before_they_expire(
    valkey_join: Join, monkeypatch: pytest.MonkeyPatch, nursery: trio.Nursery
) -> None:
    monkeypatch.setattr(shared_places, "RENEWAL_SECONDS", 0.0)
    monkeypatch.setattr(shared_places, "TICK_SECONDS", 0.01)
    me = uuid4()
    async with processes(valkey_join, 2) as (one, other):
        streams, counts = Streams(nursery), one._places._counts
        streams.start(one, places_of(me), MOST)
        await streams.settled(MOST)
        for count in list(counts.values()):
            written = count.written_at
            await eventually(lambda: count.written_at > written)  # noqa: B023
        await refused(other, me)
        assert not one._places._unwritten
        await streams.close()


async def refused(limits: ValkeyLimits, user_id: UUID) -> None:
    with pytest.raises(TooManyConnections):
        async with limits.hold(places_of(user_id)):
            pass


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    """One of the test's own."""
    cluster = Cluster("valkey", tmp_path)
    with started(cluster):
        yield cluster


async def test_a_server_that_starts_again_with_empty_memory_learns_all_places(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch, nursery: trio.Nursery
) -> None:
    monkeypatch.setattr(shared_places, "SCAN_SECONDS", 0.05)
    users = [uuid4() for _ in range(20)]
    async with processes(by_valkey(cluster.url), 2) as (one, other):
        streams = Streams(nursery)
        for n, user_id in enumerate(users):
            streams.start(one, places_of(user_id, str(n)), MOST)
        await streams.settled(20 * MOST)
        for server in cluster.servers:
            await trio.to_thread.run_sync(server.end)
            server.start()
        await eventually(lambda: one._shared and other._shared)

        async def learned(user_id: UUID, n: int) -> None:
            with trio.fail_after(PATIENCE):
                while True:
                    try:
                        async with other.hold(places_of(user_id, str(n))):
                            pass
                    except TooManyConnections:
                        return
                    await trio.sleep(0.02)

        for n, user_id in enumerate(users):
            await learned(user_id, n)
        await streams.close()


@pytest.mark.parametrize(
    ("stored", "others"),
    [
        ("x", 0),
        ("-5 9999999999999", 0),
        ("5", 0),
        ("5 1", 0),
        ("nan nan", 0),
        ("5 99999999999999", 5),
        ("99999999 9999999999999", 0),
    ],
)
async def test_numbers_that_others_store_there_expire_or_count_for_none(
    redis_url: str, stored: str, others: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    port, me = int(redis_url.rpartition(":")[2]), uuid4()
    async with processes(by_valkey(redis_url), 1) as (one,):
        (mine, _) = places_of(me)
        key = one._places._names.of_place(mine.bound, mine.key).name.decode()
        ask(port, "HSET", key, "stranger", stored)
        async with AsyncExitStack() as stack:
            for _ in range(MOST - others):
                await stack.enter_async_context(one.hold([mine]))
            with pytest.raises(TooManyConnections):
                await stack.enter_async_context(one.hold([mine]))
            monkeypatch.setattr(shared_places, "EXPIRY_SECONDS", 0.5)
            with trio.fail_after(PATIENCE):
                while others:
                    with suppress(TooManyConnections):
                        await stack.enter_async_context(one.hold([mine]))
                        others -= 1
        ask(port, "SET", key, "another kind")
        async with one.hold([mine]):
            assert ask(port, "TYPE", key) == "hash"
        ask(port, "HSET", key, *[f"p{n}" for pair in range(1_001) for n in (pair, pair)])
        async with one.hold([mine]):
            assert ask(port, "HLEN", key) == 1
