"""A test goes by the clock that it takes, and by no other."""

import pytest
import trio
from trio.testing import MockClock

from tests.support.clock import unused_clocks

HOUR = 3600.0


@pytest.fixture
async def an_hour_later(autojump_clock: MockClock) -> float:
    """When it has gone by: at once."""
    began = trio.current_time()
    await trio.sleep(HOUR)
    return trio.current_time() - began


async def test_a_clock_that_a_test_takes_is_that_of_its_fixtures(
    an_hour_later: float, autojump_clock: MockClock
) -> None:
    assert an_hour_later == HOUR
    assert trio.lowlevel.current_clock() is autojump_clock


def test_one_that_only_a_fixture_takes_is_unused() -> None:
    assert unused_clocks(["looks", "clock"], ["looks", "clock"]) == set()
    assert unused_clocks(["looks", "autojump_clock"], ["looks"]) == {"autojump_clock"}
    assert unused_clocks(["looks"], ["looks"]) == set()
