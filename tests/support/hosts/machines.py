"""What runs on a host: a Relay, and the Postgres that all of them share."""

import shutil
import subprocess
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path

import trio

from relay.db.embedded.accounts import list_accounts
from relay.db.embedded.cluster import Cluster
from relay.db.embedded.programs import find_programs, wait_for_exit
from tests.support.hosts.addresses import NETWORK
from tests.support.hosts.network import Network
from tests.support.patience import eventually
from tests.support.relay_process import Program, running
from tests.support.tcp_proxy import TcpProxy, proxied

PORT = 5432


@asynccontextmanager
async def running_database(
    network: Network, host: str, folder: Path, made: Path
) -> AsyncIterator[str]:
    """A Postgres on that host, with the cluster of the data folder `made`; yields its address."""
    programs = await find_programs(list_accounts(), folder)
    cluster = Cluster(folder / "postgres", programs)
    shutil.copytree(made / "postgres", cluster.path, symlinks=True)
    with (cluster.path / "pg_hba.conf").open("a") as rules:
        rules.write(f"\nhost all all {NETWORK} trust\n")
    programs.account.take_ownership(cluster.path)
    where = ("-c", f"listen_addresses={network.address(host)}", "-p", str(PORT), "-k", "")
    with network.entered(host):
        process = programs.launch(
            "postgres", "-D", str(cluster.path), *where, output=subprocess.DEVNULL
        )
    try:
        await eventually(lambda: cluster.is_ready(process.pid))
        yield f"postgresql://relay@{network.address(host)}:{PORT}/relay?sslmode=disable"
    finally:
        process.kill()
        with trio.CancelScope(shield=True):
            await wait_for_exit(process)


class RelayHost(Program):
    """A Relay on a host. Its clients are elsewhere, and reach it by a way of their own."""

    def __init__(
        self, folder: Path, address: str, within: tuple[str, ...], port: int, **settings: str
    ) -> None:
        """`within` runs it on its host, and `port` leads to it from the test."""
        super().__init__(folder, address, **settings)
        self.within = within
        self.port = port
        self.settings["RELAY_BIND"] = f"unix:{socket_of(folder)}"


def socket_of(folder: Path) -> Path:
    return folder / "relay.sock"


@asynccontextmanager
async def relay_hosts(
    network: Network, folder: Path, address: str, *names: str, **settings: str
) -> AsyncIterator[tuple[RelayHost, ...]]:
    """Relays on hosts of these names, which serve the database at `address` as one service."""
    found = []
    async with AsyncExitStack() as stack:
        for name in names:
            place = folder / name
            place.mkdir()
            proxy = TcpProxy(partial(trio.open_unix_socket, str(socket_of(place))))
            await stack.enter_async_context(proxied(proxy))
            found.append(RelayHost(place, address, network.within(name), proxy.port, **settings))
        for one in found:
            one.settings["BASE_URL"] = f"http://127.0.0.1:{found[0].port}"
        await stack.enter_async_context(running(*found))
        yield tuple(found)
