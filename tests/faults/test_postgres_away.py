"""Postgres frozen and Postgres restarted, under load."""

import json
import signal
from functools import partial
from pathlib import Path
from uuid import UUID

import trio

from relay.db.batched_lookup import OVERLAP_AFTER_SECONDS
from relay.db.embedded import running_postgres
from relay.db.pool import connect
from tests.support.client.caller import Caller
from tests.support.client.protocol import Answer
from tests.support.client.streams import stream
from tests.support.ledger import Ledger, load
from tests.support.patience import PATIENCE, eventually
from tests.support.processes import send
from tests.support.relay_process import Program, copy_data, dsn, running
from tests.support.two_relays import HOUR

TRUST_SECONDS = 2.5  # seconds for which cached users count while there is no database
DEADLINE = "1"  # seconds: RELAY_DATABASE_TIMEOUT where a database hangs
LOOKUPS = 10  # more than there are queries beside each other
LATE = "SELECT FROM events WHERE event_id = 'late'"
REFUSED = "SELECT xact_rollback AS count FROM pg_stat_database WHERE datname = current_database()"
EVENT = b'{"event_type":"log","ts":"2026-01-31T12:00:00Z","payload":{}}'


async def test_a_frozen_postgres_means_503_while_it_is_frozen_and_good_again(
    tmp_path: Path, made_data: Path
) -> None:
    program = Program(tmp_path, RELAY_DATABASE_TIMEOUT=DEADLINE)
    program.altered = {"relay.auth.revocations.TRUST_SECONDS": TRUST_SECONDS}
    copy_data(made_data, program.data)
    statuses: list[int] = []

    async def ask(path: str, token: str | None) -> None:
        statuses.append((await program.ask(path, token)).status)

    async def ask_both() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(ask, "/readyz", None)
            nursery.start_soon(ask, "/api/events", session)

    async with running(program), load(program) as ledger:
        session = ledger.accounts[0].session
        async with trio.open_nursery() as nursery:  # every connection of the pool is in use once
            for _ in range(30):
                nursery.start_soon(ask, "/api/me", session)
        statuses.clear()
        processes = program.postgres()
        send(processes, signal.SIGSTOP)
        mark, frozen = len(ledger.attempts), trio.current_time()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(ask_both)
            assert (await program.ask("/healthz")).status == 200
        await program.says("database_away")
        await ask_both()
        await trio.sleep_until(frozen + TRUST_SECONDS)
        await ask_both()  # no user is known from memory any more
        await eventually(lambda: len(ledger.since(mark)) > 10)
        refused = ledger.since(mark)
        # an answer by now came from a Relay whose database is frozen
        send(processes, signal.SIGCONT)
        await ledger.answers(200)
        await program.ready()
        assert {attempt.status for attempt in refused} == {503}
        assert statuses == [503] * 6
    assert not [reader.ends for reader in ledger.readers if reader.ends]


async def test_each_lookup_of_one_user_is_refused_while_postgres_is_frozen(
    tmp_path: Path, made_data: Path
) -> None:
    """Some are in the query that hangs, others in the one beside it, and the rest after both."""
    program = Program(tmp_path, RELAY_DATABASE_TIMEOUT=DEADLINE)
    program.altered = {"relay.auth.revocations.TRUST_SECONDS": HOUR}  # the lookups alone refuse
    copy_data(made_data, program.data)
    statuses: list[int] = []

    async def ask() -> None:
        statuses.append((await program.ask("/api/events", account.session)).status)

    async with running(program):
        account = await Ledger(program).enrol("looked up", [])
        send(program.postgres(), signal.SIGSTOP)
        async with trio.open_nursery() as nursery:
            for _ in range(LOOKUPS):
                nursery.start_soon(ask)
                await trio.sleep(2 * OVERLAP_AFTER_SECONDS)
        assert statuses == [503] * LOOKUPS
        send(program.postgres(), signal.SIGCONT)
        async with Caller(program.port) as caller:
            again = await caller.insist("GET", "/api/events", account.session)
    assert again.status == 200


async def test_a_full_journal_refuses_at_once_while_others_wait_for_a_frozen_postgres(
    tmp_path: Path, made_data: Path
) -> None:
    program = Program(tmp_path, RELAY_QUEUE_EVENTS="5")
    program.altered = {"relay.auth.revocations.TRUST_SECONDS": HOUR}  # the journal alone may refuse
    copy_data(made_data, program.data)
    answers: list[Answer] = []

    async def post(hook: str) -> Answer:
        async with Caller(program.port) as caller:
            return await caller.call("POST", "/api/webhook/cli", hook, EVENT)

    async def wait(hook: str) -> None:
        answers.append(await post(hook))

    async with running(program):
        ledger = Ledger(program)  # of several users: one alone waits for a turn of its own
        *waiting, last = [(await ledger.enrol(f"u{n}", [])).hook for n in range(6)]
        for hook in (*waiting, last):
            assert (await post(hook)).status == 200
        send(program.postgres(), signal.SIGSTOP)
        async with trio.open_nursery() as nursery:
            for hook in waiting:
                nursery.start_soon(wait, hook)
            await program.shows("relay_journal_waiting_events", lambda events: events == 5)
            for _ in range(10):
                refusal = await post(last)
                assert (refusal.status, refusal.json["code"]) == (503, "journal_full")
                assert "retry-after" in refusal.headers
            assert not answers
            assert await program.metric("relay_journal_full_total") == 10
            nursery.cancel_scope.cancel()


