"""`examples/node`: both transports from Node, over a restart, until the token ends."""

import json
import os
import re
import subprocess
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio

from tests.support.npm_packages import installed_copy
from tests.support.patience import PATIENCE
from tests.support.ports import HeldPort
from tests.support.programs import program
from tests.support.recipes import EXAMPLES
from tests.support.relay_server import Relay, User, running_relay

SCRIPTS = pytest.mark.parametrize("script", ["watch-sse.js", "watch-ws.js"])


@pytest.fixture(scope="session")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The recipe with the packages that package.json and its lock pin, as `npm ci` brings them."""
    return installed_copy(EXAMPLES / "node", tmp_path_factory.mktemp("node") / "recipe")


class Watcher:
    """A running script, and the lines it prints."""

    def __init__(self, process: trio.Process) -> None:
        self.process = process
        self._text = b""

    async def events(self, count: int) -> list[dict[str, Any]]:
        assert self.process.stdout is not None
        with trio.fail_after(PATIENCE):
            while self._text.count(b"\n") < count:
                more = await self.process.stdout.receive_some()
                assert more, "it ended instead"
                self._text += more
        *lines, self._text = self._text.split(b"\n")
        return [json.loads(line) for line in lines]

    async def ended(self) -> tuple[int, str]:
        """Its exit code, and the last line of its standard error."""
        assert self.process.stderr is not None
        output = b""
        with trio.fail_after(PATIENCE):
            while more := await self.process.stderr.receive_some():
                output += more
            code = await self.process.wait()
        return code, output.decode().splitlines(keepends=True)[-1]


@asynccontextmanager
async def watching(
    folder: Path, script: str, relay: Relay, hook: str, *arguments: str
) -> AsyncIterator[Watcher]:
    process = await trio.lowlevel.open_process(
        [program("node", "nodejs"), script, *arguments],
        cwd=folder,
        env={**os.environ, "RELAY_URL": relay.url, "RELAY_TOKEN": hook},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    async with process.stdout, process.stderr:
        try:
            yield Watcher(process)
        finally:
            process.kill()
            await process.wait()


@SCRIPTS
async def test_node_clients_resume_over_a_restart_until_the_token_ends(
    installed: Path, database_url: str, script: str
) -> None:
    port = HeldPort()
    here = {"RELAY_BIND": f"127.0.0.1:{port.number}"}
    async with AsyncExitStack() as life:
        async with running_relay(database_url, **here) as relay:
            user = await relay.user()
            hook = await user.hook()
            receipts = await user.publish(3)
            watcher = await life.enter_async_context(
                watching(installed, script, relay, hook, receipts[0]["cursor"])
            )
            before = await watcher.events(2)
        async with running_relay(database_url, **here) as relay:
            user = User(relay, user.user_id, user.session)
            await user.posted(hook=hook, payload={"n": 3}, event_id="three", task_id="t")
            after = await watcher.events(1)
            revoked = await user.call("POST", "/api/token/revoke", json={"token": hook})
            assert revoked.status_code == 200
            assert await watcher.ended() == (1, "Relay refused: revoked\n")
    assert [event["payload"] for event in before + after] == [{"n": 1}, {"n": 2}, {"n": 3}]
    assert [event["seq"] for event in before + after] == [2, 3, 4]
    assert (after[0]["id"], after[0]["task_id"], after[0]["event_type"]) == ("three", "t", "log")


@SCRIPTS
async def test_an_invalid_token_is_reported(installed: Path, relay: Relay, script: str) -> None:
    async with watching(installed, script, relay, "no.such.token") as watcher:
        code, output = await watcher.ended()
    assert code == 1
    assert re.fullmatch(r"Relay refused: .*401.*\n", output)
