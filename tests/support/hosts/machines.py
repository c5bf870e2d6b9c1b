"""What runs on a host: a Relay, and the Postgres that all of them share."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from secrets import token_hex

import trio

from relay.db.embedded import launcher
from relay.db.embedded.accounts import list_accounts
from relay.db.embedded.cluster import Cluster
from relay.db.embedded.programs import Programs, find_programs, wait_for_exit
from tests.support.hosts.network import Network, NoAnswer
from tests.support.patience import eventually
from tests.support.processes import postgres_in, send
from tests.support.relay_process import Program
from tests.support.tcp_proxy import TcpProxy, proxied

POSTGRES_PORT = 5432
RELAY_PORT = 8000
CLIENT = "client"  # the host of producers and readers
DIALS = 3  # before a host counts as away: a way that loses packets may lose all of one dial
# A connection whose other end has vanished ends within seconds, and not after two hours.
SETTINGS = (
    "tcp_keepalives_idle=5",
    "tcp_keepalives_interval=1",
    "tcp_keepalives_count=5",
    "max_connections=300",
)


class HostedPostgres:
    """A Postgres on a host, which keeps its data when it is killed and started again."""

    def __init__(self, network: Network, host: str, programs: Programs, folder: Path) -> None:
        self._within = network.within(host)
        self._address = network.address(host)
        self._programs = programs
        self._folder = folder
        self._cluster = Cluster(folder / "postgres", programs)
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def dsn(self) -> str:
        return f"postgresql://relay@{self._address}:{POSTGRES_PORT}/relay?sslmode=disable"

    async def start(self) -> None:
        options = [
            *("-c", f"listen_addresses={self._address}", "-p", str(POSTGRES_PORT), "-k", ""),
            *(word for setting in SETTINGS for word in ("-c", setting)),
        ]
        process = self._process = subprocess.Popen(  # noqa: ASYNC220 - as `Programs.launch`
            [
                *self._within,  # before the launcher, which gives up what entering a host needs
                *(sys.executable, "-IS", launcher.__file__),
                *(str(os.getpid()), self._programs.account.identity),
                *(str(self._programs.binaries / "postgres"), "-D", str(self._cluster.path)),
                *options,
            ],
            cwd=self._folder,
            env={"PATH": os.environ["PATH"], "LC_ALL": "C"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        await eventually(lambda: process.poll() is None and self._cluster.is_ready(process.pid))

    async def kill(self) -> None:
        """End all of it at once; nothing is left that a next start waits for."""
        send(postgres_in(self._folder), signal.SIGKILL)
        if self._process is not None:
            self._process.kill()
            await wait_for_exit(self._process)
            self._process = None
        await eventually(lambda: not postgres_in(self._folder))

    def signal(self, number: signal.Signals) -> None:
        send(postgres_in(self._folder), number)


@asynccontextmanager
async def running_postgres(
    network: Network, host: str, folder: Path, made: Path
) -> AsyncIterator[HostedPostgres]:
    """A Postgres on that host, with a copy of the cluster of the data folder `made`."""
    programs = await find_programs(list_accounts(), folder)
    cluster = folder / "postgres"
    shutil.copytree(made / "postgres", cluster, symlinks=True)
    rules = cluster / "pg_hba.conf"  # the first one that matches counts
    rules.write_text(f"host all all {network.addresses} trust\n{rules.read_text()}")
    programs.account.take_ownership(cluster)
    postgres = HostedPostgres(network, host, programs, folder)
    try:
        await postgres.start()
        yield postgres
    finally:
        with trio.CancelScope(shield=True):
            await postgres.kill()


class RelayHost(Program):
    """A Relay on a host. Its clients are on another one, and the test reaches it from there."""

    def __init__(
        self, network: Network, name: str, folder: Path, dsn: str, port: int, **settings: str
    ) -> None:
        """`port` leads to it from the test."""
        super().__init__(folder, dsn, **settings)
        self.name = name
        self.within = network.within(name)
        self.port = port
        self.settings["RELAY_BIND"] = f"{network.address(name)}:{RELAY_PORT}"
        self.settings["RELAY_METRICS_TOKEN"] = token_hex(16)  # they are read from another host


async def dial(network: Network, name: str) -> trio.SocketStream:
    """A connection of a client's to a Relay. Raises OSError."""
    for _ in range(DIALS - 1):
        with suppress(NoAnswer):
            return await network.connect(CLIENT, name, RELAY_PORT)
    return await network.connect(CLIENT, name, RELAY_PORT)


@asynccontextmanager
async def relay_hosts(
    network: Network, folder: Path, dsn: str, *names: str, **settings: str
) -> AsyncIterator[tuple[RelayHost, ...]]:
    """Relays on hosts of these names, which are started by `running`, as one service."""
    found = []
    async with AsyncExitStack() as stack:
        for name in names:
            place = folder / name
            place.mkdir()
            proxy = TcpProxy(partial(dial, network, name))
            await stack.enter_async_context(proxied(proxy))
            found.append(RelayHost(network, name, place, dsn, proxy.port, **settings))
        for one in found:
            one.settings["BASE_URL"] = f"http://127.0.0.1:{found[0].port}"
        yield tuple(found)
