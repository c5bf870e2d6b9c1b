"""Rates that processes count together in a Valkey: never over the limit, and exact where asked."""

from functools import partial
from itertools import cycle
from uuid import uuid4

import pytest
import trio
import trio.testing

from relay.config.parsers import Rate
from relay.shared_limits import Charge, Taken
from tests.support.backplanes import Join, by_valkey
from tests.support.patience import PATIENCE
from tests.support.shared_limits import at_once, processes
from tests.support.valkey_servers import ask

pytestmark = pytest.mark.usefixtures("patient")


def charge_of(rate: Rate, key: object = "192.0.2.1", cost: int = 1) -> Charge:
    return Charge("signups", key, rate, cost, "calls")


async def test_what_asks_each_time_is_exact_over_all_processes(valkey_join: Join) -> None:
    async with processes(valkey_join) as limits:
        for burst in (1, 10, 37):
            charge = charge_of(Rate(1, 3600, burst), key=burst)
            calls = [partial(one.take, [charge], charge.key) for one in limits] * 20
            taken = await at_once(calls)
            assert [one.refused for one in taken].count(None) == burst
            waits = [one.wait for one in taken if one.refused is not None]
            assert all(3600 - PATIENCE < wait <= 3600 for wait in waits)
            assert all(one.owed[0] <= burst * 3600 for one in taken)


async def test_what_was_taken_comes_back_at_the_rate(valkey_join: Join) -> None:
    rate = Rate(50, 1, 5)
    async with processes(valkey_join, 2) as limits:
        began = trio.current_time()
        turns, answers = cycle(limits), list[Taken | None]()
        while len(answers) < rate.burst or trio.current_time() < began + 0.5:
            answers.append(await next(turns).take([charge_of(rate)], "192.0.2.1"))
        taken = [answer is not None and answer.refused is None for answer in answers]
        assert all(taken[: rate.burst])
        assert taken.count(True) <= rate.burst + 50 * (trio.current_time() - began)
        answer = answers[-1]
        with trio.fail_after(PATIENCE):
            while answer is None or answer.refused is not None:
                await trio.sleep(answer.wait if answer else 0.0)
                answer = await limits[0].take([charge_of(rate)], "192.0.2.1")


async def test_charges_beside_one_key_are_taken_together_or_not_at_all(valkey_join: Join) -> None:
    user, rate = uuid4(), Rate(1, 3600, 3)
    of_user = Charge("waits_user", user, Rate(1, 3600, 100), 2, "beats")
    tasks = [Charge("waits", (user, name), rate, 1, "beats") for name in ("one", "two")]
    async with processes(valkey_join, 2) as limits:
        answers = await at_once([partial(one.take, [*tasks, of_user], user) for one in limits] * 5)
        assert [answer.refused for answer in answers].count(None) == 3
        (alone,) = await at_once([partial(limits[0].take, [of_user], user)])
        assert alone.refused is None
        assert round(alone.owed[0] / 3600) == 3 * 2 + 2  # refused ones took nothing


@pytest.mark.parametrize(
    ("stored", "owed"),
    [
        (b"nan", 0),
        (b"inf", 5),
        (b"-inf", 0),
        (b"-5", 0),
        (b"9e99", 5),
        (b"\x00\xff", 0),
        (b"", 0),
        (b"0x7fffffffffffff", 5),
    ],
)
async def test_what_others_store_there_refuses_for_one_burst_at_most(
    redis_url: str, stored: bytes, owed: int
) -> None:
    charge = charge_of(Rate(1, 3600, 5))
    async with processes(by_valkey(redis_url), 1) as (one,):
        key = one._leases._names.of_limit(charge.limit, charge.key, charge.key)
        port = int(redis_url.rpartition(":")[2])
        ask(port, "SET", key.name.decode(), stored.decode("latin-1"))
        taken = await one.take([charge], charge.key)
        assert taken is not None
        assert round(taken.owed[0] / 3600) == (owed or 1)
        assert (taken.refused is None) == (owed == 0)
        for kind in (("RPUSH", "x"), ("HSET", "x", "1"), ("SADD", "x")):
            ask(port, "DEL", key.name.decode())
            ask(port, kind[0], key.name.decode(), *kind[1:])
            taken = await one.take([charge], charge.key)
            assert taken is not None
            assert (taken.refused, round(taken.owed[0] / 3600)) == (None, 1)


async def test_a_clock_that_was_set_back_refuses_no_longer_than_one_burst(redis_url: str) -> None:
    rate, port = Rate(50, 1, 5), int(redis_url.rpartition(":")[2])
    first, second = charge_of(rate, "first"), charge_of(rate, "second")
    async with processes(by_valkey(redis_url), 1) as (one,):
        now = ask(port, "TIME")
        assert isinstance(now, list)
        ahead = (int(now[0]) + 3600) * 1_000_000  # as an hour ago, before it was set back
        for charge in (first, second):
            key = one._leases._names.of_limit(charge.limit, charge.key, "beside")
            ask(port, "SET", key.name.decode(), str(ahead))
        refused = await one.take([first, second], "beside")
        assert refused is not None
        assert (refused.refused, refused.owed) == (0, [0.1, 0.1])
        for charge in (first, second):  # the one that was not looked at first recovers, too
            with trio.fail_after(PATIENCE):
                answer: Taken | None = refused
                while answer is None or answer.refused is not None:
                    await trio.sleep(answer.wait if answer else 0.0)
                    answer = await one.take([charge], "beside")


async def test_nothing_there_names_an_address_a_user_or_a_token(redis_url: str) -> None:
    user, token, port = uuid4(), uuid4(), int(redis_url.rpartition(":")[2])
    async with processes(by_valkey(redis_url), 1) as (one,):
        before = set(_keys(port))
        await one.take([Charge("tokens", str(user), Rate(1, 60, 5), 1, "")], str(user))
        await one.take([Charge("events_token", token, Rate(1, 60, 5), 1, "")], token)
        await one.take([charge_of(Rate(1, 60, 5))], "192.0.2.1")
        names = set(_keys(port)) - before
        assert len(names) == 3
        plain = (str(user), str(token), "192.0.2.1", "signups")
        assert not [name for name in names if any(what in name for what in plain)]
        assert all(0 < int(str(ask(port, "PTTL", name))) <= 61_000 + 1_000 for name in names)


def _keys(port: int) -> list[str]:
    keys = ask(port, "KEYS", "*:limits:*")
    assert isinstance(keys, list)
    return keys
