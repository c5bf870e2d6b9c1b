"""GCRA compared with a leaky bucket, and a store that stays bounded."""

from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.config.parsers import Rate, rate
from relay.config.settings import Settings
from relay.rate_limiting import CODES_OF_CLIENT, Allowances, Limits, OverLimit
from relay.web.address_block import address_block

TOKEN = uuid4()


class Clock:
    """Time goes on when the test says so."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


def limits_at(clock: Clock, **rates: str) -> Limits:
    environ = {f"RELAY_RATE_{name.upper()}": text for name, text in rates.items()}
    return Limits(Settings.load(environ), clock)


async def test_a_burst_may_come_at_once_and_then_the_steady_rate() -> None:
    clock = Clock()
    limits = limits_at(clock, events_per_token="2/s burst 5")
    left = [await limits.charge_events(TOKEN, "192.0.2.1", 1) for _ in range(5)]
    assert [quota.remaining for quota in left if quota] == [4, 3, 2, 1, 0]
    with pytest.raises(OverLimit, match=r"More than 2/s burst 5 events of this token"):
        await limits.charge_events(TOKEN, "192.0.2.1", 1)
    clock.now += 0.5
    await limits.charge_events(TOKEN, "192.0.2.1", 1)
    with pytest.raises(OverLimit) as refused:
        await limits.charge_events(TOKEN, "192.0.2.1", 3)
    assert refused.value.headers["Retry-After"] == "2"
    assert (refused.value.quota.limit, refused.value.quota.remaining) == (5, 0)


async def test_events_count_not_calls_and_a_refusal_takes_nothing() -> None:
    limits = limits_at(Clock(), events_per_token="1/s burst 10", events_per_address="1/s burst 12")
    assert await limits.charge_events(TOKEN, "192.0.2.1", 10) == (10, 0, 10)
    with pytest.raises(OverLimit, match="address"):
        await limits.charge_events(uuid4(), "192.0.2.1", 3)
    assert await limits.charge_events(uuid4(), "192.0.2.1", 2) == (12, 0, 12)
    assert await limits.charge_events(uuid4(), "192.0.2.2", 10) is not None


async def test_a_code_that_is_given_back_can_be_mailed_again() -> None:
    limits = limits_at(Clock(), mail_codes="2/d")
    user_id, given = uuid4(), ("ada@example.com", "192.0.2.1")
    for left in (1, 0):
        quota = await limits.charge_mail_code(user_id, *given)
        assert quota is not None
        assert quota.remaining == left
    await limits.refund_mail_code(user_id, *given)
    assert await limits.charge_mail_code(user_id, *given) is not None
    with pytest.raises(OverLimit):
        await limits.charge_mail_code(user_id, *given)
    for _ in range(5):  # no more than nothing is owed
        await limits.refund_mail_code(user_id, *given)
    for _ in range(2):
        await limits.charge_mail_code(user_id, *given)
    with pytest.raises(OverLimit):
        await limits.charge_mail_code(user_id, *given)


async def test_tries_at_a_mail_server_that_takes_nothing_are_charged_to_the_client() -> None:
    limits = limits_at(Clock(), mail_codes="2/d")
    given = (uuid4(), "ada@example.com", "192.0.2.1")
    for _ in range(2 * CODES_OF_CLIENT):
        await limits.charge_mail_code(*given)
        await limits.refund_mail_code(*given, tried=True)
    with pytest.raises(OverLimit, match="this network"):
        await limits.charge_mail_code(*given)


async def test_a_request_larger_than_the_burst_is_refused_as_such() -> None:
    limits = limits_at(Clock(), events_per_token="5/s")
    with pytest.raises(OverLimit, match="At most 5 events of this token are allowed at once"):
        await limits.charge_events(TOKEN, "192.0.2.1", 6)


async def test_limits_are_off_when_they_are_off() -> None:
    limits = Limits(Settings.load({"RELAY_RATE_LIMITS": "off"}), Clock())
    assert [await limits.charge_events(TOKEN, "192.0.2.1", 1000) for _ in range(100)] == [
        None
    ] * 100
    assert not len(limits.allowances)


@given(
    st.integers(1, 20),
    st.integers(1, 50),
    st.lists(st.tuples(st.integers(0, 40), st.integers(1, 12)), max_size=60),
)
async def test_gcra_equals_a_leaky_bucket(
    count: int, burst: int, calls: list[tuple[int, int]]
) -> None:
    """In tenths of a second: admitted exactly when the bucket has room for all of it."""
    clock = Clock()
    limits = limits_at(clock, events_per_token=f"{count}/s burst {burst}")
    level = 0.0
    for pause, cost in calls:
        clock.now += pause / 10
        level = max(0.0, level - count * pause / 10)
        fits = level + cost <= burst + 1e-6
        try:
            quota = await limits.charge_events(TOKEN, "192.0.2.1", cost)
        except OverLimit:
            assert level + cost > burst - 1e-6
        else:
            assert fits
            level += cost
            assert quota is not None
            assert abs(quota.remaining - (burst - level)) < 1 + 1e-6


def test_the_store_evicts_idle_keys_first_and_then_the_least_loaded() -> None:
    clock = Clock()
    memory = Allowances(max_keys=100, clock=clock)
    for number in range(90):
        memory.set(number, clock.now + 1)
    clock.now += 2
    for number in range(100, 200):
        memory.set(number, clock.now + number)
    assert len(memory) == 100  # the idle ones went unasked
    for number in range(200, 205):
        memory.set(number, clock.now + number)
    assert len(memory) <= 100
    assert memory.get(100, clock.now) == clock.now
    assert memory.get(199, clock.now) == clock.now + 199


@pytest.mark.parametrize(
    ("address", "block"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::1", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("local", "local"),
        ("not:an:address", "not:an:address"),
    ],
)
def test_one_ipv6_subscriber_counts_as_one(address: str, block: str) -> None:
    assert address_block(address) == block


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("50/s burst 2000", Rate(50, 1, 2000)),
        (" 10/MIN ", Rate(10, 60, 10)),
        ("600/h", Rate(600, 3600, 600)),
    ],
)
def test_rates_are_parsed(text: str, meant: Rate) -> None:
    assert rate(text) == meant
    assert rate(str(meant)) == meant


@pytest.mark.parametrize("text", ["", "0/s", "10", "10/day", "10/s burst 0", "-1/s", "1e3/s"])
def test_an_invalid_rate_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="must be a rate like"):
        rate(text)


async def test_users_are_counted_separately() -> None:
    limits = limits_at(Clock(), handshakes="1/min")
    for number in range(3):
        await limits.charge_viewer(UUID(int=number))
        await limits.charge_handshake(f"192.0.2.{number}")
    with pytest.raises(OverLimit):
        await limits.charge_viewer(UUID(int=1))
