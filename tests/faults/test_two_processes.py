"""Two Relays on one database are one service."""

import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import httpx
import pytest
import trio

from tests.support.client.caller import Caller
from tests.support.client.streams import TRANSPORTS, Ended, Refused, stream
from tests.support.ledger import Ledger, load
from tests.support.patience import PATIENCE
from tests.support.relay_process import Program, running


@pytest.fixture
async def pair(tmp_path: Path, database_url: str) -> AsyncIterator[tuple[Program, Program]]:
    first, second = (Program(tmp_path / name, database_url) for name in ("one", "two"))
    for program in (first, second):
        program.folder.mkdir()
        program.settings["BASE_URL"] = first.url  # one service: the issuer of their tokens
    async with running(first, second):
        yield first, second


async def test_events_posted_on_one_reach_readers_on_the_other(
    pair: tuple[Program, Program],
) -> None:
    here, there = pair
    account = await Ledger(here).enrol("u", [])
    seen: dict[str, list[int]] = {transport: [] for transport in TRANSPORTS}

    async def watch(transport: str, task_status: trio.TaskStatus[None]) -> None:
        async with stream(there.port, transport, account.session, insist=True) as opened:
            await opened.read()
            task_status.started()
            while len(seen[transport]) < 10:
                seen[transport] += [message["seq"] for message in await opened.read()]

    with trio.fail_after(PATIENCE):
        async with trio.open_nursery() as nursery, Caller(here.port) as caller:
            for transport in TRANSPORTS:
                await nursery.start(watch, transport)
            for n in range(10):
                body = {"event_type": "log", "ts": "2026-01-31T12:00:00Z", "payload": n}
                answer = await caller.insist(
                    "POST", "/api/webhook/cli", account.hook, json.dumps(body).encode()
                )
                assert answer.status == 200
    assert seen == {transport: list(range(1, 11)) for transport in TRANSPORTS}


async def test_a_revoke_on_one_closes_streams_on_the_other(
    pair: tuple[Program, Program],
) -> None:
    here, there = pair
    account = await Ledger(here).enrol("u", [])

    async def watch(transport: str, task_status: trio.TaskStatus[None]) -> None:
        async with stream(there.port, transport, account.hook, insist=True) as opened:
            (hello,) = await opened.read()
            assert hello["type"] == "hello"
            task_status.started()
            (close,) = await opened.read()
            with pytest.raises(Ended) as ended:
                await opened.read()
        assert (close["type"], close["code"], close["reason"]) == ("close", 4401, "revoked")
        assert ended.value.code == 4401

    with trio.fail_after(PATIENCE):
        async with trio.open_nursery() as nursery, Caller(here.port) as caller:
            for transport in TRANSPORTS:
                await nursery.start(watch, transport)
            answer = await caller.insist("POST", "/api/token/revoke", account.hook)
            assert answer.status == 200
    # a process that ended its streams accepts it no more either
    async with Caller(there.port) as caller:
        assert (await caller.insist("GET", "/api/events", account.hook)).status == 401


async def test_a_user_deleted_on_one_ends_on_the_other(pair: tuple[Program, Program]) -> None:
    here, there = pair
    account = await Ledger(here).enrol("u", [])

    async def watch(token: str, task_status: trio.TaskStatus[None]) -> None:
        async with stream(there.port, "websocket", token, insist=True) as opened:
            (hello,) = await opened.read()
            assert hello["type"] == "hello"
            task_status.started()
            (close,) = await opened.read()
            with pytest.raises(Ended):
                await opened.read()
        assert (close["code"], close["reason"]) == (4401, "revoked")

    body = json.dumps({"confirm": account.user_id}).encode()
    with trio.fail_after(PATIENCE):
        async with trio.open_nursery() as nursery, Caller(here.port) as caller:
            for token in (account.session, account.hook):
                await nursery.start(watch, token)
            answer = await caller.insist("DELETE", "/api/user", account.session, body)
            assert answer.status == 204
    async with Caller(there.port) as caller:
        for path in ("/api/me", "/api/export"):
            assert (await caller.insist("GET", path, account.session)).status == 401
        assert (await caller.insist("GET", "/api/events", account.hook)).status == 401


