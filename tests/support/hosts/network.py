"""Hosts of a test: each is a network namespace, reached by the others over a wire."""

import ctypes
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from itertools import permutations
from pathlib import Path

import trio

from tests.support.hosts.addresses import address
from tests.support.patience import PATIENCE
from tests.support.programs import kernel_lacks, program

ROOT = Path(__file__).parents[3]
CLONE_NEWNET = 0x40000000


class Network:
    """The hosts, and what is wrong between them. Made by `network`."""

    def __init__(self, names: tuple[str, ...], process: trio.Process) -> None:
        self._names = names
        self._process = process
        self._namespaces: dict[str, int] = {}
        self._unread = b""

    async def begin(self) -> bool:
        """Learn where the hosts are; returns False if none could be made."""
        line = await self._line()
        self._namespaces = json.loads(line or b"{}")
        return bool(line)

    def address(self, name: str) -> str:
        return address(1 + self._names.index(name))

    def within(self, name: str) -> tuple[str, ...]:
        """The command that runs another one on that host."""
        return ("nsenter", f"--net={self._namespace(name)}", "--")

    @contextmanager
    def entered(self, name: str) -> Iterator[None]:
        """What this thread starts within the block runs on that host."""
        with open("/proc/thread-self/ns/net") as own, open(self._namespace(name)) as other:
            _enter(other.fileno())
            try:
                yield
            finally:
                _enter(own.fileno())

    async def one_way(self, source: str, to: str, *, delay: float = 0, loss: float = 0) -> None:
        """From now on packets take `delay` seconds, and the share `loss` of them is lost."""
        way = {"source": source, "to": to, "delay": delay, "loss": loss}
        assert self._process.stdin is not None
        await self._process.stdin.send_all(json.dumps(way).encode() + b"\n")
        assert await self._line() == b"set"

    async def between(self, one: str, other: str, *, delay: float = 0, loss: float = 0) -> None:
        """The same in both directions."""
        await self.one_way(one, other, delay=delay, loss=loss)
        await self.one_way(other, one, delay=delay, loss=loss)

    async def heal(self) -> None:
        for source, to in permutations(self._names, 2):
            await self.one_way(source, to)

    def _namespace(self, name: str) -> str:
        return f"/proc/{self._process.pid}/fd/{self._namespaces[name]}"

    async def _line(self) -> bytes:
        assert self._process.stdout is not None
        with trio.fail_after(PATIENCE):
            while b"\n" not in self._unread:
                if not (more := await self._process.stdout.receive_some()):
                    return b""  # the wire has ended
                self._unread += more
        line, _, self._unread = self._unread.partition(b"\n")
        return line


def _enter(namespace: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.setns(namespace, CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "the network namespace cannot be entered")


def _skip_unless_possible() -> None:
    if os.geteuid() != 0:
        kernel_lacks("lets no one but root make network namespaces, which hosts are")
    if not Path("/dev/net/tun").exists():
        kernel_lacks("has no TUN devices, for the wire between hosts")
    program("ip", "iproute2")
    program("nsenter", "util-linux")


@asynccontextmanager
async def network(*names: str) -> AsyncIterator[Network]:
    """Hosts of these names for the length of the block. Skips the test where none can be made."""
    _skip_unless_possible()
    start_wire = partial(
        trio.run_process,
        [sys.executable, "-m", "tests.support.hosts.wire", *names],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        check=False,
    )
    async with trio.open_nursery() as nursery:
        made = Network(names, await nursery.start(start_wire))
        if not await made.begin():
            kernel_lacks("lets root make no network namespace with a TUN device")
        yield made
        nursery.cancel_scope.cancel()
