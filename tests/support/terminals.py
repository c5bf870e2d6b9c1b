"""Commands in a real terminal, with a person that reads and types, and without one."""

import os
import pty
import re
import subprocess
import sys
import termios
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import psutil
import trio

from tests.support.patience import PATIENCE, eventually

LOCAL = 3  # the place of the local flags in termios' list

HEARS = [sys.executable, str(Path(__file__).parent / "scripts" / "signal_echo.py")]

# its first words: the terminal on fd 0 (or the one named) is this session's own
LAUNCH = """
import fcntl, os, sys, termios
fcntl.ioctl(int(sys.argv[1]), termios.TIOCSCTTY, 0)
os.execvp(sys.argv[2], sys.argv[2:])
"""


class Person:
    """Reads what a terminal shows, types, and pulls at the window's corner."""

    def __init__(self, process: trio.Process, master: int, first_manners: list[Any]) -> None:
        self.process = process
        self.first_manners = first_manners  # the terminal's, before the command began
        self.seen = b""
        self._master = master
        self._stream = trio.lowlevel.FdStream(os.dup(master))

    async def sees(self, pattern: bytes) -> re.Match[bytes]:
        with trio.fail_after(PATIENCE):
            while (found := re.search(pattern, self.seen)) is None:
                more = await self._more()
                assert more, f"it ended instead, after {self.seen!r}"
        return found

    async def types(self, keys: bytes) -> None:
        await self._stream.send_all(keys)

    def resizes(self, rows: int, columns: int) -> None:
        termios.tcsetwinsize(self._master, (rows, columns))

    def manners(self) -> list[Any]:
        return termios.tcgetattr(self._master)

    async def passes_keys_on(self) -> None:
        """Wait until the terminal gives every key to its reader."""
        await eventually(lambda: not self.manners()[LOCAL] & termios.ICANON)

    async def has_its_manners_back(self) -> None:
        """Wait until keys are lines and signals again."""
        await eventually(lambda: bool(self.manners()[LOCAL] & termios.ICANON))

    async def ended(self) -> int:
        """Its exit code; all it showed has been seen by then."""
        with trio.fail_after(PATIENCE):
            while await self._more():
                pass
            return await self.process.wait()

    async def _more(self) -> bytes:
        try:
            more = await self._stream.receive_some()
        except trio.BrokenResourceError:  # Linux' way to say that the last one has closed it
            return b""
        self.seen += more
        return bytes(more)

    async def close(self) -> None:
        await self._stream.aclose()


@asynccontextmanager
async def terminal(
    command: list[str], env: dict[str, str], *, size: tuple[int, int] = (24, 80), **given: Any
) -> AsyncIterator[Person]:
    """A command in a terminal of its own; `given` replaces its stdin, stdout or stderr."""
    master, slave = pty.openpty()
    termios.tcsetwinsize(master, size)
    everything = {"stdin": slave, "stdout": slave, "stderr": slave, **given}
    first_manners = termios.tcgetattr(slave)
    process = await trio.lowlevel.open_process(
        [sys.executable, "-c", LAUNCH, str(slave), *command],
        env=env,
        start_new_session=True,
        pass_fds=[slave],
        **everything,
    )
    os.close(slave)
    person = Person(process, master, first_manners)
    try:
        yield person
    finally:
        await person.close()
        os.close(master)
        with trio.CancelScope(shield=True):
            for each in session_of(process):  # jobs of a shell, too
                with suppress(psutil.NoSuchProcess):
                    each.kill()
            await process.wait()


def session_of(leader: trio.Process) -> list[psutil.Process]:
    """The processes of the session that this process leads."""
    found = []
    for process in psutil.process_iter():
        with suppress(ProcessLookupError):
            if os.getsid(process.pid) == leader.pid:
                found.append(process)
    return found


async def piped(
    command: list[str], env: dict[str, str], **given: Any
) -> "subprocess.CompletedProcess[bytes]":
    """A command without any terminal."""
    with trio.fail_after(PATIENCE):
        return await trio.run_process(
            command,
            env=env,
            check=False,
            start_new_session=True,
            **{"capture_stdout": True, "capture_stderr": True, "stdin": b"", **given},
        )


def heard(output: bytes) -> list[str]:
    """The signals that HEARS printed."""
    return [name.decode() for name in re.findall(rb"heard (\w+)", output)]
