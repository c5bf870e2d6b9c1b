"""The process between the runner and the command. It starts the command and reports on it.

Where the command has a terminal of its own, it leads the command's session, as a shell would: a
session leader cannot be stopped by a key, so the command must not be one. Else it stands in the
runner's process group with the command and reports the signals that it gets: a signal to the whole
group has reached the command too, and need not be forwarded.
"""

import os
import signal
from collections.abc import Callable, Iterable

from relay.runner.execution import Execution
from relay.runner.leader_process import LeaderProcess
from relay.runner.leader_protocol import LeaderReport, LeaderRequest, ReportKind
from relay.runner.signal_forwarding import FORWARDED

_ANSWERS_TO_STOP = (ReportKind.RUNNER_STOPPED, ReportKind.NOT_STOPPED, ReportKind.ENDED)


class SessionLeader:
    """The session leader, as the runner uses it."""

    def __init__(self, execution: Execution, runner_files: Iterable[int]) -> None:
        """Fork the process. No other thread may run yet.

        `runner_files` are the descriptors that it closes.
        """
        reports, reports_write = os.pipe()
        held, self._hold = os.pipe()
        runner = os.getpid()
        self._process = os.fork()
        if self._process == 0:
            try:
                for fd in (reports, self._hold):
                    os.close(fd)
                leader = LeaderProcess(execution, reports_write, runner)
                if leader.start(runner_files):
                    leader.watch(frozenset() if execution.terminal else frozenset(FORWARDED))
                    os.read(held, 1)  # until `release`: when the leader ends, the session ends
            finally:
                os._exit(0)
        os.close(reports_write)
        os.close(held)
        self._reports = os.fdopen(reports, "rb", buffering=0)  # for `reports`

    @property
    def reports(self) -> int:
        """A descriptor that is readable when `next_report` returns at once."""
        return self._reports.fileno()

    def next_report(self) -> LeaderReport:
        """Wait for its next report.

        When the leader itself has been killed, the command counts as killed: ENDED by SIGKILL.
        """
        line = self._reports.readline()
        return LeaderReport.decode(line) if line else LeaderReport(ReportKind.ENDED, signal.SIGKILL)

    def request_signals(self) -> None:
        """Request reports of all signals that it got until now, followed by SIGNALS_REPORTED."""
        os.kill(self._process, LeaderRequest.REPORT_SIGNALS)

    def stop_runner(self, on_report: Callable[[LeaderReport], None]) -> LeaderReport:
        """Request that it stops the runner, unless the command continues already; wait for it.

        The leader stops the runner and continues it, so that both come in the order in which the
        command stopped and continued. Returns RUNNER_STOPPED, NOT_STOPPED, or the command's ENDED.
        `on_report` gets the reports before it: of signals, or that it stopped once more.
        """
        os.kill(self._process, LeaderRequest.STOP_RUNNER)
        while (report := self.next_report()).kind not in _ANSWERS_TO_STOP:
            on_report(report)
        return report

    def continue_command(self) -> None:
        """Request that it continues the command, if the command is stopped.

        Only the leader knows whether it is stopped, and has the permission: a process may continue
        another user's process only within its own session.
        """
        os.kill(self._process, LeaderRequest.CONTINUE_COMMAND)

    def forward_stop_key(self) -> None:
        """Request that it stops the command with SIGTSTP, unless the whole group got one."""
        os.kill(self._process, LeaderRequest.FORWARD_STOP_KEY)

    def release(self) -> None:
        """Let it end and wait for it, so that the processor time of both counts as ours."""
        os.close(self._hold)
        self._reports.close()
        os.waitpid(self._process, 0)
