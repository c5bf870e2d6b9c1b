"""Stops the runner when the command has stopped, so that the shell sees one job."""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from relay.runner.leader_protocol import LeaderReport, ReportKind
from relay.runner.session_leader import SessionLeader

# The signals that stop a process and can be blocked; SIGSTOP stops it in any case.
STOP_SIGNALS = (signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU)


@contextmanager
def stop_signals_held() -> Iterator[None]:
    """Block the stop signals, with their default action for `stop_with_command`.

    The leader's signal waits until its answer has come. A key that is pressed meanwhile is one
    signal with it: not blocked, it would stop the runner a second time.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)
    handlers = [signal.signal(number, signal.SIG_DFL) for number in STOP_SIGNALS]
    try:
        yield
    finally:
        for number, handler in zip(STOP_SIGNALS, handlers, strict=True):
            signal.signal(number, handler)
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def stop_with_command(
    leader: SessionLeader, on_report: Callable[[LeaderReport], None]
) -> LeaderReport:
    """Stop here until the runner is continued, unless the command continues already.

    Call it with the stop signals held. Returns the session leader's answer: RUNNER_STOPPED when
    the runner has continued, NOT_STOPPED when the command had continued already, or the command's
    ENDED. `on_report` gets the reports that came before it.
    """
    answer = leader.stop_runner(on_report)
    if answer.kind is ReportKind.RUNNER_STOPPED:
        # Stops here until the shell continues it; not at all in an orphaned group.
        signal.pthread_sigmask(signal.SIG_UNBLOCK, STOP_SIGNALS)
        signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)
    return answer
