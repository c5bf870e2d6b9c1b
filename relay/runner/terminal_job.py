"""The command as a job in a terminal of its own: its stop, its continuation and its signals."""

import os
import signal
import threading
from contextlib import suppress
from types import FrameType

from relay.runner.leader_protocol import LeaderReport, ReportKind
from relay.runner.session_leader import SessionLeader
from relay.runner.signal_forwarding import send_group_signal, send_signal
from relay.runner.stopping import stop_signals_held, stop_with_command
from relay.runner.terminal import Terminal


class TerminalJob:
    """Stops the runner when the command stops, so that the shell sees one job, not two."""

    def __init__(self, terminal: Terminal, leader: SessionLeader, command: int) -> None:
        self.terminal = terminal
        self._leader = leader
        self._command = command
        # Where the stop key is ignored, nothing expects the runner to stop.
        self.stops_runner = signal.getsignal(signal.SIGTSTP) is not signal.SIG_IGN
        self._stopping = threading.Lock()  # held from the command's stop until both continue

    def report(self, report: LeaderReport) -> None:
        """Take a report of the leader: none means anything here."""

    def stop_runner(self) -> LeaderReport:
        """The command has stopped: stop too, give the terminal to the shell, and continue with it.

        Returns the session leader's answer, as `stop_with_command` does.
        """
        with self._stopping:
            self.terminal.restore()
            with stop_signals_held():
                answer = stop_with_command(self._leader, self.report)
                self._return_to_terminal()
                if answer.kind is ReportKind.RUNNER_STOPPED:
                    self._leader.continue_command()
        return answer

    def continued(self) -> None:
        """The runner got a SIGCONT.

        Where the runner stops with the command, `stop_runner` continues the command. Not here:
        this may come late, when the next key has stopped the command again.
        """
        with self._stopping:
            self._return_to_terminal()
        if not self.stops_runner:
            self._leader.continue_command()

    def resize(self) -> None:
        """Copy the size of the runner's terminal."""
        self.terminal.resize()

    def make_raw(self) -> None:
        """Take the keyboard, if the runner has come to the foreground."""
        with self._stopping:
            self.terminal.make_raw()

    def forward(self, number: int, from_process: bool) -> None:
        """Send the command a signal that the runner got, from a process or for a key.

        The command did not get it: its terminal is another one. A key's signal and a hang-up are
        for all that the terminal's keys reach, as in the runner's terminal.
        """
        if from_process and number != signal.SIGHUP:
            send_signal(self._command, number)
        else:
            self.signal_foreground(number)

    def stop(self, number: int) -> None:
        """Send a signal to all that a key in the command's terminal would reach, and the command.

        Neither gets it twice.
        """
        group = self.terminal.foreground_group()
        self.signal_foreground(number)
        with suppress(ProcessLookupError):
            if os.getpgid(self._command) != group:
                send_signal(self._command, number)

    def got(self, _number: int) -> bool:
        """Whether the command got a signal that the runner has only now: not in its terminal."""
        return False

    def signal_foreground(self, number: int) -> None:
        """Send a signal to all that a key in the command's terminal would reach."""
        if group := self.terminal.foreground_group():
            send_group_signal(group, number)

    def on_stop_key(self, _number: int, _frame: FrameType | None) -> None:
        """The handler of the runner's SIGTSTP: it stops the command, and so the runner later."""
        self.signal_foreground(signal.SIGTSTP)

    def end(self) -> None:
        """The command has ended, and its output is copied."""
        self.terminal.restore()

    def _return_to_terminal(self) -> None:
        self.terminal.resize()
        self.terminal.make_raw()
