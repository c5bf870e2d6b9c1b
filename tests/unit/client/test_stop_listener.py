"""A stop is an interrupt first, and harsher only where that does not help."""

import signal

import pytest

from relay.client.stop_listener import stop_in_steps


@pytest.mark.parametrize("ends_after", [1, 2, 3])
def test_each_signal_is_reported_and_sent_until_the_work_has_ended(ends_after: int) -> None:
    happened: list[object] = []

    def wait(_seconds: float) -> bool:
        return len(happened) == 2 * ends_after

    stop_in_steps(happened.append, wait, happened.append)
    expected: list[object] = []
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL)[:ends_after]:
        expected += [f"asked to stop: {number.name} is sent", number]
    assert happened == expected
