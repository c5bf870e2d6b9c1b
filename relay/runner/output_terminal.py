"""A pseudo-terminal for what the command prints, where the runner's terminal is shared."""

import os
import termios
from contextlib import suppress
from typing import Any

from relay.runner.terminal import OUTPUT_FLAGS, PROCESSING


class OutputTerminal:
    """A terminal that the command only writes to. It has no session, and no key comes from it.

    The command stays in the runner's session: it reads keys from the runner's terminal itself,
    and gets the signals of that terminal.
    """

    def __init__(self, outside: int) -> None:
        """`outside` is the runner's terminal, to which the output is copied."""
        self._outside = outside
        self.runner_side, self.command_side = os.openpty()
        self._attributes: list[Any] = termios.tcgetattr(outside)
        termios.tcsetattr(self.command_side, termios.TCSANOW, self._attributes)
        self._closed = False
        self.resize()

    def close(self) -> None:
        """Close the runner's side: the command gets an error where it writes to it."""
        self._closed = True
        os.close(self.runner_side)

    def resize(self) -> bool:
        """Copy the size of the runner's terminal; returns whether it is another one.

        No process gets a SIGWINCH for that: this terminal is in no session.
        """
        if self._closed:
            return False
        with suppress(termios.error, OSError):
            size = termios.tcgetwinsize(self._outside)
            if size != termios.tcgetwinsize(self.runner_side):
                termios.tcsetwinsize(self.runner_side, size)
                return True
        return False

    def follow(self) -> bool:
        """Give the runner's terminal the attributes that the command has set on this one.

        A program that reads from stdin or `/dev/tty` may set them on the terminal that it writes
        to. Returns whether LF has become CR LF here, and must be undone: the runner's terminal
        does its own processing.
        """
        with suppress(termios.error):
            attributes = termios.tcgetattr(self.runner_side)
            if attributes != self._attributes:
                self._attributes = attributes
                self._set_outside()
        return bool(self._attributes[OUTPUT_FLAGS] & PROCESSING == PROCESSING)

    def _set_outside(self) -> None:
        with suppress(termios.error, OSError):
            if os.tcgetpgrp(self._outside) == os.getpgrp():
                termios.tcsetattr(self._outside, termios.TCSADRAIN, self._attributes)
