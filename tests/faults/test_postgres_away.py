"""Postgres frozen and Postgres restarted, under load."""

import json
import signal
from collections import Counter
from functools import partial
from pathlib import Path
from uuid import UUID

import trio

from relay.db.embedded import running_postgres
from relay.db.pool import connect
from tests.faults.ledger import Ledger, load
from tests.faults.program import Program, copy_data, dsn, running, send
from tests.faults.wire import Caller, stream

DEADLINE = 1.0  # seconds: RELAY_DATABASE_TIMEOUT of the frozen program
FROZEN = 4.0  # seconds: longer than credentials are trusted from memory, and a call more
NOISE = 4.0  # seconds a busy machine may add to a deadline: without one it was 9 more
EVENT = b'{"event_type":"log","ts":"2026-01-31T12:00:00Z","payload":{}}'
GOOD_WITHIN = 4.0  # seconds from the return of Postgres until every post is accepted; quiet: 1.5
GOOD_FOR = 1.5  # seconds without a refusal, after which none is expected


async def good_again(ledger: Ledger, since: float) -> None:
    """Wait until every post is accepted again, and see how long that took."""
    await ledger.goes_on()
    with trio.fail_after(15):
        while since + ledger.last_refusal_after(since) + GOOD_FOR > trio.current_time():  # noqa: ASYNC110
            await trio.sleep(0.05)
    await ledger.goes_on()
    assert ledger.last_refusal_after(since) < GOOD_WITHIN


async def test_a_frozen_postgres_means_503_by_the_deadline_and_good_again(
    tmp_path: Path, made_data: Path
) -> None:
    program = Program(tmp_path, RELAY_DATABASE_TIMEOUT=str(DEADLINE))
    copy_data(made_data, program.data)
    took: list[tuple[str, float, int]] = []

    async def ask(path: str, token: str | None, after: float) -> None:
        await trio.sleep(after)
        started = trio.current_time()
        answer = await program.ask(path, token)
        took.append((path, trio.current_time() - started, answer.status))

    async with running(program), load(program) as ledger:
        session = ledger.accounts[0].session
        async with trio.open_nursery() as nursery:  # every connection of the pool is in use once
            for _ in range(30):
                nursery.start_soon(ask, "/api/me", session, 0.0)
        took.clear()
        processes = program.postgres()
        send(processes, signal.SIGSTOP)
        frozen = trio.current_time()
        async with trio.open_nursery() as nursery:
            for after in (0.0, 0.5, FROZEN - DEADLINE):
                nursery.start_soon(ask, "/readyz", None, after)
                nursery.start_soon(ask, "/api/events", session, after)
            assert (await program.ask("/healthz")).status == 200
            await trio.sleep_until(frozen + FROZEN)
        refused = ledger.since(frozen)
        send(processes, signal.SIGCONT)
        thawed = trio.current_time()
        await good_again(ledger, thawed)
        assert await program.is_ready()
        assert {attempt.status for attempt in refused} == {503}
        assert {status for _, _, status in took} == {503}, took
        slowest = max(a.ended - a.started for a in ledger.since(frozen) if a.status == 503)
        assert max(slowest, *(seconds for _, seconds, _ in took)) < DEADLINE + NOISE, took
    assert not [reader.ends for reader in ledger.readers if reader.ends]


async def test_impatient_producers_get_503_from_a_full_journal(
    tmp_path: Path, made_data: Path
) -> None:
    program = Program(tmp_path, RELAY_QUEUE_EVENTS="5", RELAY_DATABASE_TIMEOUT=str(DEADLINE))
    copy_data(made_data, program.data)
    async with running(program):
        ledger = Ledger(program)  # of several users: one alone waits for a turn of its own
        hooks = [(await ledger.enrol(f"u{n}", [])).hook for n in range(6)]
        async with Caller(program.port) as caller:
            for hook in hooks:
                first = await caller.call("POST", "/api/webhook/cli", hook, EVENT)
                assert first.status == 200
        send(program.postgres(), signal.SIGSTOP)
        until = trio.current_time() + 2
        statuses: Counter[int] = Counter()

        async def hurry(hook: str) -> None:
            while trio.current_time() < until:
                with trio.move_on_after(0.15):
                    async with Caller(program.port) as caller:
                        answer = await caller.call("POST", "/api/webhook/cli", hook, EVENT)
                        statuses[answer.status] += 1
                        await trio.sleep(0.05)

        async with trio.open_nursery() as nursery:
            for hook in hooks:
                nursery.start_soon(hurry, hook)
        assert set(statuses) == {503}, statuses


