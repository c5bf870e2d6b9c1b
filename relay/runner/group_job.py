"""The command in the runner's own process group: what the group got is not sent to it again."""

import os
import signal
from collections.abc import Sequence
from types import FrameType

from relay.runner.group_signals import GroupSignals
from relay.runner.leader_protocol import LeaderReport, ReportKind
from relay.runner.output_terminal import OutputTerminal
from relay.runner.session_leader import SessionLeader
from relay.runner.signal_forwarding import send_group_signal, send_signal
from relay.runner.stopping import stop_signals_held, stop_with_command


class GroupJob:
    """A command that shares the terminal, if there is one, with the programs beside it.

    Keys and their signals reach it without the runner. The runner stops only when the command
    does: a program may do something else when the stop key is pressed.
    """

    def __init__(
        self, leader: SessionLeader, command: int, terminals: Sequence[OutputTerminal]
    ) -> None:
        self._leader = leader
        self._command = command
        self._terminals = terminals
        self._signals = GroupSignals(leader.request_signals)
        self.stops_runner = True

    def report(self, report: LeaderReport) -> None:
        """Take a report of the leader: of signals, and of the end, after which there are none."""
        if report.kind is ReportKind.GROUP_SIGNAL:
            self._signals.report(report.number)
        elif report.kind is ReportKind.SIGNALS_REPORTED:
            self._signals.all_reported()
        elif report.kind is ReportKind.ENDED:
            self._signals.close()

    def stop_runner(self) -> LeaderReport:
        """The command has stopped: stop as it did, and continue with it.

        Returns the session leader's answer, as `stop_with_command` does.
        """
        for terminal in self._terminals:
            terminal.follow()  # before a stop, programs set back what they have set
        with stop_signals_held():
            answer = stop_with_command(self._leader, self.report)
            if answer.kind is ReportKind.RUNNER_STOPPED:
                self._leader.continue_command()
        self.resize()
        return answer

    def continued(self) -> None:
        """The runner got a SIGCONT. The command is continued by `stop_runner`."""
        self.resize()

    def make_raw(self) -> None:
        """Only the command makes its terminal raw."""

    def resize(self) -> None:
        """Copy the size of the runner's terminal.

        The group got the SIGWINCH before the size was here: it gets another one.
        """
        if any([terminal.resize() for terminal in self._terminals]):
            send_group_signal(os.getpgrp(), signal.SIGWINCH)

    def forward(self, number: int, _from_process: bool) -> None:
        """Send the command a signal that the runner got, unless the whole group got it."""
        if not self._signals.reached_command(number):
            send_signal(self._command, number)

    def stop(self, number: int) -> None:
        """Send the command a signal. Programs beside it do not get it."""
        send_signal(self._command, number)

    def got(self, number: int) -> bool:
        """Whether the command got a signal that the runner has only now."""
        return self._signals.has(number)

    def on_stop_key(self, _number: int, _frame: FrameType | None) -> None:
        """The handler of the runner's SIGTSTP: the leader knows whether the group got it."""
        self._leader.forward_stop_key()

    def end(self) -> None:
        """The command has ended, and its output is copied: there is nothing to give back."""
