"""Tasks are what the stored events say, whatever happens to processes, clocks and producers."""

# ruff: noqa: ASYNC240 - a look at a folder delays nothing here

import json
import signal
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any
from uuid import UUID

import psutil
import trio

from relay.events import EVENT_TYPES
from tests.support.accounts import Account
from tests.support.altered_relay import ALTERED, CLOCK_AHEAD
from tests.support.client.caller import RETRY_INTERVAL, Caller
from tests.support.client.connection import Lost
from tests.support.commands import environment
from tests.support.commands import running as command
from tests.support.databases import database_of, statement
from tests.support.ledger import Ledger
from tests.support.patience import LOOK_EVERY, PATIENCE, eventually
from tests.support.processes import send
from tests.support.projections import stored_events, stored_tasks
from tests.support.relay_process import ROOT, Program, running
from tests.support.task_events import folded_one_by_one

HOUR, DAY = 3600.0, 86_400.0
PAYLOADS: tuple[Any, ...] = (
    {"title": "t", "progress": 0.5},
    {"message": "one\ntwo"},
    {"exit_code": 1},
    {},
    [1],
)


@asynccontextmanager
async def pair(
    folder: Path, url: str, altered: Mapping[str, object], **settings: str
) -> AsyncIterator[tuple[Program, Program, Account]]:
    """Two Relays on one database, of which the second one's constants are altered, and a user."""
    here, there = (Program(folder / name, url, **settings) for name in ("here", "there"))
    for program in (here, there):
        program.folder.mkdir()
        program.settings["BASE_URL"] = here.url
    there.altered = altered
    async with running(here, there):
        yield here, there, await Ledger(here).enrol("u", [])


async def tasks(program: Program, account: Account) -> dict[str, Any]:
    async with Caller(program.port) as caller:
        answer = await caller.insist("GET", "/api/tasks?limit=500", account.session)
    assert answer.status == 200
    page: dict[str, Any] = answer.json
    return page


async def states(program: Program, account: Account) -> dict[str, str]:
    return {task["task_id"]: task["state"] for task in (await tasks(program, account))["tasks"]}


async def post(caller: Caller, account: Account, **fields: Any) -> dict[str, Any] | None:
    """The receipt of an event; None if it was not acknowledged."""
    body = {"ts": "2026-01-31T12:00:00Z", "payload": {}, **fields}
    try:
        answer = await caller.call(
            "POST", "/api/webhook/cli", account.hook, json.dumps(body).encode()
        )
    except Lost:
        return None
    receipt: dict[str, Any] = answer.json
    return receipt if answer.status == 200 else None


class Producers:
    """Programs that post events of tasks, each event once, whatever becomes of it."""

    def __init__(self, account: Account) -> None:
        self.acknowledged: set[str] = set()
        self._account = account
        self._stopping = False
        self._under_way = 0

    async def produce(self, name: str, program: Program) -> None:
        self._under_way += 1
        random, number = Random(name), 0
        async with Caller(program.port) as caller:
            while not self._stopping:
                number += 1
                event_id = f"{name}-{number}"
                fields = {
                    "event_type": random.choice(EVENT_TYPES),
                    "task_id": random.choice(["a", "b", f"{name}-{number // 20}"]),
                    "payload": random.choice(PAYLOADS),
                }
                if await post(caller, self._account, event_id=event_id, **fields) is not None:
                    self.acknowledged.add(event_id)
                else:
                    await trio.sleep(RETRY_INTERVAL)
        self._under_way -= 1

    async def go_on(self, more: int) -> None:
        """Wait until so many more events are acknowledged."""
        until = len(self.acknowledged) + more
        await eventually(lambda: len(self.acknowledged) >= until)

    async def stop(self) -> None:
        self._stopping = True
        await eventually(lambda: not self._under_way)


async def test_processes_that_are_killed_in_mid_load_leave_the_fold_of_what_is_stored(
    tmp_path: Path, database_url: str
) -> None:
    # the second one folds nothing by itself: all that it acknowledges is unfolded when it is killed
    idle = {"relay.projection.projector.INTERVAL_SECONDS": HOUR}
    async with pair(tmp_path, database_url, idle) as (here, there, account):
        load = Producers(account)
        async with trio.open_nursery() as nursery:
            for name, program in (("h1", here), ("h2", here), ("t1", there), ("t2", there)):
                nursery.start_soon(load.produce, name, program)
            await load.go_on(100)
            for victim in (there, here):
                await victim.kill()
                await load.go_on(40)
                await victim.start()
                await load.go_on(40)
            await load.stop()
        seen = await tasks(here, account)
        async with database_of(database_url) as database:
            events = await stored_events(database, UUID(account.user_id))
            assert load.acknowledged <= {event.id for event in events}
            assert [event.seq for event in events] == list(range(1, len(events) + 1))
            folded = folded_one_by_one(events)
            assert await stored_tasks(database, UUID(account.user_id)) == folded
        assert seen["cursor"].endswith(f".{len(events)}")
        assert {task["task_id"]: task["state"] for task in seen["tasks"]} == {
            task_id: task.state for task_id, task in folded.items()
        }
        assert seen["counts"] == (await tasks(there, account))["counts"]


