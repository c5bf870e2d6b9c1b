"""One answer counts, whatever becomes of the processes that asked, answered and waited."""

import json
import signal
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import trio

from tests.support.accounts import Account
from tests.support.client.caller import Caller
from tests.support.client.connection import Lost
from tests.support.client.protocol import Answer
from tests.support.databases import statement
from tests.support.ledger import Ledger
from tests.support.patience import LOOK_EVERY, PATIENCE
from tests.support.relay_process import Program, running
from tests.support.two_relays import SHORT_LEASE

CHOICE = {"question": "Deploy?", "kind": "choice", "options": ["yes", "no"], "expires_in": 3_600}
Pair = tuple[Program, Program, Account]


@pytest.fixture
async def pair(tmp_path: Path, database_url: str) -> AsyncIterator[Pair]:
    """Two Relays on one database, and a user."""
    often = {"RELAY_HOUSEKEEPING_EVERY": "0.5"}  # a fold that a killed process left is found then
    here, there = (Program(tmp_path / name, database_url, **often) for name in ("here", "there"))
    for program in (here, there):
        program.folder.mkdir()
        program.settings["BASE_URL"] = here.url
        program.altered = SHORT_LEASE
    async with running(here, there):
        yield here, there, await Ledger(here).enrol("u", [])


async def call(program: Program, method: str, path: str, token: str, **body: Any) -> Answer:
    async with Caller(program.port) as caller:
        return await caller.insist(method, path, token, json.dumps(body).encode() if body else b"")


async def asked(program: Program, account: Account, **fields: Any) -> str:
    answer = await call(program, "POST", "/api/asks", account.hook, **CHOICE, **fields)
    assert answer.status == 201, answer
    ask_id: str = answer.json["ask_id"]
    return ask_id


async def answered(program: Program, account: Account, ask_id: str, text: str) -> int:
    ask = (await call(program, "GET", f"/api/asks/{ask_id}", account.session)).json
    body = {"answer": text, "question_hash": ask["question_hash"]}
    path = f"/api/asks/{ask_id}/answer"
    return (await call(program, "POST", path, account.session, **body)).status


async def notes(program: Program, account: Account) -> list[tuple[str, Any]]:
    page = (await call(program, "GET", "/api/events", account.session)).json
    return [(event["event_type"], event["payload"].get("answer")) for event in page["events"]]


async def test_of_answers_on_two_processes_at_once_one_counts_and_reaches_both(pair: Pair) -> None:
    here, there, account = pair
    ask_id = await asked(here, account)
    statuses: Counter[int] = Counter()
    heard: list[tuple[str, str]] = []

    async def wait(program: Program) -> None:
        path = f"/api/asks/{ask_id}?wait_s=25"
        while (ask := (await call(program, "GET", path, account.hook)).json)["state"] == "open":
            pass  # nothing came within that time
        heard.append((ask["state"], ask["answer"]))

    async def answer(number: int) -> None:
        program, text = (here, "yes") if number % 2 else (there, "no")
        statuses[await answered(program, account, ask_id, text)] += 1

    async with trio.open_nursery() as nursery:
        for program in (here, there):
            nursery.start_soon(wait, program)
            await program.shows("relay_waiting_calls", lambda count: count == 1)
        for number in range(16):
            nursery.start_soon(answer, number)
    assert statuses == {200: 1, 409: 15}
    (state, counted), *others = heard
    assert (state, others) == ("answered", [(state, counted)])
    assert await notes(there, account) == [("task_waiting", None), ("task_answered", counted)]


