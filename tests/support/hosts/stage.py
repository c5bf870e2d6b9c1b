"""Relays on hosts, and what they share on others: a Postgres, Valkeys, and their clients."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import trio

from tests.support.hosts.machines import (
    CLIENT,
    HostedPostgres,
    RelayHost,
    relay_hosts,
    running_postgres,
)
from tests.support.hosts.network import Network
from tests.support.relay_process import running
from tests.support.valkey_servers import Cluster, Place

DATABASE = "db"
VALKEYS = ("v1", "v2", "v3", "v4", "v5", "v6")  # three primaries, and a replica of each
VALKEY_PORT, BUS_PORT = 6379, 16_379
NODE_TIMEOUT = 2_000  # milliseconds until a node of the cluster counts as failed
SOON = {"RELAY_DATABASE_TIMEOUT": "2", "RELAY_STREAM_BLIND": "5"}


@dataclass(frozen=True)
class Stage:
    """Everything runs, and nothing is wrong with the network yet."""

    network: Network
    postgres: HostedPostgres
    relays: tuple[RelayHost, ...]
    cluster: Cluster | None  # without it they notify each other through Postgres

    async def cut(self, one: str, *others: str) -> None:
        """No packet gets from that host to these others, or back."""
        ways = [(one, other) for other in others] + [(other, one) for other in others]
        await self.network.set_ways(ways, loss=1)


def hosts(*relays: str, valkeys: bool) -> tuple[str, ...]:
    """The names of all hosts that a stage with these Relays has."""
    return (*relays, DATABASE, CLIENT, *(VALKEYS if valkeys else ()))


@asynccontextmanager
async def stage(
    network: Network, folder: Path, made: Path, *relays: str, **settings: str
) -> AsyncIterator[Stage]:
    """What `hosts` names, for the length of the block. `made` is a data folder with a cluster."""
    cluster = _cluster(network, folder) if set(VALKEYS) <= set(network.names) else None
    between = {"RELAY_BACKPLANE_URL": cluster.url} if cluster else {}
    try:
        if cluster:
            cluster.launch()
        async with running_postgres(network, DATABASE, folder, made) as postgres:
            if cluster:
                await trio.to_thread.run_sync(cluster.form, abandon_on_cancel=True)
            wanted = {**SOON, **between, **settings}
            async with (
                relay_hosts(network, folder, postgres.dsn, *relays, **wanted) as found,
                running(*found),
            ):
                yield Stage(network, postgres, found, cluster)
    finally:
        if cluster:
            cluster.end()


def _cluster(network: Network, folder: Path) -> Cluster:
    place = folder / "v"
    place.mkdir()
    places = [
        Place(network.address(name), VALKEY_PORT, BUS_PORT, network.within(name))
        for name in VALKEYS
    ]
    return Cluster(
        "valkey", place, primaries=3, replicas=3, node_timeout=NODE_TIMEOUT, places=places
    )