async def test_a_host_with_a_wrong_clock_changes_no_time_and_no_verdict(
    tmp_path: Path, database_url: str
) -> None:
    wrong = {CLOCK_AHEAD: 20 * DAY}  # retention keeps events for seven days
    often = {"RELAY_HOUSEKEEPING_EVERY": "0.1"}
    async with (
        pair(tmp_path, database_url, wrong, **often) as (here, there, account),
        Caller(here.port) as one,
        Caller(there.port) as other,
    ):
        start = {"event_type": "task_started", "payload": {"lease_s": 3600}}
        for number in range(6):
            poster = (one, other)[number % 2]
            assert await post(poster, account, task_id=f"t{number}", **start) is not None
        page = await tasks(there, account)
        # two processes know the database's clock to the time that an answer takes, not better
        times = [datetime.fromisoformat(task["started_at"]) for task in reversed(page["tasks"])]
        assert max(times) - min(times) < timedelta(days=1)
        assert times[::2] == sorted(times[::2])
        assert times[1::2] == sorted(times[1::2])
        assert page["counts"] == {"running": 6}

        await statement(
            database_url,
            "UPDATE tasks SET last_at = last_at - interval '2 hours' WHERE task_id IN ('t0', 't1')",
        )
        lost = {f"t{number}": "lost" if number < 2 else "running" for number in range(6)}
        assert await states(here, account) == await states(there, account) == lost
        beat = json.dumps({"task_ids": ["t0"]}).encode()
        answer = await other.insist("POST", "/api/tasks/beat", account.hook, beat)
        assert answer.status == 200
        lost["t0"] = "running"
        assert await states(here, account) == await states(there, account) == lost

        await here.kill()  # so that it is the other one that does housekeeping
        done = "relay_housekeeping_last_success_timestamp_seconds"
        before = await there.metric(done)
        await there.shows(done, lambda at: at > before)
        async with database_of(database_url) as database:
            assert len(await stored_events(database, UUID(account.user_id))) == 6


# -- an outage longer than every lease

LEASE = 3600
QUIET = {
    "relay.client.client.LEASE_SECONDS": LEASE,
    "relay.client.beats.BEAT_AFTER_SECONDS": 0.2,
    "relay.client.beats.RETRY_SECONDS": 0.2,
}
SILENT = (sys.executable, "-c", "import time; time.sleep(3600)")


@asynccontextmanager
async def silent_producer(
    folder: Path, program: Program, account: Account
) -> AsyncIterator[psutil.Process]:
    """`relay run` with a command that prints nothing, so that it beats."""
    folder.mkdir()
    env = environment(
        RELAY_URL=program.url,
        RELAY_TOKEN=account.hook,
        PYTHONPATH=str(ROOT),
        **{ALTERED: json.dumps(QUIET)},
    )
    runner = (sys.executable, "-m", "tests.support.altered_relay", "run", "--title", folder.name)
    async with command([*runner, "--", *SILENT], folder, env) as started:
        yield psutil.Process(started.process.pid)


async def titles(program: Program, account: Account) -> dict[str, str]:
    return {task["title"]: task["state"] for task in (await tasks(program, account))["tasks"]}


async def until(program: Program, account: Account, wanted: dict[str, str]) -> None:
    """Wait until the tasks with these titles have these states."""
    with trio.fail_after(PATIENCE):
        while await titles(program, account) != wanted:  # noqa: ASYNC110 - other processes
            await trio.sleep(LOOK_EVERY)


async def test_an_outage_longer_than_every_lease_makes_no_live_task_lost(
    tmp_path: Path, database_url: str
) -> None:
    program = Program(tmp_path, database_url)
    running_both = {"lives": "running", "dies": "running"}

    async def age(seconds: float, *also: str) -> None:
        """Let all signs of life be older; `also` is done in the same transaction."""
        earlier = f"- interval '{seconds} seconds'"
        tasks = f"UPDATE tasks SET last_at = last_at {earlier}, beat_at = beat_at {earlier}"
        await statement(database_url, "; ".join([tasks, *also]))

    async with running(program):
        account = await Ledger(program).enrol("u", [])
        async with (
            silent_producer(tmp_path / "lives", program, account),
            silent_producer(tmp_path / "dies", program, account) as dies,
            database_of(database_url) as database,
        ):
            await until(program, account, running_both)
            with trio.fail_after(PATIENCE):
                beaten = "SELECT count(*) = 2 FROM tasks WHERE beat_at IS NOT NULL"
                while not await database.fetchval(beaten):  # noqa: ASYNC110
                    await trio.sleep(LOOK_EVERY)
            await program.kill()
            send([dies, *dies.children(recursive=True)], signal.SIGKILL)
            # no process was ready for two hours
            ready = f"UPDATE readiness SET ready_at = ready_at - interval '{2 * LEASE} seconds'"
            await age(2 * LEASE, ready)
            await program.start()
            assert await titles(program, account) == running_both

            # the lease of the dead one goes on where it was before the outage
            await age(LEASE / 2)
            assert await titles(program, account) == running_both
            await age(LEASE)
            await until(program, account, {"lives": "running", "dies": "lost"})
