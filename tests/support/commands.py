"""Relay's commands as people run them: processes of their own, in a folder of their own."""

import codecs
import os
import re
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import trio

from tests.support.patience import LOOK_EVERY, PATIENCE
from tests.support.tokens import KEYS

RELAY = (sys.executable, "-m", "relay.cli.main")

SLOW = {"RELAY_DATABASE_TIMEOUT": "60"}  # a busy machine's database is slow, not away


def environment(database_url: str | None = None, **settings: str) -> dict[str, str]:
    """An environment with these settings and few others; keys where a database asks for them.

    All else is as every test finds it: tests/support/start.py sees to that.
    """
    kept = {name: value for name, value in os.environ.items() if not name.startswith("RELAY_")}
    given = {"DATABASE_URL": database_url, "RELAY_SIGNING_KEYS": KEYS} if database_url else {}
    return {**kept, **SLOW, **given, **settings}


async def run_command(
    arguments: Sequence[str | Path],
    folder: Path,
    env: dict[str, str] | None = None,
) -> "subprocess.CompletedProcess[bytes]":
    """Run a command to its end and return its output, whatever its exit code."""
    with trio.fail_after(PATIENCE):
        return await trio.run_process(
            [str(argument) for argument in arguments],
            cwd=folder,
            env=environment() if env is None else env,
            capture_stdout=True,
            capture_stderr=True,
            check=False,
            start_new_session=True,
        )


async def relay(
    folder: Path, *arguments: str, env: dict[str, str] | None = None
) -> "subprocess.CompletedProcess[bytes]":
    """One `relay` command, run to its end."""
    return await run_command((*RELAY, *arguments), folder, env)


async def _ok(http: httpx.AsyncClient, url: str) -> bool:
    try:
        return (await http.get(url)).status_code == 200
    except httpx.TransportError:
        return False


class Command:
    """A command that serves: what it says, and how it ends."""

    def __init__(self, process: trio.Process) -> None:
        self.process = process
        self.output = ""
        self._decoder = codecs.getincrementaldecoder("utf-8")()

    async def says(self, pattern: str) -> re.Match[str]:
        """Read on until a line of its output holds the pattern."""
        assert self.process.stdout is not None
        with trio.fail_after(PATIENCE):
            while (found := re.search(pattern, self.output)) is None:
                more = await self.process.stdout.receive_some()
                assert more, f"it ended instead, after saying {self.output!r}"
                self.output += self._decoder.decode(more)
        return found

    async def url(self) -> str:
        return (await self.says(r"listens on (http://\S+),"))[1]

    async def answers(self, url: str) -> None:
        """Wait until an address answers 200: for servers that do not say when they listen."""
        async with httpx.AsyncClient(timeout=PATIENCE) as http:
            with trio.fail_after(PATIENCE):
                while not await _ok(http, url):
                    assert self.process.poll() is None, "it ended instead"
                    await trio.sleep(LOOK_EVERY)

    async def ended(self) -> int:
        with trio.fail_after(PATIENCE):
            return await self.process.wait()


@asynccontextmanager
async def running(
    arguments: Sequence[str | Path], folder: Path, env: dict[str, str] | None = None
) -> AsyncIterator[Command]:
    """A command under way, gone after the block. Its log is `stderr.log` in the folder."""
    with (folder / "stderr.log").open("ab") as errors:
        process = await trio.lowlevel.open_process(
            [str(argument) for argument in arguments],
            cwd=folder,
            env=environment() if env is None else env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
            start_new_session=True,
        )
    assert process.stdout is not None
    async with process.stdout:
        try:
            yield Command(process)
        finally:
            with trio.CancelScope(shield=True):
                if process.returncode is None:
                    process.terminate()
                    with trio.move_on_after(PATIENCE):
                        await process.wait()
                if process.returncode is None:
                    process.kill()
                    await process.wait()


def complaints(stderr: bytes | str) -> list[str]:
    """What stands on stderr beside the structured log."""
    text = stderr if isinstance(stderr, str) else stderr.decode()
    return [line for line in text.splitlines() if not line.startswith("{")]
