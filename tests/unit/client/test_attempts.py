"""When an attempt that nothing waits for is due again."""

import pytest

from relay.client.attempts import IdleAttempts
from relay.client.retry_pauses import FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS


class Clock:
    now = 1_000.0

    def __call__(self) -> float:
        return self.now


def test_pauses_grow_up_to_the_longest_and_are_short_again_after_a_success(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("random.uniform", lambda least, most: most)
    attempts = IdleAttempts(clock := Clock())
    pause = FIRST_PAUSE_SECONDS
    for _ in range(10):
        assert attempts.is_due
        assert not attempts.wait(None)
        clock.now += pause - 0.01
        assert not attempts.is_due
        clock.now += 0.01
        pause = min(2 * pause, LONGEST_PAUSE_SECONDS)
    attempts.succeed()
    attempts.wait(None)
    clock.now += FIRST_PAUSE_SECONDS
    assert attempts.is_due
    assert attempts.asked_pause == 0


def test_a_pause_that_relay_asks_for_counts_for_all_requests() -> None:
    attempts = IdleAttempts(clock := Clock())
    attempts.wait(30.0)
    assert 30 <= attempts.asked_pause <= 30 + FIRST_PAUSE_SECONDS
    clock.now += 29
    assert not attempts.is_due
    clock.now += 2
    assert (attempts.is_due, attempts.asked_pause) == (True, 0)
