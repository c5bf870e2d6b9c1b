"""A user's machine on which commands of Relay run."""

import json
from functools import partial
from pathlib import Path
from typing import Any

import trio
from click.testing import CliRunner, Result

from relay.cli.main import main
from tests.support.patience import PATIENCE
from tests.support.relay_server import Relay


class Machine:
    """A user's machine: a home of its own, and the commands run there."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.file = home / "relay" / "credentials.json"

    async def relay(self, *arguments: str, stdin: bytes = b"", **environ: str) -> Result:
        """In this process: starting one a command would be most of the time."""
        home = {"XDG_CONFIG_HOME": str(self.home), "HOME": str(self.home), **environ}
        run = partial(CliRunner().invoke, main, arguments, stdin, env=home)
        with trio.fail_after(PATIENCE):
            return await trio.to_thread.run_sync(run)

    async def done(self, *arguments: str, **kwargs: Any) -> str:
        """What it printed; it succeeded."""
        ended = await self.relay(*arguments, **kwargs)
        assert ended.exit_code == 0, ended.stderr
        return ended.stdout

    async def fails(self, exit_code: int, *arguments: str, **kwargs: Any) -> str:
        """Its one line; it ended with that code, without a word on stdout."""
        ended = await self.relay(*arguments, **kwargs)
        (line,) = ended.stderr.splitlines()
        assert (ended.exit_code, ended.stdout) == (exit_code, ""), line
        return line

    def kept(self, relay: Relay) -> dict[str, str]:
        known: dict[str, str] = json.loads(self.file.read_text())["relays"][relay.url]
        return known

    async def me(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(await self.done("whoami", "--json"))
        return found
