"""The command as a job in a terminal of its own: its stop, its continuation and its signals."""

import signal
import threading
from types import FrameType

from relay.runner.leader_protocol import LeaderReport, ReportKind
from relay.runner.session_leader import SessionLeader
from relay.runner.signal_forwarding import send_group_signal, send_signal
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

    def stop_runner(self) -> LeaderReport:
        """The command has stopped: stop too, give the terminal to the shell, and continue with it.

        Returns the session leader's answer: RUNNER_STOPPED when both have continued, NOT_STOPPED
        when the command had continued already, or the command's ENDED.
        """
        with self._stopping:
            self.terminal.restore()
            # The leader's SIGTSTP waits until its answer has come. A key that is pressed meanwhile
            # is one signal with it: not blocked, it would stop the runner a second time.
            before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTSTP})
            handler = signal.signal(signal.SIGTSTP, signal.SIG_DFL)
            answer = self._leader.stop_runner()
            stops = answer.kind is ReportKind.RUNNER_STOPPED
            if stops:
                # Stops here until the shell continues it; not at all in an orphaned group.
                signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTSTP})
                signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTSTP})
            signal.signal(signal.SIGTSTP, handler)
            self._return_to_terminal()
            if stops:
                self._leader.continue_command()
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
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

    def signal_foreground(self, number: int) -> None:
        """Send a signal to all that a key in the command's terminal would reach."""
        if group := self.terminal.foreground_group():
            send_group_signal(group, number)

    def on_stop_key(self, _number: int, _frame: FrameType | None) -> None:
        """The handler of the runner's SIGTSTP: it stops the command, and so the runner later."""
        self.signal_foreground(signal.SIGTSTP)

    def _return_to_terminal(self) -> None:
        self.terminal.resize()
        self.terminal.make_raw()
