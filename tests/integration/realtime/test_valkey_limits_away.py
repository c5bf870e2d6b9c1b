"""Limits in a Valkey of which a node hangs, dies or refuses, or a slot moves: they go on."""

import re
import signal
from collections import Counter
from collections.abc import Iterator
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from uuid import UUID, uuid4

import pytest
import trio
from structlog.testing import capture_logs

from relay.config.parsers import Rate
from relay.errors import TooManyConnections
from relay.observability import metrics
from relay.realtime.valkey import scripts
from relay.realtime.valkey.limits import ValkeyLimits
from relay.shared_limits import Charge, Place
from tests.support.backplanes import by_valkey, member_of
from tests.support.patience import PATIENCE, eventually
from tests.support.shared_limits import at_once, processes
from tests.support.valkey_servers import Cluster, Server, started, until

MOST = 7


pytestmark = pytest.mark.usefixtures("patient")


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    """One of the test's own."""
    cluster = Cluster("valkey", tmp_path)
    with started(cluster):
        yield cluster


def streams_of(user_id: UUID) -> tuple[Place, Place]:
    """Places of a user and its address."""
    return (
        Place("streams_user", user_id, MOST, lambda: TooManyConnections("user")),
        Place("streams_address", "192.0.2.1", MOST, lambda: TooManyConnections("address")),
    )


CHARGE = Charge("signups", "192.0.2.1", Rate(1, 3600, 5), 1, "calls")


async def taken_of(limits: ValkeyLimits, charge: Charge = CHARGE) -> bool | None:
    """Whether it was taken; None if this process counts alone."""
    taken = await limits.take([charge], charge.key)
    return None if taken is None else taken.refused is None


async def test_a_server_that_hangs_delays_one_call_and_then_this_process_counts_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server, me = Server("valkey", tmp_path), uuid4()
    with started(server), capture_logs() as logged:
        async with processes(by_valkey(server.url), 1) as (one,):
            await trio.to_thread.run_sync(server.ask, "PING")
            logged.clear()
            alone = metrics.limits_alone._value.get()
            server.signal(signal.SIGSTOP)
            monkeypatch.setattr(scripts, "ANSWER_SECONDS", 0.1)
            assert await taken_of(one) is None  # after a wait for its answer
            for _ in range(100):  # and these without any
                assert await taken_of(one) is None
            async with AsyncExitStack() as stack:
                for _ in range(2 * MOST):
                    await stack.enter_async_context(one.hold(streams_of(me)))
                assert metrics.limits_alone._value.get() - alone == 101
                assert metrics.limits_shared._value.get() == 0
                monkeypatch.setattr(scripts, "ANSWER_SECONDS", PATIENCE)
                server.signal(signal.SIGCONT)
                await eventually(lambda: one._shared)
                assert await taken_of(one) is not None
                with trio.fail_after(PATIENCE):
                    while await taken_of(one):
                        pass
                counts = one._places._counts.values()
                await eventually(lambda: all(map(one._places._is_written, counts)))
                with pytest.raises(TooManyConnections):
                    await stack.enter_async_context(one.hold(streams_of(me)))
            assert metrics.limits_shared._value.get() == 1
        events = [line["event"] for line in logged if str(line["event"]).startswith("limits")]
        assert events == ["limits_not_shared", "limits_shared_again"]


async def test_a_connection_that_is_cut_ends_no_call_and_lets_none_over_the_limit(
    cluster: Cluster,
) -> None:
    charges = [CHARGE._replace(key=n, rate=Rate(1, 3600, 50)) for n in range(9)]
    async with processes(by_valkey(cluster.url), 2) as limits:
        taken: Counter[object] = Counter()

        async def take(one: ValkeyLimits, charge: Charge) -> None:
            while (found := await taken_of(one, charge)) is not False:
                taken[charge.key] += found is True
                if found is None:
                    await trio.sleep(0.01)

        async with trio.open_nursery() as nursery:
            for charge in charges:
                for one in limits:
                    nursery.start_soon(take, one, charge)
            for server in cluster.servers * 3:
                await trio.to_thread.run_sync(server.cut_all)
        assert len(taken) == len(charges)
        assert all(0 < count <= 50 for count in taken.values())
        await eventually(lambda: all(one._shared for one in limits))


async def test_limits_go_on_where_their_slot_is(cluster: Cluster) -> None:
    async with processes(by_valkey(cluster.url), 2) as limits:
        key = limits[0]._leases._names.of_limit(CHARGE.limit, CHARGE.key, CHARGE.key)
        old = cluster.owner_of(key.slot)
        new = next(server for server in cluster.servers if server is not old)
        assert [await taken_of(one) for one in limits] == [True, True]
        cluster.move(key.slot, new)  # what was counted is dropped, as by a node that dies
        calls = [lambda one=one: taken_of(one) for one in limits] * 10
        assert (await at_once(calls)).count(True) == CHARGE.rate.burst
        cluster.move(key.slot, old)


def has_copied_all(primary: Server) -> bool:
    """Whether its replica has confirmed all that it wrote."""
    found = re.findall(r"offset[=:](\d+)", str(primary.ask("INFO", "replication")))
    confirmed, written = found[0], found[1]
    return bool(confirmed == written)


async def test_the_limits_of_a_primary_that_dies_go_on_with_its_replica(tmp_path: Path) -> None:
    cluster = Cluster("valkey", tmp_path, replicas=3, node_timeout=2_000)
    with started(cluster):
        async with processes(by_valkey(cluster.url), 2) as (one, other):
            key = one._leases._names.of_limit(CHARGE.limit, CHARGE.key, CHARGE.key)
            assert (await taken_of(one), await taken_of(other)) == (True, True)
            primary = cluster.owner_of(key.slot)
            until(partial(has_copied_all, primary), "its replica does not follow")
            await trio.to_thread.run_sync(primary.end)
            found: list[bool | None] = []
            with trio.fail_after(PATIENCE):
                while len([one for one in found if one is not None]) < 8:
                    found += [await taken_of(one), await taken_of(other)]
                    await trio.sleep(0.05)
            assert found.count(True) == 3  # two of five were taken before
            await eventually(lambda: one._shared and other._shared)


async def test_without_the_permission_this_process_counts_alone_and_names_it(
    tmp_path: Path,
) -> None:
    server = Server("valkey", tmp_path)
    with started(server), capture_logs() as logged:
        server.ask("ACL", "SETUSER", "default", "-evalsha", "-eval")
        async with member_of(server.url) as member:
            one: ValkeyLimits = member.backplane.limits  # type: ignore[attr-defined]
            assert [await taken_of(one) for _ in range(20)] == [None] * 20
            async with one.hold(streams_of(uuid4())):
                pass
            server.ask("ACL", "SETUSER", "default", "+evalsha", "+eval")
            assert await taken_of(one)
            await eventually(lambda: one._shared)
        (warning, *_) = [line for line in logged if line["event"] == "limits_not_shared"]
        assert "permission" in str(warning["reason"])
