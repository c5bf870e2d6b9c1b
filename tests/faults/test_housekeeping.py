"""One process does housekeeping for all on a database, and another one takes over from it."""

import signal
from pathlib import Path

import psutil
import trio

from tests.support.database_proxy import line_to
from tests.support.patience import LOOK_EVERY, PATIENCE, eventually
from tests.support.processes import lives
from tests.support.relay_process import Program, running
from tests.support.two_relays import SHORT_LEASE
from tests.support.workers import Workers

HOLDER = "relay_housekeeping_holder"
TAKEOVERS = "relay_housekeeping_takeovers_total"
DONE = "relay_housekeeping_last_success_timestamp_seconds"
OFTEN = {"RELAY_HOUSEKEEPING_EVERY": "0.2"}


async def one_holds(*machines: Program) -> Program:
    """Wait until one process of all machines does housekeeping; returns its machine."""
    with trio.fail_after(PATIENCE):
        while True:
            found = [await machine.metric(HOLDER) for machine in machines]
            if sorted(found) == [0.0] * (len(machines) - 1) + [1.0]:
                return machines[found.index(1.0)]
            await trio.sleep(LOOK_EVERY)


async def one_works(*machines: Program) -> Program:
    """Wait until one of them holds the lease and has done the work once more; returns it.

    A machine that stands still for longer than the lease loses it to another one, which works then.
    """
    before = [await machine.metric(DONE) for machine in machines]
    with trio.fail_after(PATIENCE):
        while True:
            holder = await one_holds(*machines)
            if await holder.metric(DONE) > before[machines.index(holder)]:
                return holder
            await trio.sleep(LOOK_EVERY)


async def killed(machine: Program) -> None:
    """Kill it, and wait until its workers have ended as well: until then they have its address."""
    left = psutil.Process(machine.pid).children(recursive=True)
    await machine.kill()
    await eventually(lambda: not any(lives(process) for process in left))


def machines(*made: Program) -> tuple[Program, ...]:
    for machine in made:
        machine.folder.mkdir()
        machine.settings |= {"BASE_URL": made[0].url, **OFTEN}
        machine.altered = SHORT_LEASE
    return made


async def test_a_machine_that_is_killed_is_followed_by_another(
    tmp_path: Path, database_url: str
) -> None:
    """Of three processes on two machines one does it, and a stop hands it over at once."""
    first = Program(tmp_path / "first", database_url)
    second = Workers(tmp_path / "second", database_url)
    async with running(*machines(first, second)):
        for _ in range(2):  # each machine goes once, if the first to hold it did
            holder = await one_works(first, second)
            (other,) = {first, second} - {holder}
            done = await other.metric(DONE)
            assert done == 0 or await other.metric(TAKEOVERS) > 0
            await killed(holder)
            assert await one_works(other) is other
            await holder.start()
        holder = await one_holds(first, second)
        holder.signal(signal.SIGTERM)
        assert await holder.ended() == 0
        (other,) = {first, second} - {holder}
        await other.shows(HOLDER, lambda count: count == 1)


async def test_a_holder_that_stands_still_or_is_cut_off_gives_way(
    tmp_path: Path, database_url: str
) -> None:
    async with line_to(database_url) as line:
        first = Program(tmp_path / "first", line.dsn, RELAY_DATABASE_TIMEOUT="2")
        second = Program(tmp_path / "second", database_url)
        machines(first, second)
        async with running(first):
            assert await one_holds(first) is first
            async with running(second):
                first.signal(signal.SIGSTOP)
                assert await one_works(second) is second
                first.signal(signal.SIGCONT)
                await first.says("housekeeping_lost")
                assert await one_holds(first, second)
                await second.kill()
                assert await one_works(first) is first
                await second.start()
                line.stall()
                await second.shows(HOLDER, lambda count: count == 1)
                await first.shows(HOLDER, lambda count: count == 0)
                await first.says("housekeeping_lost", 2)
                line.flow()
                await first.ready()
                await one_works(first, second)
