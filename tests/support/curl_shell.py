"""A terminal in which the examples of curl are tried."""

import subprocess
from pathlib import Path
from typing import Any

import trio

from tests.support.patience import PATIENCE
from tests.support.programs import program
from tests.support.relay_server import Relay, User

CURL = Path(__file__).parents[2] / "examples" / "curl"

UNHURRIED_CURL = """#!{python}
import os, subprocess, sys
words = sys.argv[1:]
if "--max-time" not in words:
    os.execv("{curl}", ["curl", *words])
at = words.index("--max-time")
with subprocess.Popen(["{curl}", *words[:at], *words[at + 2:]], stdout=subprocess.PIPE) as stream:
    for line in stream.stdout:
        print(line.decode(), end="")
        if line.startswith(b"event: "):
            stream.kill()
            sys.exit(28)
sys.exit(stream.returncode)
"""
"""curl, but for its deadline: that is over when an event of the stream was shown, however late."""


class Shell:
    """A shell with the variables that the examples ask for."""

    def __init__(self, relay: Relay, user: User, hook: str, folder: Path) -> None:
        for name in ("curl", "jq", "openssl"):
            program(name)
        self.folder = folder
        self.variables = {
            "PATH": "/usr/local/bin:/usr/bin:/bin",
            "RELAY_URL": relay.url,
            "SESSION": user.session,
            "HOOK": hook,
            "METRICS": "unused",
        }

    async def run(
        self, *command: str, given: str = "", **variables: str
    ) -> "subprocess.CompletedProcess[bytes]":
        with trio.fail_after(PATIENCE):
            return await trio.run_process(
                list(command),
                cwd=self.folder,
                env={**self.variables, **variables},
                stdin=given.encode(),
                capture_stdout=True,
                capture_stderr=True,
                check=False,
            )

    async def script(self, name: str, *arguments: str, **more: Any) -> str:
        """What a script of the examples says, when it did well."""
        ran = await self.run(str(CURL / name), *arguments, **more)
        assert ran.returncode == 0, (name, ran.stdout, ran.stderr)
        return ran.stdout.decode()
