"""Hosts of a test: each is a network namespace, reached by the others over a wire.

Root makes the namespaces itself. Any other account makes a user namespace first, in which it may.
"""

import json
import os
import shutil
import socket
import sys
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from itertools import permutations
from pathlib import Path
from typing import Any

import trio

from tests.support.hosts.addresses import NETWORK, address
from tests.support.patience import PATIENCE
from tests.support.programs import SBIN, kernel_lacks, program

ROOT = Path(__file__).parents[3]
NEEDED = {"ip": "iproute2", "nsenter": "util-linux", "unshare": "util-linux"}
CONNECT_SECONDS = 3.0  # until a host that does not answer counts as away
# A client whose packets vanish notices within a few seconds: the network of a real one says so.
NOTICES = {
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE): 1,
    (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE): 2,  # seconds
    (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL): 1,  # seconds
    (socket.IPPROTO_TCP, socket.TCP_KEEPCNT): 3,
    (socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT): 5_000,  # milliseconds
}


class NoHosts(Exception):
    """No host can be made here; the message says why."""


class NoAnswer(ConnectionError):
    """A host did not answer in time."""


class Network:
    """The hosts, and what is wrong between them. Made by `network`."""

    addresses = NETWORK
    breaks = True  # the ways between hosts can be broken

    def __init__(
        self, names: tuple[str, ...], process: trio.Process, control: socket.socket
    ) -> None:
        self.names = names
        self._process = process
        self._control = control
        self._turn = trio.Lock()
        self._namespaces: dict[str, int] = {}

    async def begin(self) -> None:
        """Learn where the hosts are. Raises NoHosts."""
        answer, _ = await self._answer()
        if not answer:
            raise NoHosts("lets this account make no network namespaces with veth devices")
        self._namespaces = json.loads(answer)

    def address(self, name: str) -> str:
        return address(1 + self.names.index(name))

    def within(self, name: str) -> tuple[str, ...]:
        """The command that runs another one on that host."""
        wire = f"/proc/{self._process.pid}"
        user = () if os.geteuid() == 0 else (f"--user={wire}/ns/user", "--preserve-credentials")
        return ("nsenter", *user, f"--net={wire}/fd/{self._namespaces[name]}", "--")

    async def connect(self, name: str, to: str, port: int) -> trio.SocketStream:
        """A connection from one host to another one. Raises NoAnswer and any other OSError."""
        made = await self._ask({"socket": name})
        assert made is not None
        for (level, option), value in NOTICES.items():
            made.setsockopt(level, option, value)
        try:
            with trio.move_on_after(CONNECT_SECONDS):
                await made.connect((self.address(to), port))
                return trio.SocketStream(made)
        except BaseException:
            made.close()
            raise
        made.close()
        raise NoAnswer(f"{to} does not answer")

    async def set_ways(
        self, ways: Iterable[tuple[str, str]], *, delay: float = 0, loss: float = 0
    ) -> None:
        """From now on packets on these ways take `delay` seconds, and `loss` of them get lost."""
        await self._ask({"ways": list(ways), "delay": delay, "loss": loss})

    async def one_way(self, source: str, to: str, *, delay: float = 0, loss: float = 0) -> None:
        await self.set_ways([(source, to)], delay=delay, loss=loss)

    async def between(self, one: str, other: str, *, delay: float = 0, loss: float = 0) -> None:
        """The same in both directions."""
        await self.set_ways([(one, other), (other, one)], delay=delay, loss=loss)

    async def heal(self) -> None:
        await self.set_ways(permutations(self.names, 2))

    async def _ask(self, request: dict[str, Any]) -> trio.socket.SocketType | None:
        """Have the wire do something; returns the socket that came with its answer."""
        async with self._turn:
            with trio.CancelScope(shield=True):  # a request and its answer belong together
                self._control.send(json.dumps(request).encode())
                answer, made = await self._answer()
        assert answer, "the wire has ended"
        return made

    async def _answer(self) -> tuple[bytes, trio.socket.SocketType | None]:
        with trio.fail_after(PATIENCE):
            await trio.lowlevel.wait_readable(self._control)
        answer, descriptors, _, _ = socket.recv_fds(self._control, 65_536, 1)
        made = [trio.socket.from_stdlib_socket(socket.socket(fileno=one)) for one in descriptors]
        return answer, made[0] if made else None


@asynccontextmanager
async def network(*names: str) -> AsyncIterator[Network]:
    """Hosts of these names for the length of the block. Raises NoHosts."""
    for needed in NEEDED:
        if not (shutil.which(needed) or shutil.which(needed, path=SBIN)):
            raise NoHosts(f"has no {needed}")
    mine, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    as_root_of_its_own = ("unshare", "--user", "--map-current-user", "--keep-caps", "--")
    with its:
        process = await trio.lowlevel.open_process(
            [
                *(() if os.geteuid() == 0 else as_root_of_its_own),
                *(sys.executable, "-m", "tests.support.hosts.wire", *names),
            ],
            cwd=ROOT,
            env={**os.environ, "PATH": f"{os.environ.get('PATH', '')}:{SBIN}"},
            stdin=its.fileno(),
            start_new_session=True,  # it is ended here, and not by Ctrl-C
        )
    mine.setblocking(False)
    try:
        with mine:
            made = Network(names, process, mine)
            await made.begin()
            yield made
    finally:
        process.kill()
        with trio.CancelScope(shield=True):
            await process.wait()


@asynccontextmanager
async def network_or_skip(*names: str) -> AsyncIterator[Network]:
    """The same for a test, which is skipped where no host can be made."""
    for needed, package in NEEDED.items():
        program(needed, package)
    try:
        async with network(*names) as made:
            yield made
    except NoHosts as error:
        kernel_lacks(str(error))
