"""`relay serve` as a process, with its own Postgres and real signals."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import IO, Any

import psutil
import trio

from tests.support.altered_relay import ALTERED
from tests.support.client.caller import Caller
from tests.support.client.connection import Lost
from tests.support.client.protocol import Answer
from tests.support.patience import PATIENCE, eventually
from tests.support.ports import HeldPort
from tests.support.processes import postgres_in, send
from tests.support.tokens import KEYS

ROOT = Path(__file__).parents[2]

# Nothing of the tester's own settings may reach the program under test.
FOREIGN = ("RELAY_", "DATABASE_URL", "BASE_URL", "CORS", "LOG_LEVEL", "PORT")

# What ends by itself after a while must not do so because the machine is slow: a test that is
# about one of these sets it. (A database may be given a minute, and no longer.)
UNHURRIED = {
    "RELAY_DATABASE_TIMEOUT": "60",
    "RELAY_SEND_TIMEOUT": "600",
    "RELAY_IDLE_TIMEOUT": "600",
    "RELAY_STREAM_BLIND": "600",
    "RELAY_BODY_TIMEOUT": "600",
    "RELAY_DRAIN_TIMEOUT": "600",
    "RELAY_WORKER_SILENCE": "600",
}

LATE_ANSWER = re.compile(r"^Error: .*\bdatabase does not answer\b", re.IGNORECASE | re.MULTILINE)
"""The line of a start for which the database was too slow."""


def unhurried_config() -> str:
    """Hypercorn's, with more time for headers and between two requests."""
    text, shipped = (ROOT / "hypercorn.toml").read_text(), "keep_alive_timeout = 15\n"
    assert shipped in text
    return text.replace(shipped, "keep_alive_timeout = 600\n")


