"""Messages between the runner and its session leader: requests are signals, reports are lines."""

import signal
from enum import IntEnum, StrEnum
from typing import NamedTuple, Self


class LeaderRequest(IntEnum):
    """Signals from the runner to the session leader. Nothing else sends it these."""

    REPORT_SIGNALS = signal.SIGALRM
    STOP_RUNNER = signal.SIGVTALRM
    CONTINUE_COMMAND = signal.SIGPROF
    FORWARD_STOP_KEY = signal.SIGSYS


class ReportKind(StrEnum):
    """What a report is about, and what its number is."""

    STARTED = "started"  # the command's process id
    FAILED_TO_START = "failed-to-start"  # an errno: the program cannot be executed
    CANNOT_FORK = "cannot-fork"  # an errno: there is no process for it
    STOPPED = "stopped"  # the signal that stopped the command
    ENDED = "ended"  # the command's wait status
    GROUP_SIGNAL = "group-signal"  # a signal that the whole process group got
    SIGNALS_REPORTED = "signals-reported"  # 0; the answer to REPORT_SIGNALS
    RUNNER_STOPPED = "runner-stopped"  # 0; an answer to STOP_RUNNER
    NOT_STOPPED = "not-stopped"  # 0; the other one: the command continues already


class LeaderReport(NamedTuple):
    """One line of the pipe from the session leader to the runner."""

    kind: ReportKind
    number: int

    def encode(self) -> bytes:
        """The line, with its line end."""
        return f"{self.kind} {self.number}\n".encode()

    @classmethod
    def decode(cls, line: bytes) -> Self:
        """Read a line. Raises ValueError for one of another form."""
        kind, _, number = line.decode().partition(" ")
        return cls(ReportKind(kind), int(number))
