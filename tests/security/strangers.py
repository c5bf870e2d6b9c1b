"""Strangers at work: bare sockets that say what they like to a Relay in a process of its own."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import psutil
import trio

from tests.faults.program import Program, eventually
from tests.faults.wire import connected
from tests.security.watched import WATCH, watching

KEEP_ALIVE = 2.0  # seconds for headers and between requests; the shipped 15 would be a long test
BODY_TIMEOUT = 1.0
HELD = 0.1  # seconds of processor time that nothing may hold the loop
SETTLED = 10.0  # seconds until everything strangers held is free again
OPEN_FAILED = (OSError, trio.BrokenResourceError, trio.ClosedResourceError)

MIB = 2**20


class Attacked(Program):
    """A Relay whose loop is watched, as patient as a test can wait for."""

    module = "tests.security.watched"

    def __init__(self, folder: Path, database_url: str, **settings: str) -> None:
        self.watch = folder / "watch"
        (folder / "hypercorn.toml").write_text(_hypercorn())
        super().__init__(
            folder,
            database_url,
            **{
                WATCH: str(self.watch),
                "RELAY_BODY_TIMEOUT": str(BODY_TIMEOUT),
                "RELAY_DATABASE_TIMEOUT": "30",  # a busy machine's is slow, not away
                **settings,
            },
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


def _hypercorn() -> str:
    text = (Path(__file__).parents[2] / "hypercorn.toml").read_text()
    assert "keep_alive_timeout = 15" in text
    return text.replace("keep_alive_timeout = 15", f"keep_alive_timeout = {KEEP_ALIVE:.0f}")


@asynccontextmanager
async def unharmed(
    program: Attacked, *, memory: int = 16 * MIB, errors: str = "none"
) -> AsyncIterator[None]:
    """Whatever is done to it in the block: no error, no leak, and a loop that turns.

    `memory` is what the allocator may keep, once, of what a crowd held at one time (it kept 9 MiB
    of the first, and 3 of the next seven); `errors` how those begin that it has to tell.
    Descriptors must be back within SETTLED seconds.
    """
    descriptors, was = program.descriptors(), program.memory()
    told = len(program.log)
    with watching(program.watch) as longest:
        yield
        assert program.process.poll() is None
        await eventually(lambda: program.descriptors() <= descriptors, within=SETTLED)
        assert await program.is_ready()
    assert longest.turn < HELD, longest
    lines = [line for line in program.log[told:] if line["level"] in ("error", "critical")]
    wrong = [line for line in lines if not line["event"].startswith(errors)]
    assert wrong == []
    await eventually(lambda: program.memory() - was < memory, within=SETTLED)


async def crowd(count: int, stranger: Callable[[], Awaitable[object]]) -> None:
    """So many strangers at one time, until the last of them is done."""
    async with trio.open_nursery() as nursery:
        for _ in range(count):
            nursery.start_soon(stranger)


@asynccontextmanager
async def dialled(port: int) -> AsyncIterator[trio.SocketStream]:
    async with await connected(port) as tcp:
        yield tcp


async def heard(tcp: trio.SocketStream) -> bytes:
    """Everything until the end, by a reset, too."""
    said = bytearray()
    with suppress(*OPEN_FAILED):
        while data := await tcp.receive_some(65_536):
            said += data
    return bytes(said)


async def said(port: int, *pieces: bytes, pause: float = 0.0) -> bytes:
    """What is answered to so many bytes, with so long a pause between them, until the end."""
    async with dialled(port) as tcp:
        with suppress(*OPEN_FAILED):
            for piece in pieces:
                await tcp.send_all(piece)
                await trio.sleep(pause)
        return await heard(tcp)


async def for_ever(tcp: trio.SocketStream, piece: bytes, pause: float = 0.0) -> None:
    """Say the same again and again until the other side has enough."""
    with suppress(*OPEN_FAILED):
        while True:
            await tcp.send_all(piece)
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
