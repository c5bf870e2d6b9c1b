"""Starts a command: a terminal or pipes, the session leader, and the command below it."""

import errno
import os
from collections.abc import Sequence
from typing import NamedTuple

from relay.runner.execution import Execution
from relay.runner.inherited import Inherited
from relay.runner.leader_protocol import LeaderReport, ReportKind
from relay.runner.selectable_event import SelectableEvent
from relay.runner.session_leader import SessionLeader
from relay.runner.signal_forwarding import block_stop_key, unblock_stop_key
from relay.runner.streams import Streams, open_streams

NOT_FOUND, NOT_EXECUTABLE = 127, 126  # as in shells


class CannotStart(Exception):
    """The command does not exist or cannot be executed. `exit_code` is the one that shells use."""

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code


class StartedCommand(NamedTuple):
    """A command that runs, and what connects the runner with it."""

    process: int
    leader: SessionLeader
    streams: Streams
    end: SelectableEvent
    blocked: frozenset[int]  # the signals that were blocked before the runner blocked its own


def start_command(arguments: Sequence[str], inherited: Inherited) -> StartedCommand:
    """Start a command. It begins with the `inherited` state.

    SIGTSTP stays blocked here until `WatchedCommand.run`. Call it before there are threads.
    Raises CannotStart.
    """
    block_stop_key()
    end = SelectableEvent()
    streams = open_streams()
    if streams.terminal is not None:
        # Before the command starts: programs restore the attributes that they found.
        streams.terminal.make_raw()
    leader = SessionLeader(
        Execution(arguments, streams.files, streams.terminal, inherited),
        runner_files=(*end.descriptors, *streams.descriptors),
    )
    streams.close_command_side()
    report = leader.next_report()
    if report.kind is not ReportKind.STARTED:
        if streams.terminal is not None:
            streams.terminal.restore()
        unblock_stop_key(inherited.blocked)
        raise _cannot_start(arguments[0], report)
    return StartedCommand(report.number, leader, streams, end, inherited.blocked)


def _cannot_start(program: str, report: LeaderReport) -> CannotStart:
    # Any other report than the failure's: the session leader was killed.
    number = report.number if report.kind is ReportKind.FAILED_TO_START else errno.ECHILD
    if number == errno.ENOENT:
        return CannotStart(f"{program}: command not found", NOT_FOUND)
    return CannotStart(f"{program}: {os.strerror(number)}", NOT_EXECUTABLE)