async def test_a_call_that_waits_does_not_say_open_while_postgres_is_frozen(
    tmp_path: Path, made_data: Path
) -> None:
    """Its answer was made before, but nothing shows any more that it still holds."""
    program = Program(tmp_path, RELAY_DATABASE_TIMEOUT=DEADLINE)
    program.altered = {"relay.auth.revocations.TRUST_SECONDS": TRUST_SECONDS}
    copy_data(made_data, program.data)
    question = {"question": "Deploy?", "kind": "choice", "options": ["yes", "no"]}
    body = json.dumps({**question, "expires_in": 3_600}).encode()
    answers: list[Answer] = []
    async with running(program), Caller(program.port) as caller:
        account = await Ledger(program).enrol("asker", ())
        made = (await caller.insist("POST", "/api/asks", account.hook, body)).json
        frozen = trio.Event()

        async def wait() -> None:
            path = f"/api/asks/{made['ask_id']}?wait_s=20"
            while not frozen.is_set():  # before, a slow machine may end it
                answer = await caller.call("GET", path, account.hook)
            answers.append(answer)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(wait)
            await program.shows("relay_waiting_calls", lambda count: count == 1)
            processes = program.postgres()
            send(processes, signal.SIGSTOP)
            frozen.set()
            await program.says("database_away")
        send(processes, signal.SIGCONT)
        await program.ready()
        assert [answer.status for answer in answers] == [503]
        await program.shows("relay_waiting_calls", lambda count: count == 0)


async def test_a_restarted_postgres_means_503_and_good_again(
    tmp_path: Path, made_data: Path
) -> None:
    """Once as quick as it can be, once long enough for memory to be trusted no more."""
    elsewhere = tmp_path / "elsewhere"
    copy_data(made_data, elsewhere)
    async with trio.open_nursery() as nursery:
        stop, gone = trio.Event(), trio.Event()
        dsn = await nursery.start(_postgres, elsewhere, stop, gone)
        program = Program(tmp_path, dsn)
        program.altered = {"relay.auth.revocations.TRUST_SECONDS": TRUST_SECONDS}
        async with running(program), load(program) as ledger:
            pid = program.pid
            for long in (False, True):
                mark = len(ledger.attempts)
                stop.set()
                await gone.wait()
                if long:
                    left = trio.current_time()
                    await ledger.answers(503)
                    await trio.sleep_until(left + TRUST_SECONDS)
                stop, gone = trio.Event(), trio.Event()
                assert await nursery.start(_postgres, elsewhere, stop, gone) == dsn
                await ledger.answers(200)
                assert {attempt.status for attempt in ledger.since(mark)} <= {200, 503}
            assert (program.pid, program.process.poll()) == (pid, None)
        assert not [reader.ends for reader in ledger.readers if reader.ends]
        stop.set()


async def test_a_locked_database_ends_no_process_and_no_stream(
    tmp_path: Path, made_data: Path
) -> None:
    """Tables of the background's statements are elsewhere for a while: a refusal, not an outage.

    Housekeeping logs each refusal, from the second one on at debug; the database counts them, too.
    """
    program = Program(tmp_path, RELAY_WORKERS="1", RELAY_HOUSEKEEPING_EVERY="0.2")
    program.settings["LOG_LEVEL"] = "debug"
    copy_data(made_data, program.data)
    async with running(program), load(program, hopping=0) as ledger:
        pid = program.pid
        async with connect(dsn(program), timeout=PATIENCE) as database:

            async def away(*tables: str) -> None:
                for table in tables:
                    await database.execute(f"ALTER TABLE {table} RENAME TO away_{table}")

            async def refused() -> int:
                count: int = (await database.fetch(REFUSED))[0]["count"]
                return count

            before = await refused()
            await away("processes", "watching")
            with trio.fail_after(PATIENCE):
                while await refused() < before + 2:  # noqa: ASYNC110 - nothing is sent
                    await trio.sleep(0.05)
            refusals = len(program.logged("housekeeping_refused"))
            await away("audit_log")
            await program.says("housekeeping_refused", refusals + 2)
            await away("tokens", "sessions")
            await program.says("database_away")
            await ledger.answers(503)
            for table in ("tokens", "sessions", "processes", "watching", "audit_log"):
                await database.execute(f"ALTER TABLE away_{table} RENAME TO {table}")
        await program.says("database_back")
        await ledger.answers(200)
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
    program = Program(tmp_path, RELAY_DATABASE_TIMEOUT=DEADLINE)
    # what brings it is the repetition, and not the look after it
    program.altered = {"relay.services.POLL_INTERVAL_ALONE": HOUR}
    copy_data(made_data, program.data)
    event = b'{"event_id":"late",' + EVENT[1:]
    async with running(program), Caller(program.port) as producer:
        account = await Ledger(program).enrol("late", [])
        post = partial(producer.call, "POST", "/api/webhook/cli", account.hook, event)
        async with stream(program.port, "sse", account.session, insist=True) as reader:
            assert (await reader.read())[0]["type"] == "hello"
            async with connect(dsn(program), timeout=PATIENCE) as elsewhere:
                await elsewhere.execute("BEGIN")
                await elsewhere.execute(
                    "SELECT FROM users WHERE user_id = $1 FOR UPDATE", UUID(account.user_id)
                )
                assert (await post()).status == 503
                await elsewhere.execute("COMMIT")
            with trio.fail_after(PATIENCE):
                async with connect(dsn(program), timeout=PATIENCE) as elsewhere:
                    while not await elsewhere.fetch(LATE):  # noqa: ASYNC110 - another process
                        await trio.sleep(0.01)
                while (answer := await post()).status == 503:  # noqa: ASYNC110
                    await trio.sleep(0.1)
                again = json.loads(answer.body)
                assert again["duplicate"]
                assert [message["seq"] for message in await reader.read()] == [again["seq"]]
