"""A pseudo-terminal for the command, and the runner's own terminal while the command uses it."""

import fcntl
import os
import termios
import threading
from contextlib import suppress
from typing import Any

from relay.runner.selectable_event import SelectableEvent

OUTPUT_FLAGS = 1  # their index in termios' list of attributes
PROCESSING = termios.OPOST | termios.ONLCR  # LF becomes CR LF


class Terminal:
    """The command's terminal, with the size and attributes of the runner's.

    While the runner is in the foreground its keyboard is raw: every key is the command's. Its
    output is processed as the command's is: other programs write to it too, such as the `tee` of
    a pipeline.
    """

    passes_keys = True

    def __init__(self, outside: int, keyboard: int) -> None:
        """`outside` is the runner's stdout; `keyboard` is its stdin, the same terminal."""
        self._outside = outside
        self.keyboard = keyboard
        self.runner_side, self.command_side = os.openpty()
        self._attributes: list[Any] = termios.tcgetattr(outside)
        termios.tcsetattr(self.command_side, termios.TCSANOW, self._attributes)
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
        with self._changing, suppress(termios.error, OSError):
            if os.tcgetpgrp(self.keyboard) != os.getpgrp():
                self._leave_raw()
                return
            if not self._raw.is_set():
                self._attributes = termios.tcgetattr(self.keyboard)
            raw = _raw_input(self._attributes)
            _copy_output_processing(termios.tcgetattr(self.runner_side), raw)
            termios.tcsetattr(self.keyboard, termios.TCSADRAIN, raw)
            self.cooked.clear()
            self._raw.set()

    def restore(self) -> None:
        """Restore the keyboard's attributes."""
        with self._changing:
            if self._raw.is_set():
                self._leave_raw()
                with suppress(termios.error, OSError):
                    termios.tcsetattr(self.keyboard, termios.TCSADRAIN, self._attributes)

    def wait_until_raw(self, timeout: float) -> bool:
        """Wait at most `timeout` seconds; returns whether the keyboard is raw."""
        return self._raw.wait(timeout)

    def _leave_raw(self) -> None:
        self._raw.clear()
        self.cooked.set()

    def follow(self) -> bool:
        """Give the runner's terminal the command's processing of output, if its keyboard is raw.

        Returns whether both write CR LF for LF then, that is whether the command's must be undone.
        """
        with self._changing, suppress(termios.error, OSError):
            command, runner = (termios.tcgetattr(fd) for fd in (self.runner_side, self._outside))
            if (
                self._raw.is_set()
                and (command[OUTPUT_FLAGS] ^ runner[OUTPUT_FLAGS]) & PROCESSING
                and os.tcgetpgrp(self.keyboard) == os.getpgrp()
            ):
                _copy_output_processing(command, runner)
                termios.tcsetattr(self.keyboard, termios.TCSADRAIN, runner)
            both = command[OUTPUT_FLAGS] & runner[OUTPUT_FLAGS]
            return bool(both & PROCESSING == PROCESSING)
        return False


def _copy_output_processing(source: list[Any], target: list[Any]) -> None:
    target[OUTPUT_FLAGS] &= ~PROCESSING
    target[OUTPUT_FLAGS] |= source[OUTPUT_FLAGS] & PROCESSING


def _raw_input(attributes: list[Any]) -> list[Any]:
    """These attributes with each key passed on at once and as it is, as `cfmakeraw` does."""
    input_flags, output_flags, control_flags, local_flags, *speeds, characters = attributes
    input_flags &= ~(termios.BRKINT | termios.ICRNL | termios.INPCK | termios.ISTRIP | termios.IXON)
    control_flags = control_flags & ~(termios.CSIZE | termios.PARENB) | termios.CS8
    local_flags &= ~(termios.ECHO | termios.ICANON | termios.IEXTEN | termios.ISIG)
    characters = list(characters)
    characters[termios.VMIN], characters[termios.VTIME] = 1, 0
    return [input_flags, output_flags, control_flags, local_flags, *speeds, characters]
