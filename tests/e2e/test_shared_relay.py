"""Tests share a Relay, unless they reach into it."""

import pytest
from trio.testing import MockClock

from tests.support.relay_server import Relay
from tests.support.shared_relay import SharedRelay


async def test_a_test_that_only_uses_relay_shares_it(
    relay: Relay, shared_relay: SharedRelay
) -> None:
    assert relay.url == shared_relay.url


async def test_a_test_with_its_database_has_its_own_relay(
    relay: Relay, shared_relay: SharedRelay, database_url: str
) -> None:
    assert relay.url != shared_relay.url


async def test_a_test_with_a_clock_has_its_own_relay(
    relay: Relay, shared_relay: SharedRelay, clock: MockClock
) -> None:
    assert relay.url != shared_relay.url


@pytest.mark.own_relay
async def test_a_test_with_the_mark_has_its_own_relay(
    relay: Relay, shared_relay: SharedRelay
) -> None:
    assert relay.url != shared_relay.url
