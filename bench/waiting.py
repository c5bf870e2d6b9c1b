"""Measure what calls cost that wait for an answer, and how soon they have it.

    python -m bench.waiting [--asks 1000] [--seconds 10]

Two processes of Relay share a Postgres. All calls wait in the first one, each on a connection of
its own, for 25 seconds and then again, at times that are spread evenly. Memory is the growth of the
first process for each: of an open connection that has asked once, and of the wait itself. Processor
time is a share of one core. Then asks are answered one by one, in the same process and in the other
one: the time from the answer's receipt to the end of the call that waits.
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import trio

from bench.idle_processes import cpu_of
from bench.machine import cpu_seconds, is_postgres, memory_kib, process_tree, raise_descriptor_limit
from bench.postgres import postgres
from relay.asks.asks import MAX_OPEN_ASKS
from relay.web.waiting import MAX_WAIT_SECONDS
from tests.support.accounts import Account
from tests.support.client.caller import Caller
from tests.support.ledger import Ledger
from tests.support.relay_process import Program, running

QUESTION = {"question": "Deploy?", "kind": "choice", "options": ["yes", "no"], "expires_in": 3_600}
SETTLING_SECONDS = 2.0  # after a change, until memory and processor are those of a rest
ANSWERS = 50  # in each of the two processes


@dataclass(slots=True)
class Waiter:
    """A program that asked, and when its last call was answered."""

    account: Account
    ask_id: str
    caller: Caller
    ended_at: float = 0.0

    async def look(self, wait: int = 0) -> None:
        self.ended_at = 0.0
        path = f"/api/asks/{self.ask_id}?wait_s={wait}"
        answer = await self.caller.call("GET", path, self.account.hook)
        assert answer.status == 200, answer
        self.ended_at = trio.current_time()

    async def wait_again_and_again(self, delay: float) -> None:
        await trio.sleep(delay)
        while True:
            await self.look(MAX_WAIT_SECONDS)

    async def answer(self, caller: Caller) -> float:
        """Answer it; returns when the answer's receipt came."""
        path = f"/api/asks/{self.ask_id}"
        ask = (await caller.call("GET", path, self.account.session)).json
        body = {"answer": "yes", "question_hash": ask["question_hash"]}
        given = json.dumps(body).encode()
        done = await caller.call("POST", f"{path}/answer", self.account.session, given)
        assert done.status == 200, done
        return trio.current_time()


async def open_asks(program: Program, count: int) -> list[Waiter]:
    """Ask so many questions, as many of each user as may be open."""
    waiters: list[Waiter] = []
    async with Caller(program.port) as caller:
        while len(waiters) < count:
            account = await Ledger(program).enrol(f"user-{len(waiters)}", ())
            for _ in range(min(MAX_OPEN_ASKS, count - len(waiters))):
                body = json.dumps(QUESTION).encode()
                answer = await caller.call("POST", "/api/asks", account.hook, body)
                assert answer.status == 201, answer
                waiters.append(Waiter(account, answer.json["ask_id"], Caller(program.port)))
    return waiters


@dataclass(frozen=True, slots=True)
class Rest:
    """What the waiting process and Postgres use while nothing happens, in percent of a core."""

    memory_kib: int
    process: float
    postgres: float


async def at_rest(program: Program, database: int, seconds: float) -> Rest:
    await trio.sleep(SETTLING_SECONDS)
    servers = [pid for pid in process_tree(database) if is_postgres(pid)]
    began, process, others = trio.current_time(), cpu_seconds(program.pid), cpu_of(servers)
    await trio.sleep(seconds)
    took = (trio.current_time() - began) / 100
    return Rest(
        memory_kib(program.pid),
        (cpu_seconds(program.pid) - process) / took,
        (cpu_of(servers) - others) / took,
    )


async def time_answers(waiters: Sequence[Waiter], answering: Program) -> list[float]:
    """Milliseconds from each answer to the end of the call that waits for it."""
    found = []
    async with Caller(answering.port) as caller, trio.open_nursery() as nursery:
        for waiter in waiters:
            nursery.start_soon(waiter.look, MAX_WAIT_SECONDS)
        await trio.sleep(SETTLING_SECONDS)
        for waiter in waiters:
            answered_at = await waiter.answer(caller)
            while not waiter.ended_at:  # noqa: ASYNC110 - most have ended before the receipt
                await trio.sleep(0.001)
            found.append(max(0.0, waiter.ended_at - answered_at) * 1_000)
    return found


async def measure(here: Program, there: Program, database: int, count: int, seconds: float) -> None:
    waiters = await open_asks(here, count)
    empty = await at_rest(here, database, seconds)
    for waiter in waiters:
        await waiter.look()
    connected = await at_rest(here, database, seconds)
    async with trio.open_nursery() as nursery:
        for number, waiter in enumerate(waiters):
            delay = number * MAX_WAIT_SECONDS / count
            nursery.start_soon(waiter.wait_again_and_again, delay)
        await here.shows("relay_waiting_calls", lambda now: now >= count - 1)
        waiting = await at_rest(here, database, seconds)
        nursery.cancel_scope.cancel()
    await here.shows("relay_waiting_calls", lambda now: now == 0)
    connection = (connected.memory_kib - empty.memory_kib) / count
    wait = (waiting.memory_kib - connected.memory_kib) / count
    print(f"{count} calls that wait, and begin again every {MAX_WAIT_SECONDS} s")
    print(f"{connection:8.2f} KiB an open connection without a call")
    print(f"{wait:8.2f} KiB more while its call waits")
    for name, rest in (("no connections", empty), ("open", connected), ("waiting", waiting)):
        print(f"{rest.process:8.2f} % of a core, Postgres {rest.postgres:.2f} %: {name}")
    for waiter in waiters:  # the calls that were cut leave their connections in no state to go on
        waiter.caller = Caller(here.port)
    half = min(ANSWERS, count // 2)
    for name, answering, some in (
        ("here", here, waiters[:half]),
        ("in the other process", there, waiters[half : 2 * half]),
    ):
        times = await time_answers(some, answering)
        print(f"{median(times):8.1f} ms, at most {max(times):.1f}, to an answer given {name}")
    async with AsyncExitStack() as stack:  # which closes them
        for waiter in waiters:
            await stack.enter_async_context(waiter.caller)


async def run(count: int, seconds: float) -> None:
    with postgres() as (dsn, database), tempfile.TemporaryDirectory() as folder:
        here, there = (Program(Path(folder) / name, dsn) for name in ("here", "there"))
        for program in (here, there):
            program.folder.mkdir()
            program.settings["BASE_URL"] = here.url
        async with running(here, there):
            for program in (here, there):
                await program.shows("relay_backplane_processes", lambda found: found == 2)
            await measure(here, there, database, count, seconds)


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m bench.waiting",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--asks", type=int, default=1_000)
    parser.add_argument("--seconds", type=float, default=10.0, help="of each rest")
    wanted = parser.parse_args()
    raise_descriptor_limit()
    trio.run(run, wanted.asks, wanted.seconds)
    return 0


if __name__ == "__main__":
    sys.exit(main())
