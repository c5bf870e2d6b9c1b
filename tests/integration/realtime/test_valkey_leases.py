"""Events of all processes together never exceed a limit, and mostly wait for no answer."""

import random
from collections.abc import Coroutine, Sequence
from contextlib import suppress
from itertools import cycle
from typing import Any
from uuid import UUID, uuid4

import pytest
import trio
import trio.testing

from relay.config.parsers import Rate
from relay.config.settings import Settings
from relay.rate_limiting import Limits, OverLimit
from relay.realtime.valkey import event_leases
from relay.realtime.valkey.event_leases import LARGEST_POST, reserve_of
from relay.realtime.valkey.limits import ValkeyLimits
from relay.shared_limits import Charge
from tests.support.backplanes import Join
from tests.support.patience import PATIENCE, eventually
from tests.support.shared_limits import processes

PROCESSES = 4
pytestmark = pytest.mark.usefixtures("patient")


def without_wait(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """What it returns; it must not wait for anything."""
    try:
        coroutine.send(None)
    except StopIteration as done:
        return done.value
    coroutine.close()
    raise AssertionError("it waits")


def counted(limits: Sequence[ValkeyLimits], token: Rate, address: Rate) -> list[Limits]:
    """The limits of processes with these rates of events."""
    rates = {"TOKEN": token, "ADDRESS": address}
    given = {f"RELAY_RATE_EVENTS_PER_{name}": str(rate) for name, rate in rates.items()}
    return [Limits(Settings.load(given), shared=one) for one in limits]


async def post_all(limits: Sequence[Limits], token_id: UUID, sizes: Sequence[int]) -> list[int]:
    """The sizes of the posts that were taken: all at once, by turns at all processes."""
    taken: list[int] = []

    async def post(one: Limits, size: int) -> None:
        with suppress(OverLimit):
            await one.charge_events(token_id, "192.0.2.1", size)
            taken.append(size)

    async with trio.open_nursery() as nursery:
        for one, size in zip(cycle(limits), sizes, strict=False):
            nursery.start_soon(post, one, size)
    return taken


@pytest.fixture
def kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leases are kept, and are for as long, as a slow machine takes."""
    monkeypatch.setattr(event_leases, "LEASE_SECONDS", PATIENCE)
    monkeypatch.setattr(event_leases, "HOLD_SECONDS", PATIENCE)


@pytest.mark.usefixtures("kept")  # each that ends before it is used is lost
async def test_events_of_all_processes_together_are_never_over_the_limit(valkey_join: Join) -> None:
    token, address = Rate(1, 3600, 2_000), Rate(1, 3600, 3_000)
    shuffled = random.Random(7)
    async with processes(valkey_join) as limits:
        posting = counted(limits, token, address)
        first, second = uuid4(), uuid4()
        sizes = [1] * 400 + [7] * 100 + [60] * 20 + [400] * 4 + [1_000] * 2
        total = 0
        for _ in range(3):
            shuffled.shuffle(sizes)
            total += sum(await post_all(posting, first, sizes))
            await trio.sleep(0.05)  # leases and debts in between
        parts = PROCESSES * (2_000 // 8 // (3 * (PROCESSES + 3)))
        assert 2_000 - reserve_of(token) - parts < total <= 2_000
        others = sum(await post_all(posting, second, sizes))
        assert total + others <= 3_000
        assert total + others > 3_000 - reserve_of(address) - 1_000  # a lease each was lost


async def test_limits_with_a_small_burst_are_exact_for_events(valkey_join: Join) -> None:
    rate, token_id = Rate(1, 3600, 100), uuid4()
    assert reserve_of(rate) == 0
    async with processes(valkey_join, 3) as limits:
        posting = counted(limits, rate, Rate(1, 3600, 8_000))
        assert sum(await post_all(posting, token_id, [1] * 240)) == 100
        refused = [one.charge_events(token_id, "192.0.2.1", 1) for one in posting]
        for one in refused:
            with pytest.raises(OverLimit, match="1/h burst 100 events of this token"):
                await one


@pytest.mark.usefixtures("kept")
async def test_the_events_of_a_post_wait_for_nothing_while_a_part_is_at_hand(
    valkey_join: Join, monkeypatch: pytest.MonkeyPatch
) -> None:
    token, address = Rate(1, 3600, 2_000), Rate(1, 3600, 8_000)
    part = 2_000 // 8 // (3 * (PROCESSES + 3))
    async with processes(valkey_join) as limits:
        one, *_ = posting = counted(limits, token, address)
        leases = limits[0]._leases
        monkeypatch.setattr(leases, "tidy", lambda: None)
        for _ in range(3):
            token_id = uuid4()
            for left in range(part):
                quota = without_wait(one.charge_events(token_id, "192.0.2.1", 1))
                assert quota.remaining == 2_000 - 1 - left
            account = leases._accounts["events_token", token_id]
            assert leases._at_hand(account, trio.current_time()) == 0
        await eventually(lambda: account.debt == 0)
        for size in (1, 2):  # a token that is busy is paid ahead as much as it has taken lately
            without_wait(one.charge_events(token_id, "192.0.2.1", size))
            await eventually(lambda: account.debt == 0 and not account.request_pending)
        assert account.lease > 0
        assert leases._at_hand(account, trio.current_time()) == part + account.lease
        owed = await owed_by(limits[1], Charge("events_token", token_id, token, 0, ""))
        assert round(owed / 3600) == part + 3 + account.lease
        assert await posting[1].charge_events(token_id, "192.0.2.1", LARGEST_POST) is not None


async def owed_by(limits: ValkeyLimits, charge: Charge) -> float:
    taken = await limits.take([charge], charge.key)
    assert taken is not None
    return taken.owed[0]


@pytest.mark.usefixtures("kept")
async def test_a_lease_that_is_not_used_is_lost_and_a_debt_that_was_lost_is_paid(
    valkey_join: Join, monkeypatch: pytest.MonkeyPatch
) -> None:
    token, token_id = Rate(1, 3600, 2_000), uuid4()
    charge = Charge("events_token", token_id, token, 0, "")
    async with processes(valkey_join, 2) as limits:
        (one, _), leases = counted(limits, token, Rate(1, 3600, 8_000)), limits[0]._leases
        tidy = leases.tidy
        monkeypatch.setattr(leases, "tidy", lambda: None)
        for _ in range(2):
            await one.charge_events(token_id, "192.0.2.1", 5)
            account = leases._accounts["events_token", token_id]
            await eventually(lambda: account.debt == 0)  # noqa: B023
        assert account.lease == 5
        tidy()
        assert leases._accounts["events_token", token_id] is account
        account.lease_until = 0.0
        tidy()
        assert ("events_token", token_id) not in leases._accounts
        account.debt = 3  # what was sent on a connection that was lost
        leases._accounts["events_token", token_id] = account
        before = await owed_by(limits[1], charge)
        tidy()
        await eventually(lambda: account.debt == 0)
        assert round((await owed_by(limits[1], charge) - before) / 3600) == 3


async def test_a_post_that_its_address_refuses_takes_nothing_of_its_token(
    valkey_join: Join,
) -> None:
    token, address = Rate(1, 3600, 50), Rate(1, 3600, 30)
    async with processes(valkey_join, 2) as limits:
        one, other = counted(limits, token, address)
        token_id = uuid4()
        await one.charge_events(uuid4(), "192.0.2.1", 20)
        for _ in range(10):
            with pytest.raises(OverLimit, match="address"):
                await other.charge_events(token_id, "192.0.2.1", 25)
        charge = Charge("events_token", token_id, token, 0, "")
        with trio.fail_after(PATIENCE):
            while await owed_by(limits[0], charge) > 2 * 3600:  # noqa: ASYNC110
                await trio.sleep(0.01)
