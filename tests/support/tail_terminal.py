"""`relay tail` in a terminal."""

import fcntl
import os
import pty
import struct
import subprocess
import termios
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path

import trio

from tests.support.commands import RELAY
from tests.support.patience import PATIENCE
from tests.support.relay_server import User
from tests.support.watching import as_user


class Terminal:
    """A terminal of 100 by 30, and what a command wrote to it."""

    def __init__(self, process: trio.Process, descriptor: int) -> None:
        self.process = process
        self._descriptor = descriptor
        self.written = ""

    async def shows(self, text: str) -> None:
        with trio.fail_after(PATIENCE):
            while text not in self.written:
                await trio.lowlevel.wait_readable(self._descriptor)
                self.written += os.read(self._descriptor, 65_536).decode(errors="replace")

    async def shows_in_order(self, texts: Iterable[str]) -> None:
        """These come one after the other, whatever stands in between; nothing else is kept."""
        with trio.fail_after(PATIENCE):
            for text in texts:
                while (at := self.written.find(text)) < 0:
                    self.written = self.written[-len(text) :]
                    await trio.lowlevel.wait_readable(self._descriptor)
                    self.written += os.read(self._descriptor, 65_536).decode(errors="replace")
                self.written = self.written[at + len(text) :]


@asynccontextmanager
async def in_terminal(
    user: User, home: Path, *arguments: str, **settings: str
) -> AsyncIterator[Terminal]:
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 100, 0, 0))
    env = as_user(user, home, TERM="xterm-256color", **settings)
    process = await trio.lowlevel.open_process(
        [*RELAY, "tail", *arguments],
        env=env,
        stdin=theirs,
        stdout=theirs,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    os.close(theirs)
    os.set_blocking(ours, False)
    try:
        yield Terminal(process, ours)
    finally:
        with trio.CancelScope(shield=True):
            if process.returncode is None:
                process.kill()
            await process.wait()
        os.close(ours)
