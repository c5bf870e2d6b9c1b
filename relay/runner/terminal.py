"""A pseudo-terminal for the command, and the runner's own terminal while the command uses it."""

import fcntl
import os
import termios
import threading
import tty
from contextlib import suppress
from typing import Any

from relay.runner.selectable_event import SelectableEvent

OUTPUT_FLAGS = 1  # their index in termios' list of attributes


class Terminal:
    """The command's terminal, with the size and attributes of the runner's.

    While the runner is in the foreground its keyboard is raw: every key is the command's.
    """

    def __init__(self, outside: int, keyboard: int | None) -> None:
        """`outside` is the runner's terminal; `keyboard` is its stdin, if that is the terminal."""
        self._outside = outside
        self._keyboard = keyboard
        self.runner_side, self.command_side = os.openpty()
        self._attributes: list[Any] = termios.tcgetattr(outside)
        termios.tcsetattr(self.command_side, termios.TCSANOW, self._attributes)
        self._processes_output = False
        self._process_output(False)
        self.resize()
        self._raw = threading.Event()
        self.cooked = SelectableEvent()  # the opposite: the keyboard is the shell's
        self.cooked.set()
        self._changing = threading.Lock()

    def resize(self) -> None:
        """Copy the size of the runner's terminal; the kernel sends the command a SIGWINCH."""
        with suppress(termios.error, OSError):
            termios.tcsetwinsize(self.runner_side, termios.tcgetwinsize(self._outside))

    def make_controlling(self) -> None:
        """Make it the controlling terminal of the calling session leader."""
        fcntl.ioctl(self.command_side, termios.TIOCSCTTY, 0)

    def set_foreground(self, group: int) -> None:
        """Send the signals of its keys to this process group. For processes of its session."""
        os.tcsetpgrp(self.command_side, group)

    def foreground_group(self) -> int | None:
        """The process group that gets the signals of its keys; None after the session's end."""
        try:
            return os.tcgetpgrp(self.runner_side)
        except OSError:
            return None

    def make_raw(self) -> None:
        """Make the keyboard raw, if the runner is in the foreground: else keys are not for it."""
        if self._keyboard is None:
            return
        with self._changing, suppress(termios.error, OSError):
            if os.tcgetpgrp(self._keyboard) != os.getpgrp():
                self._leave_raw()
                return
            if not self._raw.is_set():
                self._attributes = termios.tcgetattr(self._keyboard)
            tty.setraw(self._keyboard, termios.TCSADRAIN)
            if not self._processes_output:
                self._process_output(True)
            self.cooked.clear()
            self._raw.set()

    def restore(self) -> None:
        """Restore the keyboard's attributes."""
        with self._changing:
            if self._keyboard is not None and self._raw.is_set():
                self._leave_raw()
                with suppress(termios.error, OSError):
                    termios.tcsetattr(self._keyboard, termios.TCSADRAIN, self._attributes)

    def wait_until_raw(self, timeout: float) -> bool:
        """Wait at most `timeout` seconds; returns whether the keyboard is raw."""
        return self._raw.wait(timeout)

    def _leave_raw(self) -> None:
        self._raw.clear()
        self.cooked.set()

    def _process_output(self, on: bool) -> None:
        """Process output, such as newlines, once: here only while the runner's terminal is raw."""
        self._processes_output = on
        with suppress(termios.error):
            attributes = termios.tcgetattr(self.runner_side)
            if on:
                attributes[OUTPUT_FLAGS] |= self._attributes[OUTPUT_FLAGS] & termios.OPOST
            else:
                attributes[OUTPUT_FLAGS] &= ~termios.OPOST
            termios.tcsetattr(self.runner_side, termios.TCSANOW, attributes)
