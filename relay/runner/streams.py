"""The command's stdin, stdout and stderr: a terminal of its own, or the runner's and pipes.

Where stdin and stdout are a terminal, the runner stands in for it: it reads the keys for the
command. In a pipeline other programs may read them, such as a pager. There the command gets the
runner's stdin, and what it prints goes through a pipe, or through a terminal for output alone.
"""

import fcntl
import os
from contextlib import suppress
from typing import NamedTuple

from relay.runner.output_terminal import OutputTerminal
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
    terminal: Terminal | OutputTerminal | None = None  # the source is its runner side

    @property
    def descriptors(self) -> tuple[int, ...]:
        """Those that the runner keeps for it."""
        terminal = self.terminal
        return terminal.descriptors if isinstance(terminal, OutputTerminal) else (self.source,)


class Streams(NamedTuple):
    """What connects the runner and the command."""

    files: tuple[int, int, int]  # the command's stdin, stdout and stderr
    outputs: tuple[Output, ...]
    terminal: Terminal | None  # the command's own; None: it shares the runner's, if there is one
    runner_side: tuple[int, ...]  # descriptors that the runner keeps
    command_side: tuple[int, ...]  # and those that it closes when the command has started

    @property
    def output_terminals(self) -> list[OutputTerminal]:
        """The terminals for output alone."""
        found = (output.terminal for output in self.outputs)
        return [terminal for terminal in found if isinstance(terminal, OutputTerminal)]

    @property
    def descriptors(self) -> tuple[int, ...]:
        """All of them, on both sides."""
        return (*self.runner_side, *self.command_side)

    def close_command_side(self) -> None:
        """Close the command's side in the runner: the command has its own copies."""
        for fd in self.command_side:
            os.close(fd)


def open_streams() -> Streams:
    """Open what connects the command. Raises OSError where too few files may be open."""
    if is_terminal(STDIN) and is_terminal(STDOUT):
        return _open_terminal(Terminal(STDOUT, STDIN))
    keys = not is_terminal(STDIN)
    stdout = _open_output(STDOUT, "stdout", keys)
    # One file for both stays one, so that the order of the output is kept.
    both = (
        (stdout,)
        if _same_file(STDOUT, STDERR)
        else ((stdout, _open_output(STDERR, "stderr", keys)))
    )
    outputs = tuple(output for output, _ in both)
    command_side = tuple(file for _, file in both)
    files = (STDIN, command_side[0], command_side[-1])
    runner_side = tuple(fd for output in outputs for fd in output.descriptors)
    return Streams(files, outputs, None, runner_side, command_side)


def _open_terminal(terminal: Terminal) -> Streams:
    inside = terminal.command_side
    outputs = [Output(terminal.runner_side, STDOUT, "stdout", terminal)]
    runner_side = [terminal.runner_side, *terminal.cooked.descriptors]
    stderr = inside
    if not is_terminal(STDERR):
        output, stderr = _open_output(STDERR, "stderr", False)
        outputs.append(output)
        runner_side.append(output.source)
    command_side = (inside,) if stderr == inside else (inside, stderr)
    files = (inside, inside, stderr)
    return Streams(files, tuple(outputs), terminal, tuple(runner_side), command_side)


def _open_output(fd: int, name: str, keys: bool) -> tuple[Output, int]:
    """A terminal, or a pipe, for this output; returns the command's side too."""
    if is_terminal(fd):
        terminal = OutputTerminal(fd, keys)
        return Output(terminal.runner_side, fd, name, terminal), terminal.command_side
    read, write = _open_pipe()
    return Output(read, fd, name), write


def fill_standard_files() -> None:
    """Open /dev/null for each of stdin, stdout and stderr that is closed.

    Else the next file that the runner opens would take its number, and be the command's.
    """
    for fd in (STDIN, STDOUT, STDERR):
        try:
            os.fstat(fd)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest free number: this one


def leave_stdin() -> None:
    """Open /dev/null in place of stdin, which is the command's alone.

    Else a program that writes to the command would not see when the command reads no more.
    """
    _replace(STDIN)


def leave_stdout() -> None:
    """Open /dev/null in place of stdout, unless that is a terminal.

    Its reader sees the end of the output, and does not wait until Relay has everything.
    """
    if not is_terminal(STDOUT):
        _replace(STDOUT)


def _replace(fd: int) -> None:
    nothing = os.open(os.devnull, os.O_RDWR)
    os.dup2(nothing, fd)
    os.close(nothing)


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
