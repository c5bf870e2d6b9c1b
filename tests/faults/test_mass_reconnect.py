"""Many clients at once: all reconnect after a restart, or connect and disconnect all the time."""

import random
from collections import Counter
from pathlib import Path

import psutil
import pytest
import trio

from tests.support.accounts import Account
from tests.support.client.caller import Caller
from tests.support.client.connection import Lost
from tests.support.client.streams import TRANSPORTS, Ended, Refused, Stream, stream
from tests.support.ledger import Ledger, load
from tests.support.patience import PATIENCE, eventually
from tests.support.relay_process import Program
from tests.support.relay_server import running_relay

RESUMES = 800  # streams that come back at once; the soak has more
MANY_RESUMES = 2000
USERS = 80  # whose they are: a user may have 32

GUESTS = 24  # tasks that come and go
VISITS = 40  # of each, and half as many before; the soak has more
SOAK = 6_000
GROWTH = 6 * 2**20  # bytes of memory that may stay: what the allocator keeps of a crowd


async def post(program: Program, account: Account, count: int) -> int:
    """Store so many more events; returns the last one's seq."""
    async with Caller(program.port) as caller:
        line = b'{"event_type":"log","ts":"2026-01-31T12:00:00Z","payload":{}}'
        answer = await caller.insist(
            *("POST", "/api/webhook/cli", account.hook),
            *(b"\n".join([line] * count), "application/x-ndjson"),
        )
    assert answer.status == 200
    last: int = answer.json["last_seq"]
    return last


async def restart(program: Program, resumes: int) -> None:
    """So many streams come back at once, and each has what it missed."""
    ledger = Ledger(program)
    accounts = [await ledger.enrol(f"u{n}", []) for n in range(USERS)]
    for account in accounts:
        await post(program, account, 10)
    epochs = [(await ledger.stored(account))[4]["cursor"] for account in accounts]
    await program.kill()
    statuses: Counter[int] = Counter()
    missed: list[list[int]] = []
    hasty = 0  # refusals that do not say when to come back

    async def come_back(n: int) -> None:
        nonlocal hasty
        account, cursor = accounts[n % USERS], epochs[n % USERS]
        while True:
            try:
                async with stream(
                    program.port, TRANSPORTS[n % 2], account.session, f"?after={cursor}"
                ) as opened:
                    statuses[200] += 1
                    seqs: list[int] = []
                    while len(seqs) < 5:
                        seqs += [m["seq"] for m in await opened.read() if "event_type" in m]
                    missed.append(seqs)
                    return
            except Refused as refused:
                statuses[refused.answer.status] += 1
                hasty += "retry-after" not in refused.answer.headers
            except (Lost, Ended):
                pass  # nothing listens yet
            await trio.sleep(0.1)

    with trio.fail_after(PATIENCE):
        async with trio.open_nursery() as nursery:
            for n in range(resumes):
                nursery.start_soon(come_back, n)
            await program.start()
    assert set(statuses) <= {200, 503}
    assert not hasty
    assert missed == [[6, 7, 8, 9, 10]] * resumes


async def test_all_readers_reconnect_after_a_restart_and_are_served(
    plain_program: Program,
) -> None:
    await restart(plain_program, RESUMES)


@pytest.mark.soak
async def test_a_thousand_readers_reconnect_after_a_restart_and_are_served(
    plain_program: Program,
) -> None:
    await restart(plain_program, MANY_RESUMES)


async def come_and_go(program: Program, accounts: list[Account], seed: int, visits: int) -> None:
    """Open a stream on some transport, from somewhere, leave it in some way; repeat."""
    rng = random.Random(seed)
    for _ in range(visits):
        account, transport = rng.choice(accounts), rng.choice(TRANSPORTS)
        query = rng.choice(("", "?after=oldest", "?last=3"))
        try:
            with trio.move_on_after(rng.random() * 0.2):  # also within the handshake
                async with stream(program.port, transport, account.session, query) as opened:
                    await _read_on(opened)
        except (Lost, Refused, Ended):
            await trio.sleep(0.01)


async def _read_on(opened: Stream) -> None:
    while True:
        await opened.read()


async def churn(program: Program, visits: int, residents: int = 0) -> None:
    """Come and go; at most so many streams and producers of others stay meanwhile."""
    ledger = Ledger(program)
    accounts = [await ledger.enrol(f"u{n}", []) for n in range(4)]
    process = psutil.Process(program.pid)

    async def publish() -> None:
        while True:
            await post(program, accounts[0], 5)
            await trio.sleep(0.05)

    async def crowd(visits: int) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(publish)
            async with trio.open_nursery() as guests:
                for n in range(GUESTS):
                    guests.start_soon(come_and_go, program, accounts, n, visits)
            nursery.cancel_scope.cancel()
        await program.shows("relay_connected_sockets", lambda streams: streams <= residents)
        # the one that asks, and of each resident stream a producer at most
        await program.shows("relay_connections", lambda count: count <= 1 + 2 * residents)

    await crowd(visits // 2)  # what is made once, is made now
    descriptors, memory = descriptors_of(process), process.memory_info().rss
    await crowd(visits)
    await eventually(lambda: descriptors_of(process) <= descriptors + residents)
    assert process.memory_info().rss - memory < GROWTH


def descriptors_of(process: psutil.Process) -> int:
    """Open files and sockets, but for the pool's: it keeps what a crowd made it open."""
    return process.num_fds() - len(process.net_connections("unix"))


async def test_churning_readers_leave_nothing_behind(plain_program: Program) -> None:
    await churn(plain_program, VISITS)


@pytest.mark.soak
async def test_churning_readers_leave_nothing_behind_for_ten_minutes(
    plain_program: Program,
) -> None:
    async with load(plain_program):  # three users, each with three readers and two producers
        await churn(plain_program, SOAK, residents=15)


async def test_every_task_ends_with_its_connection(database_url: str) -> None:
    """In this very process, where tasks can be counted."""
    async with running_relay(database_url, RELAY_MAX_CONNECTIONS_PER_ADDRESS="1000") as relay:
        program = Program(Path())
        program.port = int(relay.url.rpartition(":")[2])
        accounts = [await Ledger(program).enrol("u", [])]
        await come_and_go(program, accounts, 0, 5)
        await program.shows("relay_connections", lambda count: count <= 1)
        before = tasks()
        async with trio.open_nursery() as nursery:
            for n in range(GUESTS):
                nursery.start_soon(come_and_go, program, accounts, n, 20)
            await eventually(lambda: tasks() > before + GUESTS)
        await eventually(lambda: tasks() <= before)


def tasks() -> int:
    return trio.lowlevel.current_statistics().tasks_living
