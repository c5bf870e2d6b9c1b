"""The session leader's own process: it starts the command, waits for it and reports."""

import errno
import os
import signal
from collections.abc import Iterable
from contextlib import suppress

from relay.runner.execution import Execution, execute
from relay.runner.leader_protocol import LeaderReport, LeaderRequest, ReportKind
from relay.runner.states import TRANSITIONS, Change, CommandState


class LeaderProcess:
    """Runs in the fork. The state is kept here alone: only a parent can wait for a command."""

    def __init__(self, execution: Execution, reports: int, runner: int) -> None:
        """`reports` is the pipe to write to, `runner` the process that reads it."""
        self._execution = execution
        self._terminal = execution.terminal
        self._reports = reports
        self._runner = runner
        self._runner_group = os.getpgrp()  # with a terminal of its own, this process leaves it
        self._state = CommandState.STARTING
        self._command = 0  # its process
        self._stopped_by = 0  # the signal that stopped it last
        self._continued = False  # the command has, since the runner was stopped
        self._group_signals: frozenset[int] = frozenset()  # to report

    def start(self, runner_files: Iterable[int]) -> bool:
        """Start the command, report the result, and return whether it runs.

        `runner_files` are both ends of the runner's pipes and terminals. They are closed here, or
        the reader of a pipe would never see its end.
        """
        signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        if self._terminal is not None:
            os.setsid()
            self._terminal.make_controlling()
            # When the terminal is gone, the session ends, and the command gets a SIGHUP.
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGHUP})
        try:
            errors, errors_write = os.pipe()
            self._command = os.fork()
        except OSError as error:
            self._change(Change.FAILED_TO_START)
            self._report(ReportKind.CANNOT_FORK, error.errno or errno.EAGAIN)
            return False
        if self._command == 0:
            execute(self._execution, errors_write)
        os.close(errors_write)
        self._close_files(runner_files)
        if number := os.read(errors, 16):  # empty once the command's program runs
            os.waitpid(self._command, 0)
            self._change(Change.FAILED_TO_START)
            self._report(ReportKind.FAILED_TO_START, int(number))
            return False
        os.close(errors)
        self._change(Change.STARTED)
        self._report(ReportKind.STARTED, self._command)
        return True

    def watch(self, group_signals: frozenset[int]) -> None:
        """Report what happens and do what is requested, until the command has ended.

        `group_signals` are reported as well: this process gets them with its whole group only. A
        signal that ended the command is reported before the end.
        """
        self._group_signals = group_signals
        awaited = {signal.SIGCHLD, *LeaderRequest, *group_signals}
        while self._state is not CommandState.ENDED:
            number = signal.sigwait(awaited)
            if number in group_signals:
                self._report(ReportKind.GROUP_SIGNAL, number)
            elif number == LeaderRequest.REPORT_SIGNALS:
                self._report_signals()
                self._report(ReportKind.SIGNALS_REPORTED)
            else:
                self._collect_changes()  # before a request, which depends on the current state
                if number == LeaderRequest.STOP_RUNNER:
                    self._stop_runner()
                elif number == LeaderRequest.CONTINUE_COMMAND:
                    self._continue_command()
                elif number == LeaderRequest.FORWARD_STOP_KEY:
                    self._forward_stop_key()

    def _collect_changes(self) -> None:
        """Wait for the command without blocking, and follow every change."""
        while self._state is not CommandState.ENDED:
            process, status = os.waitpid(self._command, os.WNOHANG | os.WUNTRACED | os.WCONTINUED)
            if not process:
                return
            runner_stopped = self._state is CommandState.STOPPED_WITH_RUNNER
            if os.WIFSTOPPED(status):
                # A second stop: it continued before, with its group, which is the runner's. Its
                # SIGCONT shows nothing here: the next stop key takes it from those that wait.
                self._continued |= runner_stopped and self._terminal is None
                self._stopped_by = os.WSTOPSIG(status)
                self._change(Change.STOPPED)
                self._report(ReportKind.STOPPED, self._stopped_by)
                continue
            if runner_stopped:
                self._continued = True
                # Another process continued or killed the command: the runner must continue, too.
                os.kill(self._runner, signal.SIGCONT)
            if os.WIFCONTINUED(status):
                self._change(Change.CONTINUED)
            else:
                self._change(Change.ENDED)
                self._leave_terminal()
                self._report_signals()  # one of them may have ended it
                self._report(ReportKind.ENDED, status)

    def _report_signals(self) -> None:
        while pending := signal.sigpending() & self._group_signals:
            self._report(ReportKind.GROUP_SIGNAL, signal.sigwait(pending))

    def _stop_runner(self) -> None:
        """Stop the runner as the command was stopped, if the command still is."""
        if self._state is CommandState.ENDED:
            return  # the end has been reported
        if self._state is CommandState.RUNNING:
            self._report(ReportKind.NOT_STOPPED)
            return
        self._change(Change.RUNNER_STOPPED)
        self._continued = False
        if self._terminal is None:
            # The stop key has stopped the group's other processes already.
            _discard_pending(signal.SIGTSTP)
            os.kill(self._runner, self._stopped_by)
        elif self._stopped_by == signal.SIGSTOP:
            os.kill(self._runner, signal.SIGSTOP)
        else:
            os.killpg(self._runner_group, signal.SIGTSTP)
        self._report(ReportKind.RUNNER_STOPPED)

    def _continue_command(self) -> None:
        """Continue the command, and all processes that the stop key would have stopped with it."""
        if self._state not in (CommandState.STOPPED, CommandState.STOPPED_WITH_RUNNER):
            return
        self._change(Change.RUNNER_CONTINUED)
        if self._continued:
            return  # and has stopped once more
        with suppress(OSError):
            if self._terminal is not None:
                foreground = os.tcgetpgrp(self._terminal.command_side)
                os.killpg(foreground, signal.SIGCONT)
                if foreground == os.getpgid(self._command):
                    return  # the command is in it: one SIGCONT is enough
        with suppress(OSError):
            os.kill(self._command, signal.SIGCONT)

    def _forward_stop_key(self) -> None:
        """Stop the command, as the runner was to be stopped, unless the whole group was."""
        if signal.SIGTSTP in signal.sigpending():
            _discard_pending(signal.SIGTSTP)
        elif self._state is CommandState.RUNNING:
            os.kill(self._command, signal.SIGTSTP)

    def _close_files(self, runner_files: Iterable[int]) -> None:
        inside = None if self._terminal is None else self._terminal.command_side
        for fd in runner_files:
            if fd != inside:  # the terminal that this process controls
                os.close(fd)
        nothing = os.open(os.devnull, os.O_RDWR)
        for fd in (0, 1, 2):
            os.dup2(nothing, fd)

    def _leave_terminal(self) -> None:
        """Take the foreground, so that the session's end hangs up no background process."""
        if self._terminal is not None:
            self._terminal.set_foreground(os.getpgrp())
            os.close(self._terminal.command_side)

    def _change(self, change: Change) -> None:
        self._state = TRANSITIONS[self._state][change]

    def _report(self, kind: ReportKind, number: int = 0) -> None:
        os.write(self._reports, LeaderReport(kind, number).encode())


def _discard_pending(*numbers: signal.Signals) -> None:
    """Take these signals, which are blocked, from those that this process got."""
    while pending := signal.sigpending().intersection(numbers):
        signal.sigwait(pending)
