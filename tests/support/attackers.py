"""Attackers: connections that send any bytes to a Relay in a process of its own."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import psutil
import trio
import trio.lowlevel

from tests.support.accounts import Account
from tests.support.client.caller import Caller
from tests.support.client.connection import BROKEN, ClientConnection, connected
from tests.support.patience import PATIENCE, eventually
from tests.support.relay_process import Program

NEVER = 600.0  # seconds: a timeout that no test waits for, and that no slow machine reaches
SERVED = 5  # requests of another user that are answered while an attack goes on

MIB = 2**20
EVENT = b'{"event_type":"log","ts":"2026-01-31T12:00:00Z","payload":{}}'


class Attacked(Program):
    """A Relay that gives strangers so much time for a head and a body, and others no less."""

    def __init__(
        self,
        folder: Path,
        database_url: str | None = None,
        *,
        keep_alive: float = NEVER,
        body_timeout: float = NEVER,
        **settings: str,
    ) -> None:
        (folder / "hypercorn.toml").write_text(_hypercorn(keep_alive))
        super().__init__(
            folder,
            database_url,
            **{"RELAY_BODY_TIMEOUT": str(body_timeout), **settings},
        )

    @property
    def itself(self) -> psutil.Process:
        return psutil.Process(self.pid)

    def memory(self) -> int:
        return int(self.itself.memory_info().rss)

    def descriptors(self) -> int:
        """Open files and TCP sockets; the pool's own may come and go."""
        process = self.itself
        return process.num_fds() - len(process.net_connections("unix"))


def _hypercorn(keep_alive: float) -> str:
    text = (Path(__file__).parents[2] / "hypercorn.toml").read_text()
    assert "keep_alive_timeout = 15" in text
    return text.replace("keep_alive_timeout = 15", f"keep_alive_timeout = {keep_alive:g}")


@asynccontextmanager
async def unharmed(
    program: Attacked, *, memory: int = 16 * MIB, errors: str = "none"
) -> AsyncIterator[None]:
    """Whatever is done to it in the block: an end to it, no error, no leak, and it is ready again.

    `memory` is what the allocator may keep, once, of what a crowd held at one time (it kept 9 MiB
    of the first, and 3 of the next seven); `errors` how those begin that it has to tell.
    """
    descriptors, was = program.descriptors(), program.memory()
    logged = len(program.log)
    with trio.fail_after(PATIENCE):
        yield
    assert program.process.poll() is None
    await eventually(lambda: program.descriptors() <= descriptors)
    await program.ready()
    lines = [line for line in program.log[logged:] if line["level"] in ("error", "critical")]
    wrong = [line for line in lines if not line["event"].startswith(errors)]
    assert wrong == []
    await eventually(lambda: program.memory() - was < memory)


async def crowd(count: int, stranger: Callable[[], Awaitable[object]]) -> None:
    """So many strangers at one time, until the last of them is done."""
    async with trio.open_nursery() as nursery:
        for _ in range(count):
            nursery.start_soon(stranger)


async def post(caller: Caller, account: Account) -> None:
    """What another user does meanwhile: one event."""
    answer = await caller.insist("POST", "/api/webhook/cli", account.hook, EVENT)
    assert answer.status == 200, answer


async def others_are_served(program: Program, account: Account) -> None:
    """Another user comes, and all their requests are answered."""
    async with Caller(program.port) as caller:
        for _ in range(SERVED):
            await post(caller, account)


@asynccontextmanager
async def besieged(count: int, stranger: Callable[[], Awaitable[object]]) -> AsyncIterator[None]:
    """So many strangers at one time, each again and again as long as the block takes.

    It begins when each has been there once.
    """
    been = 0
    all_were = trio.Event()

    async def come_again() -> None:
        nonlocal been
        while True:
            await stranger()
            been += 1
            if been == count:
                all_were.set()

    async with trio.open_nursery() as nursery:
        for _ in range(count):
            nursery.start_soon(come_again)
        await all_were.wait()
        yield
        nursery.cancel_scope.cancel()


@asynccontextmanager
async def dialled(port: int) -> AsyncIterator[ClientConnection]:
    async with ClientConnection(await connected(port)) as connection:
        yield connection


async def answer_to(port: int, *pieces: bytes) -> bytes:
    """What is answered to so many bytes, until the end."""
    async with dialled(port) as tcp:
        with suppress(*BROKEN):
            for piece in pieces:
                await tcp.send(piece)
                await trio.lowlevel.checkpoint()
        return await tcp.rest()


async def for_ever(tcp: ClientConnection, piece: bytes, pause: float = 0.0) -> None:
    """Say the same again and again until the other side has enough."""
    with suppress(*BROKEN):
        while True:
            await tcp.send(piece)
            await trio.sleep(pause)


@asynccontextmanager
async def highest(of: Callable[[], int]) -> AsyncIterator[Callable[[], int]]:
    """The highest value seen while the block runs."""
    most = of()

    async def look() -> None:
        nonlocal most
        while True:
            most = max(most, of())
            await trio.sleep(0.02)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(look)
        yield lambda: most
        nursery.cancel_scope.cancel()
