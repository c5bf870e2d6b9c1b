"""The command's stdin, stdout and stderr: a terminal where the runner has one, else pipes."""

import fcntl
import os
from contextlib import suppress
from typing import NamedTuple

from relay.runner.terminal import Terminal

STDIN, STDOUT, STDERR = 0, 1, 2

# Bytes that a pipe holds, and that are copied at once. Large, because a command with much output
# waits for each copy.
BLOCK_SIZE = 2**20


class Output(NamedTuple):
    """Output of the command, copied from `source` to the runner's own `target`."""

    source: int
    target: int
    name: str  # "stdout" or "stderr"
    terminal: Terminal | None = None  # the source is its runner side


class Streams(NamedTuple):
    """What connects the runner and the command."""

    files: tuple[int, int, int]  # the command's stdin, stdout and stderr
    outputs: tuple[Output, ...]
    terminal: Terminal | None
    runner_side: tuple[int, ...]  # descriptors that the runner keeps
    command_side: tuple[int, ...]  # and those that it closes when the command has started

    @property
    def descriptors(self) -> tuple[int, ...]:
        """All of them, on both sides."""
        return (*self.runner_side, *self.command_side)

    def close_command_side(self) -> None:
        """Close the command's side in the runner: the command has its own copies."""
        for fd in self.command_side:
            os.close(fd)


def open_streams() -> Streams:
    """Open a terminal or pipes for each of the three, as the runner's own are."""
    outputs: list[Output] = []
    runner_side: list[int] = []
    command_side: list[int] = []
    terminals = [fd for fd in (STDOUT, STDERR, STDIN) if is_terminal(fd)]
    keyboard = STDIN if STDIN in terminals else None
    terminal = Terminal(terminals[0], keyboard) if terminals else None

    def open_output(fd: int, name: str) -> int:
        if terminal is not None and fd in terminals:
            return terminal.command_side
        read, write = _open_pipe()
        outputs.append(Output(read, fd, name))
        runner_side.append(read)
        command_side.append(write)
        return write

    stdout = open_output(STDOUT, "stdout")
    # One file for both stays one, so that the order of the output is kept.
    stderr = stdout if _same_file(STDOUT, STDERR) else open_output(STDERR, "stderr")
    stdin = STDIN
    if terminal is not None:
        name = "stderr" if terminals[0] == STDERR else "stdout"
        outputs.append(Output(terminal.runner_side, terminals[0], name, terminal))
        runner_side += [terminal.runner_side, *terminal.cooked.descriptors]
        command_side.append(terminal.command_side)
        if keyboard is not None:
            stdin = terminal.command_side
    return Streams(
        (stdin, stdout, stderr), tuple(outputs), terminal, tuple(runner_side), tuple(command_side)
    )


def fill_standard_files() -> None:
    """Open /dev/null for each of stdin, stdout and stderr that is closed.

    Else the next file that the runner opens would take its number, and be the command's.
    """
    for fd in (STDIN, STDOUT, STDERR):
        try:
            os.fstat(fd)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest free number: this one


def is_terminal(fd: int) -> bool:
    """Whether the descriptor is a terminal; False if it is closed."""
    try:
        return os.isatty(fd)
    except OSError:
        return False


def _open_pipe() -> tuple[int, int]:
    read, write = os.pipe()
    if hasattr(fcntl, "F_SETPIPE_SZ"):
        with suppress(OSError):  # the sum of a user's large pipes is limited
            fcntl.fcntl(write, fcntl.F_SETPIPE_SZ, BLOCK_SIZE)
    return read, write


def _same_file(one: int, other: int) -> bool:
    try:
        return os.path.sameopenfile(one, other)
    except OSError:
        return False