async def test_an_answer_outlives_the_kill_of_the_process_that_took_it(pair: Pair) -> None:
    """The program waits there, too, and asks again where a process is left."""
    here, there, account = pair
    ask_id = await asked(here, account)
    lost = trio.Event()

    async def wait() -> None:
        async with Caller(here.port) as caller:
            try:
                while True:
                    await caller.call("GET", f"/api/asks/{ask_id}?wait_s=25", account.hook)
            except Lost:
                lost.set()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(wait)
        await here.shows("relay_waiting_calls", lambda count: count == 1)
        here.process.send_signal(signal.SIGSTOP)  # nothing of it hears of the answer
        assert await answered(there, account, ask_id, "yes") == 200
        await here.kill()
    assert lost.is_set()
    ask = (await call(there, "GET", f"/api/asks/{ask_id}?wait_s=25", account.hook)).json
    assert (ask["state"], ask["answer"]) == ("answered", "yes")
    assert await notes(there, account) == [("task_waiting", None), ("task_answered", "yes")]


async def test_calls_that_wait_are_answered_when_their_process_drains(pair: Pair) -> None:
    here, there, account = pair
    ask_id = await asked(here, account)
    answers: list[Answer] = []

    async def wait(method: str, path: str, **body: Any) -> None:
        async with Caller(here.port) as caller:
            content = json.dumps(body).encode() if body else b""
            answers.append(await caller.call(method, path, account.hook, content))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(wait, "GET", f"/api/asks/{ask_id}?wait_s=25")

        async def beat() -> None:
            await wait("POST", "/api/tasks/beat", task_ids=["t"], wait_s=25)

        nursery.start_soon(beat)
        await here.shows("relay_waiting_calls", lambda count: count == 2)
        here.process.terminate()
        assert await here.ended() == 0
    statuses = {answer.json.get("state", "beat"): answer.status for answer in answers}
    assert statuses == {"open": 200, "beat": 200}
    # and the ask goes on elsewhere
    async with trio.open_nursery() as nursery:
        heard: list[Any] = []

        async def wait_there() -> None:
            path = f"/api/asks/{ask_id}?wait_s=25"
            heard.append((await call(there, "GET", path, account.hook)).json["answer"])

        nursery.start_soon(wait_there)
        await there.shows("relay_waiting_calls", lambda count: count == 1)
        assert await answered(there, account, ask_id, "no") == 200
    assert heard == ["no"]


async def test_each_end_is_counted_by_one_of_the_processes(pair: Pair, database_url: str) -> None:
    """Those that end on time end by the one process that does housekeeping."""
    here, there, account = pair
    ask_id, number = await asked(here, account), 50
    await statement(
        database_url,
        f"""
        INSERT INTO asks (ask_id, user_id, token_id, request_hash, question, kind, options,
            question_hash, expires_at, noted)
        SELECT gen_random_uuid(), user_id, token_id, request_hash, question, kind, options,
            question_hash, now(), 'open'
        FROM asks, generate_series(1, {number}) WHERE ask_id = '{ask_id}'
        """,
    )
    with trio.fail_after(PATIENCE):
        while len(await notes(here, account)) < 1 + number:  # noqa: ASYNC110
            await trio.sleep(LOOK_EVERY)
    assert await answered(there, account, ask_id, "yes") == 200
    names = [f'relay_asks_total{{what="{what}"}}' for what in ("opened", "answered", "expired")]

    async def counted() -> list[float]:
        return [await here.metric(name) + await there.metric(name) for name in names]

    with trio.fail_after(PATIENCE):
        while sum(await counted()) < number + 2:  # noqa: ASYNC110
            await trio.sleep(LOOK_EVERY)
    assert await counted() == [1, 1, number]


async def test_what_a_killed_process_left_unwritten_is_written_once(pair: Pair) -> None:
    """Whichever of them does housekeeping, the one that is left writes it."""
    here, there, account = pair
    ask_id = await asked(here, account, task_id="t")
    body = {"event_type": "task_failed", "ts": "2026-01-31T12:00:00Z", "task_id": "t"}
    await call(here, "POST", "/api/webhook/cli", account.hook, **body, payload={})
    await here.kill()
    with trio.fail_after(PATIENCE):
        while len(found := await notes(there, account)) < 3:  # noqa: ASYNC110
            await trio.sleep(LOOK_EVERY)
    assert [event_type for event_type, _ in found] == [
        *("task_waiting", "task_failed", "task_answered"),
    ]
    assert await answered(there, account, ask_id, "yes") == 410
