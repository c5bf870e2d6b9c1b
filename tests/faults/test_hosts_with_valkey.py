"""Hosts with a Valkey cluster between them: whatever breaks there, Postgres covers it.

The cluster has a host for each of three primaries and three replicas.
"""

from itertools import product
from pathlib import Path
from uuid import UUID

import trio

from relay.config.valkey_address import DEFAULT_PREFIX
from relay.realtime.valkey.names import Names
from tests.support.hosts.network import network_or_skip
from tests.support.hosts.revoked import ENDS, a_revoke_is_known, revoked_reader
from tests.support.hosts.stage import DATABASE, VALKEYS, Stage, hosts, stage
from tests.support.ledger import Ledger, load
from tests.support.patience import eventually
from tests.support.relay_process import Program
from tests.support.valkey_servers import Cluster, Server

UP = "relay_backplane_up"
PAUSE = 0.05  # seconds of a producer between two posts: what counts is what breaks meanwhile


async def test_whatever_breaks_around_a_valkey_nothing_is_lost_or_doubled(
    tmp_path: Path, made_data: Path
) -> None:
    names = hosts("a", "b", valkeys=True)
    async with (
        network_or_skip(*names) as wires,
        stage(wires, tmp_path, made_data, "a", "b") as on,
        load(*on.relays, users=2, pause=PAUSE) as ledger,
    ):
        assert on.cluster is not None
        await all_is_up(on, ledger)
        await a_host_reads_nothing_without_the_database(on, ledger)
        await a_valkey_is_silent_to_one_host(on, ledger)
        await no_valkey_is_reached(on, ledger)
        await the_ways_to_the_valkeys_are_bad(on, ledger)
        await a_primary_dies(on, on.cluster, ledger)
        await a_primary_is_replaced_while_a_host_still_uses_it(on, on.cluster, ledger)


async def all_is_up(on: Stage, ledger: Ledger) -> None:
    await on.network.heal()
    for relay in on.relays:
        await relay.shows(UP, lambda up: up == 1)
        await relay.ready()
    await ledger.answers(200)
    await ledger.all_arrives()


async def loses_a_node(relay: Program, outages: int) -> None:
    """Wait until it has noticed one outage more than so many."""
    await relay.says("valkey_node_away", times=outages + 1)


def outages(relay: Program) -> int:
    return len(relay.logged("valkey_node_away"))


async def a_host_reads_nothing_without_the_database(on: Stage, ledger: Ledger) -> None:
    """Events still come to it, as bytes: none is handed to a reader that was revoked."""
    a, b = on.relays
    async with revoked_reader(a, b) as reader:
        await on.cut("a", DATABASE)
        await reader.until_refused()
        await reader.revoke()
        await reader.store()
        await ledger.goes_on()
        assert await reader.reads_nothing_more() <= ENDS
        await a.shows(UP, lambda up: up == 1)  # it is cut from the database alone
    await all_is_up(on, ledger)


async def a_valkey_is_silent_to_one_host(on: Stage, ledger: Ledger) -> None:
    a, b = on.relays
    for lost in ([("a", name) for name in VALKEYS], [(name, "a") for name in VALKEYS]):
        before = outages(a)
        await on.network.set_ways(lost, loss=1)
        await loses_a_node(a, before)
        await ledger.goes_on()
        await ledger.all_arrives()
        await a_revoke_is_known(a, b)
        await b.shows(UP, lambda up: up == 1)  # while the other host has none
        await all_is_up(on, ledger)


async def no_valkey_is_reached(on: Stage, ledger: Ledger) -> None:
    a, b = on.relays
    before = [outages(relay) for relay in on.relays]
    for relay in on.relays:
        await on.cut(relay.name, *VALKEYS)
    for relay, count in zip(on.relays, before, strict=True):
        await loses_a_node(relay, count)
    await ledger.goes_on()
    await ledger.all_arrives()
    await a_revoke_is_known(a, b)
    await a_revoke_is_known(b, a)
    await all_is_up(on, ledger)


async def the_ways_to_the_valkeys_are_bad(on: Stage, ledger: Ledger) -> None:
    pairs = [*product(("a", "b"), VALKEYS), *product(VALKEYS, ("a", "b"))]
    for way in ({"delay": 0.1}, {"loss": 0.05}):  # seconds; a share
        await on.network.set_ways(pairs, **way)
        await ledger.goes_on(60)
        await ledger.all_arrives()
        await all_is_up(on, ledger)


async def a_primary_dies(on: Stage, cluster: Cluster, ledger: Ledger) -> None:
    a, b = on.relays
    primary = cluster.owner_of(slot_of_a_user(ledger))
    before = [outages(relay) for relay in on.relays]
    primary.end()
    for relay, count in zip(on.relays, before, strict=True):
        await loses_a_node(relay, count)
    await ledger.goes_on()
    await ledger.all_arrives()
    await a_revoke_is_known(a, b)
    await all_is_up(on, ledger)  # a replica has taken its place
    primary.start()
    await trio.to_thread.run_sync(primary.until_ready)
    await trio.to_thread.run_sync(cluster.until_whole)


async def a_primary_is_replaced_while_a_host_still_uses_it(
    on: Stage, cluster: Cluster, ledger: Ledger
) -> None:
    """What that host announces reaches nothing, and no error shows it."""
    b = on.relays[1]
    slot = slot_of_a_user(ledger)
    primary = cluster.owner_of(slot)
    name = VALKEYS[cluster.servers.index(primary)]
    others = [one for one in VALKEYS if one != name]
    before = outages(b)
    await on.cut(name, "b", *others)
    await loses_a_node(b, before)
    await another_one_takes_over(cluster, slot, primary)
    await b.shows(UP, lambda up: up == 1)
    await ledger.goes_on(60)
    await ledger.all_arrives()
    await all_is_up(on, ledger)


def slot_of_a_user(ledger: Ledger) -> int:
    return Names(DEFAULT_PREFIX).of_user(UUID(ledger.accounts[0].user_id)).slot


async def another_one_takes_over(cluster: Cluster, slot: int, deposed: Server) -> None:
    asked = next(server for server in cluster.servers if server is not deposed)
    await eventually(lambda: cluster.owner_of(slot, asked) is not deposed)
