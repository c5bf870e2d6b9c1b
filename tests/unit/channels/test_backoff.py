"""When a notification is tried again."""

from itertools import takewhile
from typing import Any

import pytest

from relay.channels.backoff import JITTER, MAX_PAUSE_SECONDS, TRIED_FOR_SECONDS, next_pause


def pauses(**how: Any) -> list[float]:
    """The pauses of a notification that always fails, as long as it is tried."""
    found: list[float] = []
    while (pause := next_pause(len(found) + 1, sum(found), **how)) is not None:
        found.append(pause)
    return found


def test_pauses_grow_to_an_hour_and_last_for_a_day() -> None:
    found = pauses(draw=lambda: 0.5)
    assert found[:4] == [5, 15, 45, 135]
    growing = list(takewhile(lambda pause: pause < MAX_PAUSE_SECONDS, found))
    assert growing == sorted(growing)
    assert set(found[len(growing) :]) == {MAX_PAUSE_SECONDS}
    assert TRIED_FOR_SECONDS - MAX_PAUSE_SECONDS < sum(found) <= TRIED_FOR_SECONDS


@pytest.mark.parametrize(("drawn", "share"), [(0.0, 1 - JITTER), (1.0, 1 + JITTER)])
def test_pauses_are_spread(drawn: float, share: float) -> None:
    assert next_pause(1, 0, draw=lambda: drawn) == pytest.approx(5 * share)


def test_a_receiver_that_asks_for_more_time_gets_it() -> None:
    assert next_pause(1, 0, wanted_s=600, draw=lambda: 0.5) == 600
    assert next_pause(6, 0, wanted_s=1, draw=lambda: 0.5) == 1_215
    # beyond the day it gets one last attempt at its end
    assert next_pause(1, TRIED_FOR_SECONDS - 50, wanted_s=600, draw=lambda: 0.5) == 50


def test_after_a_day_it_is_given_up() -> None:
    assert next_pause(1, TRIED_FOR_SECONDS - 1, draw=lambda: 0.5) is None
    assert next_pause(10_000, TRIED_FOR_SECONDS + 1) is None
