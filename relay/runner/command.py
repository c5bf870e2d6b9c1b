"""A running command: its output is copied, its end awaited, its signals forwarded."""

import os
import signal
import threading

from relay.runner.copying import OnOutput, copy_keys, copy_output
from relay.runner.group_signals import GroupSignals
from relay.runner.leader_protocol import ReportKind
from relay.runner.signal_forwarding import send_signal, unblock_stop_key
from relay.runner.start import StartedCommand
from relay.runner.streams import Output, is_terminal
from relay.runner.terminal_job import TerminalJob


class WatchedCommand:
    """A command from its start to its end. `run` is called once, in the main thread."""

    def __init__(self, started: StartedCommand, on_output: OnOutput) -> None:
        """`on_output` gets each block that was copied, in the threads that copy."""
        self._process = started.process
        self._leader = started.leader
        self._outputs = started.streams.outputs
        self._end = started.end
        self._blocked = started.blocked
        self._on_output = on_output
        self._group_signals = GroupSignals(self._leader.request_signals)
        terminal = started.streams.terminal
        self._job = None if terminal is None else TerminalJob(terminal, self._leader, self._process)

    @property
    def has_ended(self) -> bool:
        """Whether the command has ended; some of its output may still be on its way."""
        return self._end.is_set()

    def run(self) -> int:
        """Copy and watch until the command has ended; its exit code as a shell gives it."""
        copies = self._start_copies()
        handler = signal.getsignal(signal.SIGTSTP)
        if self._job is not None and self._job.stops_runner:
            signal.signal(signal.SIGTSTP, self._job.on_stop_key)
        unblock_stop_key(self._blocked)
        try:
            code = self._wait_for_end()
            self._end.set()
            self._group_signals.close()
            for copy in copies:
                copy.join()
        finally:
            if self._job is not None:
                self._job.terminal.restore()
            signal.signal(signal.SIGTSTP, handler)
        self._leader.release()
        return code if code >= 0 else 128 - code

    def forward(self, number: int, from_process: bool) -> None:
        """Send the command a signal that the runner got, unless it has reached the command too."""
        if self._job is not None:
            self._job.forward(number, from_process)
        elif not self._group_signals.reached_command(number):
            send_signal(self._process, number)

    def continued(self) -> None:
        """The runner got a SIGCONT."""
        if self._job is not None:
            self._job.continued()

    def resized(self) -> None:
        """The runner got a SIGWINCH."""
        if self._job is not None:
            self._job.terminal.resize()

    def _wait_for_end(self) -> int:
        """Follow the session leader's reports; the exit code, or a signal's number negated."""
        job = self._job if self._job is not None and self._job.stops_runner else None
        while True:
            report = self._leader.next_report()
            if job is not None and report.kind is ReportKind.STOPPED:
                report = job.stop_runner()
            match report.kind:
                case ReportKind.GROUP_SIGNAL:
                    self._group_signals.report(report.number)
                case ReportKind.SIGNALS_REPORTED:
                    self._group_signals.all_reported()
                case ReportKind.ENDED:
                    return os.waitstatus_to_exitcode(report.number)

    def _start_copies(self) -> list[threading.Thread]:
        """Start the threads; returns those that `run` waits for."""
        copies = [
            threading.Thread(target=self._copy_output, args=(output,), daemon=True)
            for output in self._outputs
        ]
        for copy in copies:
            copy.start()
        if self._job is not None:
            keys = (self._job.terminal, self._end, self._job.make_raw)
            threading.Thread(target=copy_keys, args=keys, daemon=True).start()
        return copies

    def _copy_output(self, output: Output) -> None:
        copy_output(output, self._end, self._on_output)
        if self._job is None or output.source != self._job.terminal.runner_side:
            os.close(output.source)  # the command gets a SIGPIPE where it would without us
        elif not self.has_ended and not is_terminal(output.target):
            self._job.signal_foreground(signal.SIGHUP)  # the runner's terminal is closed
