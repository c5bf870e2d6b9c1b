"""Measure what one stored event costs the database, by the form in which producers send it.

    python -m bench.appending [--rounds 5] [--seconds 1]

The statements are those of Relay's journal, on an embedded Postgres, over one connection, for 64
users in turn. In each round every form is measured in turn. The first figure is the CPU time of the
connection's Postgres process for each event, in microseconds: the median of the rounds, with their
least and most. It leaves out the flush of the disk and the work of Relay. `named` is how many times
the CPU of an unnamed event one takes that its producer named. The last figure is what the process
wrote into Postgres' log (WAL), in bytes an event, the median of the rounds: it is the same on every
machine, but for the splits of index pages.
"""

import argparse
import json
import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count, cycle, islice
from pathlib import Path
from statistics import median
from time import perf_counter
from uuid import UUID, uuid4

import trio
import uuid_utils

from relay.db.append import build_statement
from relay.db.append_queue import AppendRequest
from relay.db.embedded import running_postgres
from relay.db.pool import Database, open_database
from relay.db.source import bring_up_to_date
from relay.events import NewEvent, utc_now

TIMEOUT_SECONDS = 60.0
USERS = 64
TICKS = os.sysconf("SC_CLK_TCK")

SMALL = json.dumps({"progress": 0.5, "message": "epoch 3 of 10"})
CHUNK = json.dumps({"message": "compiling the module of the parser\n" * 57})  # 2 KB of a log


@dataclass(frozen=True)
class Form:
    """One statement: `requests` of as many users, `events` in each; `named` by their producer."""

    requests: int
    events: int
    named: bool
    payload: str = SMALL


FORMS = {
    f"{requests} x {events} {name}{size}": Form(requests, events, name == "named", payload)
    for requests, events in ((1, 1), (16, 1), (1, 50), (1, 500))
    for size, payload in (("", SMALL), (", 2 KB", CHUNK))
    for name in ("unnamed", "named")
}


def generated_ids() -> Iterator[str]:
    while True:
        yield str(uuid_utils.uuid7())


def given_ids() -> Iterator[str]:
    return (f"job-{number % 97}:{number}" for number in count())


def new_requests(form: Form, users: Iterator[UUID], ids: Iterator[str]) -> list[AppendRequest]:
    at = utc_now()
    return [
        AppendRequest(
            user_id,
            [
                NewEvent(
                    *(event_id, "task_progress", "build-7", "2026-01-31T12:00:00Z"),
                    *(form.payload, at, not form.named),
                )
                for event_id in islice(ids, form.events)
            ],
        )
        for user_id in islice(users, form.requests)
    ]


@dataclass(frozen=True)
class Cost:
    """What an event costs its Postgres process."""

    cpu_us: float
    wal_bytes: float


WAL = "SELECT wal_bytes::float8 FROM pg_stat_get_backend_wal(pg_backend_pid())"


async def wal_of(database: Database) -> float:
    """Bytes of WAL that the pinned connection's process has written."""
    await database.fetch_pinned("SELECT pg_stat_force_next_flush()")
    ((found,),) = await database.fetch_pinned(WAL)
    return float(found)


def cpu_of(pid: int) -> float:
    """Seconds of CPU time that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


async def measure(
    database: Database, pid: int, form: Form, users: Iterator[UUID], ids: Iterator[str], end: float
) -> Cost:
    """What each event costs the Postgres process `pid`, until `end` of the clock."""
    events = 0
    cpu, wal = cpu_of(pid), await wal_of(database)
    while perf_counter() < end:
        batch = new_requests(form, users, ids)
        await database.fetch_pinned(*build_statement(batch))
        events += sum(len(request.events) for request in batch)
    spent, written = cpu_of(pid) - cpu, await wal_of(database) - wal
    return Cost(spent / events * 1e6, written / events)


async def measure_all(rounds: int, seconds: float) -> None:
    found: dict[str, list[Cost]] = {form: [] for form in FORMS}
    with tempfile.TemporaryDirectory() as folder:
        async with running_postgres(Path(folder) / "data") as server:
            await bring_up_to_date(server.dsn, apply=True, timeout=TIMEOUT_SECONDS)
            async with (
                open_database(server.dsn, connections=2, timeout=TIMEOUT_SECONDS) as database,
                trio.open_nursery() as nursery,
            ):
                await nursery.start(database.keep_pinned)
                users = [uuid4() for _ in range(USERS)]
                await database.execute(
                    "INSERT INTO users (user_id, epoch) SELECT unnest($1::uuid[]), 'e'", users
                )
                ((pid,),) = await database.fetch_pinned("SELECT pg_backend_pid()")
                turns, ids = cycle(users), {True: given_ids(), False: generated_ids()}
                for number in range(rounds):
                    for name, form in FORMS.items():
                        end = perf_counter() + seconds
                        cost = measure(database, pid, form, turns, ids[form.named], end)
                        found[name].append(await cost)
                    print(f"round {number + 1} of {rounds}", flush=True)
                nursery.cancel_scope.cancel()
    print_table(found)


def print_table(found: dict[str, list[Cost]]) -> None:
    heading = f"\n{'requests x events':28}{'µs an event':>12}{'least':>9}{'most':>9}{'named':>9}"
    print(f"{heading}{'WAL bytes':>12}")
    for name, costs in found.items():
        figures, ratio = [cost.cpu_us for cost in costs], ""
        if FORMS[name].named:
            base = [cost.cpu_us for cost in found[name.replace("named", "unnamed")]]
            ratio = f"x {median(a / b for a, b in zip(figures, base, strict=True) if b):.2f}"
        wal = median(cost.wal_bytes for cost in costs)
        print(
            f"{name:28}{median(figures):12.1f}{min(figures):9.1f}{max(figures):9.1f}{ratio:>9}"
            f"{wal:12.0f}"
        )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=1.0)
    options = parser.parse_args()
    trio.run(measure_all, options.rounds, options.seconds)


if __name__ == "__main__":
    main()
