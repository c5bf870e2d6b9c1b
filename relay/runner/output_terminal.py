"""A pseudo-terminal for what the command prints, where the runner's terminal is shared."""

import os
import termios
import threading
from contextlib import suppress
from typing import Any

from relay.runner.selectable_event import SelectableEvent
from relay.runner.terminal import OUTPUT_FLAGS, PROCESSING

LOCAL_FLAGS = 3  # their index in termios' list of attributes


class OutputTerminal:
    """A terminal that the command writes to. It has no session.

    The command stays in the runner's session: it reads keys from the runner's terminal itself,
    and gets the signals of that terminal. But a program whose stdin is no terminal may read keys
    from the terminal that it writes to, such as `less`. It asks for each key as it is typed then,
    and gets the keys here.
    """

    def __init__(self, outside: int, passes_keys: bool) -> None:
        """`outside` is the runner's terminal, to which the output is copied.

        `passes_keys`: the command's stdin is another file.
        """
        self.keyboard = self._outside = outside
        self.passes_keys = passes_keys
        self.runner_side, self.command_side = os.openpty()
        self._attributes: list[Any] = termios.tcgetattr(outside)
        termios.tcsetattr(self.command_side, termios.TCSANOW, self._attributes)
        self._closed = False
        self._raw = threading.Event()
        self.cooked = SelectableEvent()  # the opposite: no key is read here
        self.cooked.set()
        self.resize()

    @property
    def descriptors(self) -> tuple[int, ...]:
        """Those that the runner keeps."""
        return (self.runner_side, *self.cooked.descriptors)

    def close(self) -> None:
        """Close the runner's side: the command gets an error where it writes to it."""
        self._closed = True
        self._leave_raw()
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

    def wait_until_raw(self, timeout: float) -> bool:
        """Wait at most `timeout` seconds; returns whether the command reads keys here."""
        return self._raw.wait(timeout)

    def follow(self) -> bool:
        """Give the runner's terminal the attributes that the command has set on this one.

        Returns whether LF has become CR LF here, and must be undone: the runner's terminal does
        its own processing.
        """
        with suppress(termios.error, OSError):
            if not self._closed:
                attributes = termios.tcgetattr(self.runner_side)
                if attributes != self._attributes:
                    self._attributes = attributes
                    self._set_outside(attributes)
        return bool(self._attributes[OUTPUT_FLAGS] & PROCESSING == PROCESSING)

    def _set_outside(self, attributes: list[Any]) -> None:
        if os.tcgetpgrp(self._outside) != os.getpgrp():
            return
        if not self.passes_keys or attributes[LOCAL_FLAGS] & termios.ICANON:
            self._leave_raw()
            termios.tcsetattr(self._outside, termios.TCSADRAIN, attributes)
            return
        outside = list(attributes)
        outside[LOCAL_FLAGS] &= ~termios.ECHO  # a key that is passed on is echoed here
        termios.tcsetattr(self._outside, termios.TCSADRAIN, outside)
        self.cooked.clear()
        self._raw.set()

    def _leave_raw(self) -> None:
        self._raw.clear()
        self.cooked.set()
