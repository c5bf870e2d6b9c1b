"""A running command: its output is copied, its end awaited, its signals forwarded."""

import os
import signal
import threading
from collections.abc import Callable

from relay.runner.copying import OnOutput, copy_keys, copy_output, wait_for_copy
from relay.runner.group_job import GroupJob
from relay.runner.handler_wakeup import HandlerWakeup
from relay.runner.leader_protocol import ReportKind
from relay.runner.output_terminal import OutputTerminal
from relay.runner.signal_forwarding import unblock_stop_key
from relay.runner.start import StartedCommand
from relay.runner.streams import Output, is_terminal, leave_stdout
from relay.runner.terminal_job import TerminalJob


class WatchedCommand:
    """A command from its start to its end. `run` is called once, in the main thread."""

    def __init__(
        self, started: StartedCommand, on_output: OnOutput, on_note: Callable[[str], None]
    ) -> None:
        """`on_output` gets each block that was copied, `on_note` why one is not written.

        Both are called in the threads that copy.
        """
        self._leader = started.leader
        streams = started.streams
        self._outputs = {output: threading.Lock() for output in streams.outputs}  # held by copies
        self._end = started.end
        self._blocked = started.blocked
        self._on_output = on_output
        self._on_note = on_note
        self.unwritten: str | None = None  # why some of stdout is missing
        self._job = (
            GroupJob(started.leader, started.process, streams.output_terminals)
            if streams.terminal is None
            else TerminalJob(streams.terminal, started.leader, started.process)
        )

    @property
    def has_ended(self) -> bool:
        """Whether the command has ended; some of its output may still be on its way."""
        return self._end.is_set()

    def run(self) -> int:
        """Copy and watch until the command has ended; its exit code as a shell gives it."""
        copies = self._start_copies()
        wakeup = HandlerWakeup()
        handler = signal.getsignal(signal.SIGTSTP)
        if handler is not signal.SIG_IGN:
            signal.signal(signal.SIGTSTP, self._job.on_stop_key)
        unblock_stop_key(self._blocked)
        try:
            code = self._wait_for_end(wakeup)
            self._end.set()
            for copy in copies:
                copy.join()
        finally:
            self._job.end()
            signal.signal(signal.SIGTSTP, handler)
            wakeup.close()
        leave_stdout()
        self._leader.release()
        return code if code >= 0 else 128 - code

    def forward(self, number: int, from_process: bool) -> None:
        """Send the command a signal that the runner got, unless it has reached the command too."""
        self._job.forward(number, from_process)

    def stop(self, number: int) -> None:
        """Send the command a signal that a person asked for."""
        if not self.has_ended:
            self._job.stop(number)

    def wait_for_end(self, seconds: float) -> bool:
        """Wait so long at most; returns whether the command has ended."""
        return self._end.wait(seconds)

    def takes(self, number: int) -> bool:
        """Whether a signal that the runner has got is the command's.

        It is while the command runs. A signal to the whole group may also have ended the command
        before the runner came to it.
        """
        return not self.has_ended or self._job.got(number)

    def continued(self) -> None:
        """The runner got a SIGCONT."""
        self._job.continued()

    def resized(self) -> None:
        """The runner got a SIGWINCH."""
        self._job.resize()

    def _wait_for_end(self, wakeup: HandlerWakeup) -> int:
        """Follow the session leader's reports; the exit code, or a signal's number negated."""
        while True:
            wakeup.wait_for(self._leader.reports)
            report = self._leader.next_report()
            if report.kind is ReportKind.STOPPED and self._job.stops_runner:
                for output, busy in self._outputs.items():
                    wait_for_copy(output, busy)  # the shell writes to the terminal next
                report = self._job.stop_runner()
            self._job.report(report)
            if report.kind is ReportKind.ENDED:
                return os.waitstatus_to_exitcode(report.number)

    def _start_copies(self) -> list[threading.Thread]:
        """Start the threads; returns those that `run` waits for."""
        copies = [
            threading.Thread(target=self._copy_output, args=(output,), daemon=True)
            for output in self._outputs
        ]
        for copy in copies:
            copy.start()
        for output in self._outputs:
            if output.terminal is not None and output.terminal.passes_keys:
                keys = (output.terminal, self._end, self._job.make_raw)
                threading.Thread(target=copy_keys, args=keys, daemon=True).start()
        return copies

    def _copy_output(self, output: Output) -> None:
        busy = self._outputs[output]
        copy_output(output, self._end, self._on_output, self._on_refusal, busy)
        if output.terminal is None:
            os.close(output.source)  # the command gets a SIGPIPE where it would without us
        elif isinstance(output.terminal, OutputTerminal):
            output.terminal.close()
        elif not self.has_ended and not is_terminal(output.target):
            self._job.forward(signal.SIGHUP, False)  # the runner's terminal is closed

    def _on_refusal(self, output: str, reason: str) -> None:
        """A full disk has refused some of this output."""
        unwritten = f"{output} is not written: {reason}"
        if output == "stdout":
            self.unwritten = unwritten
        self._on_note(f"{unwritten}; the command goes on")
