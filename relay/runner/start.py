"""Starts a command: a terminal or pipes, the session leader, and the command below it."""

import errno
import os
from collections.abc import Sequence
from typing import NamedTuple, NoReturn

from relay.runner.execution import Execution, execute_program
from relay.runner.inherited import Inherited
from relay.runner.leader_protocol import LeaderReport, ReportKind
from relay.runner.resource_check import check_resources
from relay.runner.selectable_event import SelectableEvent
from relay.runner.session_leader import SessionLeader
from relay.runner.signal_forwarding import block_stop_signals, unblock_stop_key
from relay.runner.streams import Streams, leave_stdin, open_streams

NOT_FOUND, NOT_EXECUTABLE = 127, 126  # as in shells


class CannotStart(Exception):
    """The command does not exist or cannot be executed. `exit_code` is the one that shells use."""

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code


class CannotWatch(Exception):
    """The system refuses the runner the files or processes that it needs beside the command."""


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
    Raises CannotStart, and CannotWatch where nothing has been started.
    """
    block_stop_signals()
    try:
        check_resources()
        end = SelectableEvent()
        streams = open_streams()
    except OSError as error:
        raise CannotWatch(error.strerror) from error
    if streams.terminal is not None:
        # Before the command starts: programs restore the attributes that they found.
        streams.terminal.make_raw()
    try:
        leader = SessionLeader(
            Execution(arguments, streams.files, streams.terminal, inherited),
            runner_files=(*end.descriptors, *streams.descriptors),
        )
        report = leader.next_report()
    except OSError as error:
        report = LeaderReport(ReportKind.CANNOT_FORK, error.errno or errno.EAGAIN)
    if report.kind is ReportKind.STARTED:
        streams.close_command_side()
        if streams.terminal is None:
            leave_stdin()
        return StartedCommand(report.number, leader, streams, end, inherited.blocked)
    if streams.terminal is not None:
        streams.terminal.restore()
    unblock_stop_key(inherited.blocked)
    if report.kind is ReportKind.CANNOT_FORK:
        raise CannotWatch(os.strerror(report.number))
    # Any other report than the failure's: the session leader was killed.
    failed = report.kind is ReportKind.FAILED_TO_START
    raise _cannot_start(arguments[0], report.number if failed else errno.ECHILD)


def become_command(arguments: Sequence[str], inherited: Inherited) -> NoReturn:
    """Replace this process by the command, after CannotWatch. Raises CannotStart."""
    try:
        inherited.give_back()
        execute_program(arguments)
    except OSError as error:
        raise _cannot_start(arguments[0], error.errno or errno.ENOENT) from error


def _cannot_start(program: str, number: int) -> CannotStart:
    if number == errno.ENOENT:
        return CannotStart(f"{program}: command not found", NOT_FOUND)
    return CannotStart(f"{program}: {os.strerror(number)}", NOT_EXECUTABLE)
