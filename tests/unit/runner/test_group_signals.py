"""A signal to the runner is forwarded, unless the whole process group got it."""

import threading
from collections.abc import Callable
from signal import SIGINT, SIGTERM, Signals
from types import SimpleNamespace

import pytest

from relay.runner import group_signals
from relay.runner.group_signals import GroupSignals
from tests.support.patience import PATIENCE


def leader(*late: Signals) -> GroupSignals:
    """The signals of a session leader that reports these only when it is asked."""
    waiting = list(late)

    def answer() -> None:
        while waiting:
            signals.report(waiting.pop())
        signals.all_reported()

    signals = GroupSignals(answer)
    return signals


def test_a_signal_the_leader_also_received_is_not_forwarded() -> None:
    signals = leader()
    signals.report(SIGTERM)
    assert signals.reached_command(SIGTERM)


def test_a_leader_that_has_not_run_yet_is_asked_first() -> None:
    assert leader(SIGTERM).reached_command(SIGTERM)


def test_a_signal_to_the_runner_alone_is_forwarded() -> None:
    assert not leader().reached_command(SIGTERM)
    assert not leader(SIGINT).reached_command(SIGTERM)


def test_one_report_is_about_one_signal() -> None:
    signals = leader()
    signals.report(SIGTERM)
    assert [signals.reached_command(SIGTERM) for _ in range(2)] == [True, False]


def test_two_signals_to_the_group_may_be_one_for_the_runner() -> None:
    signals = leader(SIGINT)
    signals.report(SIGINT)
    assert [signals.reached_command(SIGINT) for _ in range(2)] == [True, False]


def test_a_report_is_also_about_a_signal_that_is_pending_by_then() -> None:
    pending = [SIGINT]
    signals = GroupSignals(lambda: signals.all_reported(), lambda: pending)
    signals.report(SIGINT)
    assert signals.reached_command(SIGINT)
    pending.clear()  # it is taken
    assert [signals.reached_command(SIGINT) for _ in range(2)] == [True, False]


def test_a_sender_may_send_to_the_leader_after_the_runner(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(group_signals, "WAIT_SECONDS", PATIENCE)
    later = threading.Thread(target=lambda: signals.report(SIGTERM))

    def answer() -> None:
        signals.all_reported()
        later.start()

    signals = GroupSignals(answer)
    assert signals.reached_command(SIGTERM)
    later.join()


@pytest.mark.parametrize(("seconds", "counts"), [(30, True), (90, False)])
def test_a_report_counts_longer_than_the_runner_may_wait_for_a_processor(
    monkeypatch: pytest.MonkeyPatch, seconds: int, counts: bool
) -> None:
    now = [0.0]
    monkeypatch.setattr(group_signals, "time", SimpleNamespace(monotonic=lambda: now[0]))
    signals = leader()
    signals.report(SIGINT)
    now[0] = seconds
    assert signals.reached_command(SIGINT) == counts


def test_nothing_is_forwarded_to_a_command_that_has_ended() -> None:
    def no_leader() -> None:
        raise AssertionError("it is asked no more")

    signals = GroupSignals(no_leader)
    signals.close()
    assert signals.reached_command(SIGTERM)


def test_a_command_that_ends_meanwhile_ends_the_wait() -> None:
    ends: list[Callable[[], None]] = []
    signals = GroupSignals(lambda: ends[0]())
    ends.append(signals.close)
    assert signals.reached_command(SIGTERM)


def test_a_report_before_the_end_is_known_after_it() -> None:
    signals = leader()
    signals.report(SIGINT)
    signals.close()
    assert [signals.has(SIGINT), signals.has(SIGTERM)] == [True, False]
    assert signals.reached_command(SIGINT)
    assert not signals.has(SIGINT)
