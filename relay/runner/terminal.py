"""A terminal for the command where we have one ourselves, and ours kept out of its way."""

import fcntl
import os
import termios
import threading
import tty
from contextlib import suppress
from typing import Any

OUTPUT = 1  # the place of the output flags in termios' list


class Terminal:
    """The pseudo-terminal of a command, with the size and manners of the real one."""

    def __init__(self, outside: int, typed: int | None) -> None:
        """`outside` is our terminal; `typed` the same as what people type on, if they can."""
        self.outside = outside
        self._typed = typed
        self.master, self.inside = os.openpty()
        self._manners: list[Any] = termios.tcgetattr(outside)
        termios.tcsetattr(self.inside, termios.TCSANOW, self._manners)
        self._pass_output_on(True)
        self._output_as_it_is = True
        self.resize()
        self.in_front = threading.Event()  # what is typed is for the command
        self._changing = threading.Lock()

    def resize(self) -> None:
        """Give it the size of ours; the kernel tells the command."""
        with suppress(termios.error, OSError):
            termios.tcsetwinsize(self.master, termios.tcgetwinsize(self.outside))

    def make_controlling(self) -> None:
        """For the leader of a session: this is the terminal whose keys send signals."""
        fcntl.ioctl(self.inside, termios.TIOCSCTTY, 0)

    def bring_to_front(self, group: int) -> None:
        """For the session: its keys' signals are for this process group."""
        os.tcsetpgrp(self.inside, group)

    def enter(self) -> None:
        """Pass every key on as it is; only while we are in the foreground, where keys are ours."""
        if self._typed is None:
            return
        with self._changing, suppress(termios.error, OSError):
            if os.tcgetpgrp(self._typed) != os.getpgrp():
                self.in_front.clear()
                return
            if not self.in_front.is_set():
                self._manners = termios.tcgetattr(self._typed)
            tty.setraw(self._typed, termios.TCSADRAIN)
            if self._output_as_it_is:
                self._pass_output_on(False)
            self.in_front.set()

    def leave(self) -> None:
        """Give our terminal its manners back."""
        with self._changing:
            if self._typed is not None and self.in_front.is_set():
                self.in_front.clear()
                with suppress(termios.error, OSError):
                    termios.tcsetattr(self._typed, termios.TCSADRAIN, self._manners)

    def foreground(self) -> int | None:
        """The process group that its keys would signal."""
        try:
            return os.tcgetpgrp(self.master)
        except OSError:
            return None

    def _pass_output_on(self, as_it_is: bool) -> None:
        """Newlines are made returns once: outside, or inside while outside is raw."""
        self._output_as_it_is = as_it_is
        with suppress(termios.error):
            manners = termios.tcgetattr(self.master)
            if as_it_is:
                manners[OUTPUT] &= ~termios.OPOST
            else:
                manners[OUTPUT] |= self._manners[OUTPUT] & termios.OPOST
            termios.tcsetattr(self.master, termios.TCSANOW, manners)
