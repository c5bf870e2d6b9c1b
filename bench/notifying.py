"""Measure how many notifications a process sends, and how soon an end is at its receiver.

    python -m bench.notifying [--users 20] [--ends 2000] [--probes 100] [--flood 500]

One process of Relay on a Postgres of its own, and a receiver on loopback. First each user with a
webhook ends tasks in batches, and the rate is that of the posts at the receiver, from the first one
to the last one; processor time is that of the process for one notification. Then one task after the
other ends, while another user publishes events at a steady rate: the time from the request that
ends a task to its notification's arrival.
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from statistics import median, quantiles

import trio

from bench.machine import cpu_seconds, raise_descriptor_limit
from bench.postgres import postgres
from tests.support.accounts import Account
from tests.support.client.caller import Caller
from tests.support.ledger import NDJSON, Ledger
from tests.support.receivers import Receiver, receiver
from tests.support.relay_process import Program, running

TS = "2026-11-29T10:00:00Z"
BATCH = 100  # ends in one request, and events of the flood
PROBE_SECONDS = 0.1  # between two ends that are timed
SETTINGS = {"RELAY_OUTBOUND_PRIVATE": "on"}


def ends(prefix: str, count: int) -> bytes:
    """So many ends of tasks, one a line."""
    line = {"event_type": "task_failed", "ts": TS, "payload": {"title": "make test"}}
    return b"".join(
        json.dumps({**line, "task_id": f"{prefix}-{number}"}).encode() + b"\n"
        for number in range(count)
    )


async def add_webhook(caller: Caller, account: Account, to: Receiver) -> None:
    body = {"kind": "webhook", "url": to.url, "unless_watched": False}
    added = await caller.call("POST", "/api/channels", account.session, json.dumps(body).encode())
    assert added.status == 201, added


async def publish(caller: Caller, account: Account, lines: bytes) -> None:
    answer = await caller.call("POST", "/api/webhook/cli", account.hook, lines, NDJSON)
    assert answer.status == 200, answer


async def measure_rate(
    program: Program, accounts: Sequence[Account], to: Receiver, count: int
) -> None:
    """End so many tasks, evenly over the users, and wait for their notifications."""
    each = count // len(accounts)
    before = cpu_seconds(program.pid)
    async with Caller(program.port) as caller:
        for account in accounts:
            for first in range(0, each, BATCH):
                lines = ends(f"r{first}", min(BATCH, each - first))
                await publish(caller, account, lines)
    await to.has(1)
    began, had = trio.current_time(), len(to.posts)
    await to.has(each * len(accounts))
    took = trio.current_time() - began
    used = (cpu_seconds(program.pid) - before) / (each * len(accounts)) * 1_000
    rate = (each * len(accounts) - had) / took
    print(f"{rate:8.0f} notifications a second, {used:.2f} ms of the process for each")


async def flood(program: Program, account: Account, rate: int) -> None:
    """Publish events at this rate until cancelled."""
    line = {"event_type": "log", "ts": TS, "task_id": "flood", "payload": {"message": "x" * 200}}
    lines = (json.dumps(line).encode() + b"\n") * BATCH
    async with Caller(program.port) as caller:
        due = trio.current_time()
        while True:
            await publish(caller, account, lines)
            due += BATCH / rate
            await trio.sleep_until(due)


async def measure_delay(
    program: Program, account: Account, to: Receiver, probes: int
) -> list[float]:
    """Milliseconds from the request of each end to its notification."""
    found = []
    async with Caller(program.port) as caller:
        for number in range(probes):
            before = len(to.posts)
            began = trio.current_time()
            await publish(caller, account, ends(f"p{number}", 1))
            await to.has(before + 1)
            found.append((trio.current_time() - began) * 1_000)
            await trio.sleep(PROBE_SECONDS)
    return found


async def run(users: int, count: int, probes: int, rate: int) -> None:
    with postgres() as (dsn, _), tempfile.TemporaryDirectory() as folder:
        program = Program(Path(folder), dsn, **SETTINGS)
        async with running(program), receiver() as to:
            ledger = Ledger(program)
            accounts = [await ledger.enrol(f"user-{number}", ()) for number in range(users)]
            async with Caller(program.port) as caller:
                for account in accounts:
                    await add_webhook(caller, account, to)
            await measure_rate(program, accounts, to, count)
            loud = await ledger.enrol("loud", ())
            async with trio.open_nursery() as nursery:
                if rate:
                    nursery.start_soon(flood, program, loud, rate)
                times = await measure_delay(program, accounts[0], to, probes)
                nursery.cancel_scope.cancel()
            p99 = quantiles(times, n=100)[98]
            print(
                f"{median(times):8.0f} ms from an end to its receiver, p99 {p99:.0f},"
                f" at most {max(times):.0f}, beside {rate} events/s of another user"
            )


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m bench.notifying",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--users", type=int, default=20)
    parser.add_argument("--ends", type=int, default=2_000, help="of all users")
    parser.add_argument("--probes", type=int, default=100, help="ends that are timed one by one")
    parser.add_argument("--flood", type=int, default=500, help="events a second beside them")
    wanted = parser.parse_args()
    raise_descriptor_limit()
    trio.run(run, wanted.users, wanted.ends, wanted.probes, wanted.flood)
    return 0


if __name__ == "__main__":
    sys.exit(main())
