"""Postgres frozen and Postgres restarted, under load."""

import signal
from collections import Counter
from pathlib import Path

import pytest
import trio

from relay.db.embedded import running_postgres
from tests.faults.ledger import Ledger, load
from tests.faults.program import Program, copy_data, running, send
from tests.faults.wire import Caller

DEADLINE = 1.0  # seconds: RELAY_DATABASE_TIMEOUT of the frozen program
FROZEN = 4.5  # seconds: longer than credentials are trusted from memory, and a call more
NOISE = 1.0  # seconds a busy machine may add to a deadline
EVENT = b'{"event_type":"log","ts":"2026-01-31T12:00:00Z","payload":{}}'
GOOD_WITHIN = 2.0  # seconds from the return of Postgres until every post is accepted


async def test_a_frozen_postgres_means_503_by_the_deadline_and_good_again(
    tmp_path: Path, made_data: Path
) -> None:
    program = Program(tmp_path, RELAY_DATABASE_TIMEOUT=str(DEADLINE))
    copy_data(made_data, program.data)
    async with running(program), load(program) as ledger:
        processes = program.postgres()
        send(processes, signal.SIGSTOP)
        frozen = trio.current_time()
        ready = (await program.ask("/readyz")).status
        alive = (await program.ask("/healthz")).status
        await trio.sleep_until(frozen + FROZEN)
        refused = ledger.since(frozen)
        send(processes, signal.SIGCONT)
        thawed = trio.current_time()
        await trio.sleep(GOOD_WITHIN)
        await ledger.goes_on(within=15)
        good = ledger.last_refusal_after(thawed)
        assert await program.is_ready()
        slowest = max(a.ended - a.started for a in ledger.since(frozen) if a.status == 503)
        assert refused
        assert {attempt.status for attempt in refused} == {503}
        assert slowest < DEADLINE + NOISE
        assert (ready, alive) == (503, 200)
        assert good < GOOD_WITHIN
    assert not [reader.ends for reader in ledger.readers if reader.ends]


async def test_every_answer_keeps_its_deadline_while_postgres_is_frozen(
    tmp_path: Path, made_data: Path
) -> None:
    program = Program(tmp_path, RELAY_DATABASE_TIMEOUT=str(DEADLINE))
    copy_data(made_data, program.data)
    took: list[tuple[str, float, int]] = []
    async with running(program):
        account = await Ledger(program).enrol("u", [])

        async def ask(path: str, after: float = 0.0) -> None:
            await trio.sleep(after)
            started = trio.current_time()
            async with Caller(program.port) as caller:
                if path == "post":
                    answer = await caller.call("POST", "/api/webhook/cli", account.hook, EVENT)
                else:
                    answer = await caller.call("GET", path, account.session)
            took.append((path, round(trio.current_time() - started, 2), answer.status))

        async with trio.open_nursery() as nursery:  # every connection of the pool is in use once
            for _ in range(30):
                nursery.start_soon(ask, "/api/me")
        took.clear()
        send(program.postgres(), signal.SIGSTOP)
        async with trio.open_nursery() as nursery:
            for after in (0.0, 0.5, 3.0, 4.0):
                for path in ("post", "/readyz", "/api/events"):
                    nursery.start_soon(ask, path, after)
    assert {status for *_, status in took} == {503}, took
    assert max(seconds for _, seconds, _ in took) < DEADLINE + NOISE * 0.7, took


async def test_impatient_producers_get_503_from_a_full_journal(
    tmp_path: Path, made_data: Path
) -> None:
    program = Program(tmp_path, RELAY_QUEUE_EVENTS="5", RELAY_DATABASE_TIMEOUT=str(DEADLINE))
    copy_data(made_data, program.data)
    async with running(program):
        account = await Ledger(program).enrol("u", [])
        async with Caller(program.port) as caller:
            first = await caller.call("POST", "/api/webhook/cli", account.hook, EVENT)
            assert first.status == 200
        send(program.postgres(), signal.SIGSTOP)
        until = trio.current_time() + 2
        statuses: Counter[int] = Counter()

        async def hurry() -> None:
            while trio.current_time() < until:
                with trio.move_on_after(0.15):
                    async with Caller(program.port) as caller:
                        answer = await caller.call("POST", "/api/webhook/cli", account.hook, EVENT)
                        statuses[answer.status] += 1
                        await trio.sleep(0.05)

        async with trio.open_nursery() as nursery:
            for _ in range(4):
                nursery.start_soon(hurry)
        assert set(statuses) == {503}, statuses


@pytest.mark.parametrize("away", [0.0, 2.0])
async def test_a_restarted_postgres_means_503_and_good_within_a_second(
    tmp_path: Path, made_data: Path, away: float
) -> None:
    copy_data(made_data, tmp_path / "elsewhere")
    async with trio.open_nursery() as nursery:
        first, second = trio.Event(), trio.Event()
        up: list[float] = []
        dsn = await nursery.start(_postgres, tmp_path / "elsewhere", first, up)
        program = Program(tmp_path, dsn)
        async with running(program), load(program) as ledger:
            pid = program.pid
            went = trio.current_time()
            first.set()
            while len(up) % 2:  # noqa: ASYNC110
                await trio.sleep(0.01)
            await trio.sleep(away)
            again = await nursery.start(_postgres, tmp_path / "elsewhere", second, up)
            back = trio.current_time()
            assert again == dsn
            await trio.sleep(GOOD_WITHIN if away else 0.5)
            await ledger.goes_on(within=15)
            good = ledger.last_refusal_after(back)
            refused = [a for a in ledger.since(went) if a.status != 200]
            assert refused or not away
            assert {attempt.status for attempt in refused} <= {503}
            assert good < GOOD_WITHIN
            assert (program.pid, program.process.poll()) == (pid, None)
        assert not [reader.ends for reader in ledger.readers if reader.ends]
        second.set()


async def _postgres(
    folder: Path, stop: trio.Event, up: list[float], task_status: trio.TaskStatus[str]
) -> None:
    async with running_postgres(folder) as postgres:
        up.append(trio.current_time())
        task_status.started(postgres.dsn)
        await stop.wait()
    up.append(trio.current_time())
