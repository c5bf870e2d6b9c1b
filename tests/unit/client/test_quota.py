"""The RateLimit header fields: what a client reads from them, and how long it waits."""

import time

import pytest

from relay.client.quota import Quota, read_quota


def headers(limit: object, remaining: object, reset: object) -> dict[str, str]:
    names = ("RateLimit-Limit", "RateLimit-Remaining", "RateLimit-Reset")
    return dict(zip(names, map(str, (limit, remaining, reset)), strict=True))


@pytest.mark.parametrize(
    ("limit", "remaining", "reset", "events", "seconds"),
    [
        (2_000, 2_000, 0, 1_000, 0),  # all is free
        (2_000, 1_000, 20, 1_000, 0),  # just enough
        (2_000, 0, 40, 1_000, 20),  # 50 a second
        (2_000, 500, 30, 1_000, 10),
        (100, 0, 10, 1_000, 10),  # more than is ever allowed: for as many as are
        (2_000, 0, 0, 1_000, 0),  # a clock between two seconds
    ],
)
def test_the_wait_for_events(
    monkeypatch: pytest.MonkeyPatch,
    *,
    limit: int,
    remaining: int,
    reset: int,
    events: int,
    seconds: float,
) -> None:
    monkeypatch.setattr(time, "monotonic", lambda: 1_000.0)
    found = read_quota(200, headers(limit, remaining, reset))
    assert found is not None
    assert found.wait_for(events) == seconds
    monkeypatch.setattr(time, "monotonic", lambda: 1_005.0)  # time passes in between
    assert found.wait_for(events) == max(0, seconds - 5)


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"RateLimit-Limit": "10"},
        headers("-1", 0, 0),
        headers("1e3", 0, 0),
        headers("²", 0, 0),
        headers(0, 0, 0),
        headers("9" * 5_000, 0, 0),
        headers("10;w=1", 0, 0),
    ],
)
def test_headers_that_are_not_relays_say_nothing(given: dict[str, str]) -> None:
    assert read_quota(200, given) is None


def test_a_refusal_is_known_from_its_status() -> None:
    found = read_quota(429, headers(10, 12, 3))
    assert isinstance(found, Quota)
    assert (found.is_exceeded, found.remaining) == (True, 10)