async def test_a_restarted_postgres_means_503_and_good_within_a_second(
    tmp_path: Path, made_data: Path
) -> None:
    """Once as quick as it can be, once long enough for memory to be trusted no more."""
    elsewhere = tmp_path / "elsewhere"
    copy_data(made_data, elsewhere)
    async with trio.open_nursery() as nursery:
        stop, gone = trio.Event(), trio.Event()
        dsn = await nursery.start(_postgres, elsewhere, stop, gone)
        program = Program(tmp_path, dsn)
        async with running(program), load(program) as ledger:
            pid = program.pid
            for away in (0.0, 2.0):
                went = trio.current_time()
                stop.set()
                await gone.wait()
                await trio.sleep(away)
                stop, gone = trio.Event(), trio.Event()
                assert await nursery.start(_postgres, elsewhere, stop, gone) == dsn
                back = trio.current_time()
                await good_again(ledger, back)
                refused = [a for a in ledger.since(went) if a.status != 200]
                assert refused or not away
                assert {attempt.status for attempt in refused} <= {503}
            assert (program.pid, program.process.poll()) == (pid, None)
        assert not [reader.ends for reader in ledger.readers if reader.ends]
        stop.set()


async def test_a_database_under_repair_ends_no_process_and_no_stream(
    tmp_path: Path, made_data: Path
) -> None:
    """Tables of the background's statements are elsewhere for a while: a refusal, not an outage."""
    program = Program(tmp_path)
    copy_data(made_data, program.data)
    tables = ("tokens", "sessions", "processes", "watching", "audit_log")
    async with running(program), load(program, hopping=0) as ledger:
        pid = program.pid
        async with connect(dsn(program), timeout=DEADLINE + NOISE) as database:
            for table in tables:
                await database.execute(f"ALTER TABLE {table} RENAME TO away_{table}")
            await program.says("database_away", within=GOOD_WITHIN + NOISE)
            await trio.sleep(FROZEN)  # every loop has met it more than once
            for table in tables:
                await database.execute(f"ALTER TABLE away_{table} RENAME TO {table}")
        mended = trio.current_time()
        await program.says("database_back", within=GOOD_WITHIN + NOISE)
        await good_again(ledger, mended)
        assert (program.pid, program.process.poll()) == (pid, None)
        assert not program.logged("background_work_died")
    assert not [reader.ends for reader in ledger.readers if reader.ends]


async def _postgres(
    folder: Path, stop: trio.Event, gone: trio.Event, task_status: trio.TaskStatus[str]
) -> None:
    async with running_postgres(folder) as postgres:
        task_status.started(postgres.dsn)
        await stop.wait()
    gone.set()


async def test_what_a_timed_out_commit_stored_reaches_readers_when_it_is_repeated(
    tmp_path: Path, made_data: Path
) -> None:
    program = Program(tmp_path, RELAY_DATABASE_TIMEOUT=str(DEADLINE))
    copy_data(made_data, program.data)
    event = b'{"event_id":"late",' + EVENT[1:]
    async with running(program), Caller(program.port) as producer:
        account = await Ledger(program).enrol("late", [])
        post = partial(producer.call, "POST", "/api/webhook/cli", account.hook, event)
        async with stream(program.port, "sse", account.session) as reader:
            assert (await reader.next())[0]["type"] == "hello"
            async with connect(dsn(program), timeout=10) as elsewhere:
                await elsewhere.execute("BEGIN")
                await elsewhere.execute(
                    "SELECT FROM users WHERE user_id = $1 FOR UPDATE", UUID(account.user_id)
                )
                assert (await post()).status == 503
                await elsewhere.execute("COMMIT")
            async with connect(dsn(program), timeout=10) as elsewhere:
                while not await elsewhere.fetch("SELECT FROM events WHERE event_id = 'late'"):  # noqa: ASYNC110
                    await trio.sleep(0.01)
            again = json.loads((await post()).body)
            assert again["duplicate"]
            with trio.fail_after(1):  # long before anybody looks
                assert [message["seq"] for message in await reader.next()] == [again["seq"]]