async def test_the_same_event_on_both_at_once_is_stored_once(
    pair: tuple[Program, Program],
) -> None:
    account = await Ledger(pair[0]).enrol("u", [])
    answers = []

    async def post(program: Program, event_id: str) -> None:
        body = {"event_type": "log", "event_id": event_id, "ts": "2026-01-31T12:00:00Z"}
        async with Caller(program.port) as caller:
            answer = await caller.insist(
                "POST",
                "/api/webhook/cli",
                account.hook,
                json.dumps({**body, "payload": None}).encode(),
            )
        answers.append(answer.json)

    for n in range(20):
        answers.clear()
        async with trio.open_nursery() as nursery:
            for program in pair * 2:
                nursery.start_soon(post, program, f"e{n}")
        assert {answer["seq"] for answer in answers} == {n + 1}
        assert sorted(answer["duplicate"] for answer in answers) == [False, True, True, True]


async def test_one_process_is_killed_and_the_other_serves_on(
    pair: tuple[Program, Program],
) -> None:
    here, there = pair
    async with load(here, there) as ledger:
        await there.kill()
        await ledger.goes_on()
        await there.start()
        await ledger.goes_on()


async def test_a_ticket_opens_one_stream_on_one_process(pair: tuple[Program, Program]) -> None:
    account = await Ledger(pair[0]).enrol("u", [])

    async def spend(http: httpx.AsyncClient, url: str, found: list[int]) -> None:
        async with http.stream("GET", url) as answer:
            found.append(answer.status_code)

    async with httpx.AsyncClient(timeout=PATIENCE) as http:
        for n in range(10):
            async with Caller(pair[n % 2].port) as caller:
                minted = await caller.insist("POST", "/api/rt/ticket", account.session)
            statuses: list[int] = []
            async with trio.open_nursery() as nursery:
                for program in pair * 3:
                    url = f"{program.url}/api/sse?ticket={minted.json['ticket']}"
                    nursery.start_soon(spend, http, url, statuses)
            assert sorted(statuses) == [200, 401, 401, 401, 401, 401]


async def test_each_process_counts_its_limits_for_itself(tmp_path: Path, database_url: str) -> None:
    """As the table of docs/how-to/use-your-own-postgres.md says: two admit twice as much."""
    limits = {
        "RELAY_RATE_LIMITS": "on",
        "RELAY_RATE_SIGNUPS": "3/h",
        "RELAY_RATE_EVENTS_PER_TOKEN": "1/h burst 5",
        "RELAY_MAX_CONNECTIONS_PER_USER": "2",
    }
    programs = [Program(tmp_path / name, database_url, **limits) for name in ("one", "two")]
    for program in programs:
        program.folder.mkdir()
        program.settings["BASE_URL"] = programs[0].url
    event = b'{"event_type":"log","ts":"2026-01-31T12:00:00Z","payload":1}'
    async with running(*programs):
        account = await Ledger(programs[0]).enrol("u", [])
        for program in programs:
            async with Caller(program.port) as caller, AsyncExitStack() as streams:
                signups = 3 - (program is programs[0])  # the account is one
                for status in [201] * signups + [429]:
                    assert (await caller.call("POST", "/api/user")).status == status
                for status in [200] * 5 + [429]:
                    answer = await caller.call("POST", "/api/webhook/cli", account.hook, event)
                    assert answer.status == status
                for _ in range(2):
                    await streams.enter_async_context(stream(program.port, "sse", account.session))
                with pytest.raises(Refused) as refused:
                    async with stream(program.port, "sse", account.session):
                        pass
                assert refused.value.answer.status == 429
