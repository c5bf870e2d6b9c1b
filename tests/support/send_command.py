"""`relay send` as scripts call it, and what it has stored."""

import subprocess
from functools import partial

import trio
from click.testing import CliRunner

from relay.cli.main import main
from tests.support.commands import RELAY, environment
from tests.support.patience import PATIENCE
from tests.support.terminals import piped


async def send(*arguments: str, **settings: str) -> "subprocess.CompletedProcess[bytes]":
    """In this process: starting one a command would be most of the time."""
    given = {**dict.fromkeys(("RELAY_URL", "RELAY_TOKEN")), **settings}
    run = partial(CliRunner().invoke, main, ["send", *arguments], env=given)
    with trio.fail_after(PATIENCE):
        done = await trio.to_thread.run_sync(run)
    return subprocess.CompletedProcess(
        arguments, done.exit_code, done.stdout_bytes, done.stderr_bytes
    )


async def pipe(stdin: bytes, **settings: str) -> "subprocess.CompletedProcess[bytes]":
    """A process that reads its events from a pipe."""
    return await piped([*RELAY, "send", "-"], environment(**settings), stdin=stdin)