class Program:
    """One Relay and its data folder. Started again, it is the same address and the same data."""

    module = "relay.cli.main"  # what runs it
    within: tuple[str, ...] = ()  # a command to run it by

    def __init__(self, folder: Path, database_url: str | None = None, **settings: str) -> None:
        """`settings` are environment variables; the data folder is `folder/data`."""
        self.folder = folder
        self.data = folder / "data"
        self._held = HeldPort()  # it keeps the port over its restarts, and so its tokens
        self.port = self._held.number
        self.url = f"http://127.0.0.1:{self.port}"
        self.settings = {
            "RELAY_BIND": f"127.0.0.1:{self.port}",
            "RELAY_DATA_DIR": str(self.data),
            # every reader and producer of these tests comes from one address
            "RELAY_MAX_CONNECTIONS_PER_ADDRESS": "100000",
            "RELAY_MAX_CONNECTIONS_PER_USER": "1000",
            "RELAY_RATE_LIMITS": "off",
            **UNHURRIED,
            **({"DATABASE_URL": database_url, "RELAY_SIGNING_KEYS": KEYS} if database_url else {}),
            **settings,
        }
        self.altered: Mapping[str, object] = {}  # constants, named with their modules
        self.starts = 0
        self._process: trio.Process | None = None
        self._output: IO[bytes] | None = None

    @property
    def process(self) -> trio.Process:
        assert self._process is not None, "not started"
        return self._process

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def stderr(self) -> str:
        """What it printed there since it was last started."""
        return self._log.read_text(errors="replace")

    @property
    def log(self) -> list[dict[str, Any]]:
        """Its structured log since it was last started; other lines are left out.

        So is a last one that is only half written.
        """
        lines = self.stderr.splitlines(keepends=True)
        return [json.loads(line) for line in lines if line.startswith("{") and line.endswith("\n")]

    def logged(self, event: str) -> list[dict[str, Any]]:
        return [line for line in self.log if line.get("event") == event]

    async def says(self, event: str, times: int = 1) -> None:
        """Wait until it has logged something so often; fails with its output when it ends."""
        with trio.fail_after(PATIENCE):
            while True:
                over = self.process.poll() is not None
                if len(self.logged(event)) >= times:
                    return
                assert not over, f"it ended and did not say {event!r}:\n{self.stderr}"
                await trio.sleep(0.03)

    async def shows(self, metric: str, holds: Callable[[float], bool]) -> None:
        """Wait until one of its metrics, named as it is in the text, has such a value."""
        with trio.fail_after(PATIENCE):
            while not holds(await self.metric(metric)):  # noqa: ASYNC110 - another process
                await trio.sleep(0.05)

    async def metric(self, name: str) -> float:
        """The sum over its labels, unless these are named, too; 0 for what has none yet."""
        answer = await self.ask("/metrics", self.settings.get("RELAY_METRICS_TOKEN"))
        assert answer.status == 200, answer
        lines = answer.body.decode().splitlines()
        lines = [line for line in lines if line.startswith((f"{name} ", f"{name}{{"))]
        return sum(float(line.rpartition(" ")[2]) for line in lines)

    @property
    def _log(self) -> Path:
        return self.folder / f"relay.{self.starts}.log"

    async def launch(self) -> None:
        """Start it and wait for nothing."""
        self.starts += 1
        environ = {k: v for k, v in os.environ.items() if not k.startswith(FOREIGN)}
        altered = {ALTERED: json.dumps(self.altered)} if self.altered else {}
        module = "tests.support.altered_relay" if altered else self.module
        config = self.folder / "hypercorn.toml"
        if not config.exists():
            config.write_text(unhurried_config())
        self.close_output()
        self._output = self._log.open("wb")
        self._process = await trio.lowlevel.open_process(
            [*self.within, sys.executable, "-m", module, "serve"],
            cwd=self.folder,
            env={**environ, **self.settings, **altered, "PYTHONPATH": str(ROOT)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=self._output,
            start_new_session=True,
        )

    async def start(self) -> None:
        """Start it and wait until it is ready for work."""
        await self.launch()
        await self.ready()

    async def ready(self) -> None:
        """Wait until it is ready for work; fails with its output when it ends instead.

        A start asks the database a few things once each. An answer that is later than
        RELAY_DATABASE_TIMEOUT ends it, and it is started again, as a service manager does.
        """
        with trio.fail_after(PATIENCE):
            while not await self.is_ready():
                if self.process.poll() is not None:
                    assert LATE_ANSWER.search(self.stderr), f"it ended instead:\n{self.stderr}"
                    await self.launch()
                await trio.sleep(0.05)

    async def is_ready(self) -> bool:
        try:
            return (await self.ask("/readyz")).status == 200
        except Lost:
            return False

    async def ask(self, path: str, token: str | None = None) -> Answer:
        """One GET on a connection of its own."""
        async with Caller(self.port) as caller:
            return await caller.call("GET", path, token)

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    async def ended(self, within: float = PATIENCE) -> int:
        """Its exit code; fails when it does not end."""
        with trio.fail_after(within):
            return await self.process.wait()

    async def kill(self) -> None:
        self.process.kill()
        await self.ended()

    def postgres(self) -> list[psutil.Process]:
        """The Postgres processes at work in this program's data folder, and no others."""
        return postgres_in(self.data)

    def close_output(self) -> None:
        if self._output is not None:
            self._output.close()
            self._output = None

    async def end(self) -> None:
        """Leave nothing behind, whatever the test did."""
        with trio.CancelScope(shield=True):
            send(self.postgres(), signal.SIGCONT)
            if self._process is not None:
                if self._process.returncode is None:
                    self._process.kill()
                await self._process.wait()
            self.close_output()
            send(self.postgres(), signal.SIGKILL)
            await eventually(lambda: not self.postgres())


@asynccontextmanager
async def running(*programs: Program) -> AsyncIterator[None]:
    """Programs that are ready at the start of the block and gone after it."""
    try:
        for program in programs:
            await program.launch()
        for program in programs:
            await program.ready()
        yield
    finally:
        for program in programs:
            await program.end()


async def make_data(folder: Path) -> Path:
    """A data folder with a migrated cluster and keys, of a Relay that was stopped."""
    program = Program(folder)
    async with running(program):
        program.process.terminate()
        assert await program.ended() == 0
    return program.data


def dsn(program: Program) -> str:
    """The address of a program's own Postgres."""
    password = (program.data / "postgres.password").read_text().strip()
    return f"postgresql://relay:{password}@/relay?host={program.data}/postgres&port=5432"


def copy_data(source: Path, target: Path) -> None:
    """A data folder like another one that is not in use: cheaper than an initdb."""
    shutil.copytree(source, target, symlinks=True)
