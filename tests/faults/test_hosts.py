"""Several hosts on one Postgres: whatever way between them breaks, nothing is lost or doubled.

Each host is a network namespace, and a wire between them delays packets, and loses some or all.
With a Valkey between the hosts: `test_hosts_with_valkey.py`.
"""

from itertools import permutations
from pathlib import Path

from tests.support.altered_relay import CLOCK_AHEAD
from tests.support.hosts.machines import CLIENT
from tests.support.hosts.network import network_or_skip
from tests.support.hosts.revoked import ENDS, a_revoke_is_known, revoked_reader
from tests.support.hosts.stage import DATABASE, Stage, hosts, stage
from tests.support.ledger import Ledger, load

HOUR = 3600.0  # seconds
PAUSE = 0.05  # seconds of a producer between two posts: what counts is what breaks meanwhile
NAMES = hosts("a", "b", valkeys=False)


def there_and_back(one: str, other: str) -> tuple[list[tuple[str, str]], ...]:
    """Each way alone is lost; both are, beside a Valkey, in `test_hosts_with_valkey.py`."""
    return [(one, other)], [(other, one)]


async def test_whatever_breaks_between_hosts_nothing_is_lost_or_doubled(
    tmp_path: Path, made_data: Path
) -> None:
    async with (
        network_or_skip(*NAMES) as wires,
        stage(wires, tmp_path, made_data, "a", "b") as on,
        load(*on.relays, users=2, pause=PAUSE) as ledger,
    ):
        await a_host_is_cut_off_from_the_database(on, ledger)
        await a_host_is_cut_off_from_its_clients(on, ledger)
        await every_way_is_slow_or_loses_packets(on, ledger)
        await the_database_dies(on, ledger)
        await a_relay_dies(on, ledger)
        await the_clock_of_a_host_is_wrong(on, ledger)


async def everything_is_well_again(on: Stage, ledger: Ledger) -> None:
    await on.network.heal()
    for relay in on.relays:
        await relay.ready()
    await ledger.answers(200)
    await ledger.all_arrives()


async def a_host_is_cut_off_from_the_database(on: Stage, ledger: Ledger) -> None:
    """It serves no revoked reader, the other one serves all, and it comes back."""
    a, b = on.relays
    for lost in there_and_back("a", DATABASE):
        async with revoked_reader(a, b) as reader:
            await on.network.set_ways(lost, loss=1)
            await reader.until_refused()
            await reader.revoke()
            await reader.store()
            await ledger.goes_on()
            assert await reader.reads_nothing_more() <= ENDS
        await everything_is_well_again(on, ledger)


async def a_host_is_cut_off_from_its_clients(on: Stage, ledger: Ledger) -> None:
    """What is not answered is posted again, and readers come back with their cursors."""
    for lost in there_and_back("a", CLIENT):
        mark = len(ledger.attempts)
        await on.network.set_ways(lost, loss=1)
        await ledger.loses_connections(mark)
        await ledger.goes_on()
        await everything_is_well_again(on, ledger)


async def every_way_is_slow_or_loses_packets(on: Stage, ledger: Ledger) -> None:
    a, b = on.relays
    for way in ({"delay": 0.05}, {"loss": 0.03}):  # seconds; a share
        await on.network.set_ways(permutations(NAMES, 2), **way)
        await ledger.goes_on(60)
        await a_revoke_is_known(a, b)
        await everything_is_well_again(on, ledger)


async def the_database_dies(on: Stage, ledger: Ledger) -> None:
    await on.postgres.kill()
    await ledger.answers(503)
    await on.postgres.start()
    await everything_is_well_again(on, ledger)


async def a_relay_dies(on: Stage, ledger: Ledger) -> None:
    """Its streams count for nothing soon, and the other host serves on."""
    a, b = on.relays
    await b.shows("relay_backplane_processes", lambda processes: processes == 2)
    await a.kill()
    await ledger.goes_on()
    await b.shows("relay_backplane_processes", lambda processes: processes == 1)
    await a.start()
    await everything_is_well_again(on, ledger)


async def the_clock_of_a_host_is_wrong(on: Stage, ledger: Ledger) -> None:
    """Tokens of one host are good on the other one, and events arrive on both."""
    b = on.relays[1]
    await b.kill()
    b.altered = {CLOCK_AHEAD: HOUR}
    await b.start()
    await ledger.answers(200)
    await ledger.goes_on(60)
    await ledger.all_arrives()
