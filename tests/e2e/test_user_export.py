"""`GET /api/export`: everything that is stored of a user, as lines, and nothing else."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import pytest
import trio

from relay.db.export import TABLES, page_rows
from relay.tasks.reported import MAX_METRIC_NAME, MAX_METRICS, MAX_TEXT, MAX_URL
from tests.support.client.connection import ClientConnection, connected
from tests.support.client.protocol import head
from tests.support.databases import database_of
from tests.support.patience import LOOK_EVERY, PATIENCE
from tests.support.problems import check
from tests.support.relay_server import Relay, User, bearer
from tests.support.user_rows import leave_something_everywhere, tables_of_users

# tables with a column `user_id` that are not exported as rows
AS_READERS_GET_THEM = "events"
HAS_NO_LIVE_USER = "deleted_users"


async def lines(user: User) -> list[dict[str, Any]]:
    answer = await user.call("GET", "/api/export")
    assert answer.status_code == 200, answer.text
    assert answer.text.endswith("}\n")
    return [json.loads(line) for line in answer.text.split("\n")[:-1]]


async def test_a_page_of_the_largest_tasks_takes_a_mebibyte(relay: Relay) -> None:
    user = await relay.user()
    names = [f"{number:02}" + "\x01" * (MAX_METRIC_NAME - 2) for number in range(MAX_METRICS)]
    address = "https://x/"
    largest = {
        **dict.fromkeys(("title", "message"), "x" + "\x01" * (MAX_TEXT - 1)),
        "url": address + "\U0001f600" * (MAX_URL - len(address)),
        "metrics": dict.fromkeys(names, 0.12345678901234567),
    }
    await user.posted(event_type="task_started", task_id="t" * 128, payload=largest)
    exported = await lines(user)
    (task,) = [line for line in exported if line.get("type") == "task"]
    kept = len(task["title"]), len(task["url"]), len(task["metrics"])
    assert kept == (MAX_TEXT, MAX_URL, MAX_METRICS)
    size = len(json.dumps(task, ensure_ascii=False).encode())
    (table,) = [table for table in TABLES if table.kind == "task"]
    assert size * page_rows(table) <= 2**20


async def batch(user: User, *payloads: Any, **fields: Any) -> None:
    events = [
        {"event_type": "log", "ts": "2026-01-31T12:00:00Z", "payload": payload, **fields}
        for payload in payloads
    ]
    answer = await user.relay.http.post(
        "/api/webhook/cli",
        content="\n".join(map(json.dumps, events)),
        headers={"Content-Type": "application/x-ndjson", **bearer(await user.hook())},
    )
    assert answer.status_code == 200, answer.text


async def test_every_table_that_has_rows_of_users_is_exported(
    relay: Relay, database_url: str
) -> None:
    user, other = await relay.user(), await relay.user()
    for one in (user, other):
        start = {"title": f"of {one.user_id}", "metrics": {"loss": 0.5}}
        await one.posted(event_type="task_started", task_id="a", payload=start)
    secrets = [user.session, await user.hook()]
    secrets.append((await user.call("POST", "/api/rt/ticket")).json()["ticket"])
    secrets.append((await user.call("POST", "/api/session/link")).json()["link"].partition("=")[2])
    async with database_of(database_url) as database, user.websocket() as stream:
        await stream.hello()
        await leave_something_everywhere(database, user.user_id)
        # a ticket lasts 30 seconds, and is swept then
        await database.execute("UPDATE tickets SET expires_at = now() + interval '1 hour'")
        with trio.fail_after(PATIENCE):  # presence is written a little later
            while not await database.fetchval("SELECT count(*) FROM watching"):  # noqa: ASYNC110
                await trio.sleep(LOOK_EVERY)
        exported = await lines(user)
        schema = await tables_of_users(database)
    by_kind: dict[str, list[dict[str, Any]]] = {}
    for line in exported[1:-1]:
        by_kind.setdefault(line.get("type", "event"), []).append(line)

    # each table, and each column but hashes
    assert {table.name for table in TABLES} == set(schema) - {AS_READERS_GET_THEM, HAS_NO_LIVE_USER}
    for table in TABLES:
        hashes = {name for name, kind in schema[table.name].items() if kind == "bytea"}
        assert table.left_out == hashes, table.name
        for line in by_kind[table.kind]:
            assert set(line) - {"type"} == set(schema[table.name]) - hashes
            assert line["user_id"] == user.user_id
    assert list(by_kind) == exported[0]["kinds"]
    counts = {kind: len(found) for kind, found in by_kind.items()}
    assert exported[-1] == {"type": "end", "complete": True, "counts": counts}
    assert (counts["task"], counts["trimmed_event"], counts["token"]) == (1, 3, 1)
    assert by_kind["task"][0]["metrics"] == {"loss": 0.5}
    assert by_kind["ask"][0]["details"] == {"build": 17}
    assert by_kind["audit"][-1]["action"] == "exported"

    text = json.dumps(exported)
    assert [secret for secret in secrets if secret in text] == []
    assert other.user_id not in text


async def test_events_are_exported_in_order_as_readers_get_them(relay: Relay) -> None:
    user = await relay.user()
    await batch(user, *range(700))
    before = (await user.call("GET", "/api/me")).json()["cursor"]
    exported = await lines(user)
    assert (exported[0]["type"], exported[0]["version"]) == ("export", 1)
    assert exported[0]["cursor"] == before
    events = [line for line in exported if "event_type" in line]
    assert [event["seq"] for event in events] == list(range(1, 701))
    assert events == (await user.call("GET", "/api/events?limit=1000")).json()["events"]


async def test_rows_are_exported_page_by_page(
    relay: Relay, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("relay.db.export.PAGE_ROWS", 2)
    user = await relay.user()
    await user.hook()
    await user.token(name="two")
    made = [token["token_id"] for token in (await user.call("GET", "/api/me")).json()["tokens"]]
    for number in range(4):
        await user.posted(event_type="task_started", task_id=f"t{number}")
    exported = await lines(user)
    tokens = [line["token_id"] for line in exported if line.get("type") == "token"]
    assert tokens == sorted(made)
    tasks = [line["task_id"] for line in exported if line.get("type") == "task"]
    assert tasks == ["t0", "t1", "t2", "t3"]


async def test_only_a_session_exports(relay: Relay) -> None:
    user = await relay.user()
    check(await relay.http.get("/api/export"), 401)
    check(await relay.http.get("/api/export", headers=bearer(await user.hook())), 403)
    answer = await user.call("HEAD", "/api/export")
    assert (answer.status_code, answer.content) == (200, b"")
    assert answer.headers["Content-Type"] == "application/x-ndjson"
    named = f'attachment; filename="relay-{user.user_id}.ndjson"'
    assert answer.headers["Content-Disposition"] == named


# -- readers that take their time


async def with_more_than_sockets_hold(relay: Relay) -> User:
    user = await relay.user()
    for _ in range(10):
        await batch(user, *["x" * 60_000] * 15)
    return user


@asynccontextmanager
async def unread(relay: Relay, user: User) -> AsyncIterator[ClientConnection]:
    """An export that has begun, of which the client reads no more than the first bytes."""
    stream = await connected(relay.port, window=4096, host=relay.host)
    async with ClientConnection(stream) as connection:
        authorization = f"Authorization: Bearer {user.session}"
        await connection.send(head("/api/export", authorization, method="GET"))
        assert (await connection.exactly(12)) == b"HTTP/1.1 200"
        yield connection


async def test_an_export_of_a_user_that_is_deleted_meanwhile_does_not_say_that_it_is_complete(
    relay: Relay,
) -> None:
    user = await with_more_than_sockets_hold(relay)
    async with unread(relay, user) as connection:
        answer = await user.call("DELETE", "/api/user", json={"confirm": user.user_id})
        assert answer.status_code == 204
        with trio.fail_after(PATIENCE):
            read = await connection.rest()
    assert b'"complete"' not in read
    assert not read.endswith(b"0\r\n\r\n")


async def test_an_export_ends_with_its_session(
    relay: Relay, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("relay.web.download.CHECK_SECONDS", 0.0)
    user = await with_more_than_sockets_hold(relay)
    async with unread(relay, user) as connection:
        assert (await user.call("DELETE", "/api/session")).status_code == 204
        with trio.fail_after(PATIENCE):
            read = await connection.rest()
    assert b'"complete"' not in read
    assert not read.endswith(b"0\r\n\r\n")


async def test_a_client_that_leaves_or_is_too_slow_frees_its_place(
    relay: Relay, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("relay.downloads.MAX_OF_USER", 1)
    user = await with_more_than_sockets_hold(relay)

    export = partial(user.call, "GET", "/api/export")

    async def next_one() -> str:
        """The first export that is not refused."""
        with trio.fail_after(PATIENCE):
            while (answer := await export()).status_code == 429:  # noqa: ASYNC110
                await trio.sleep(LOOK_EVERY)
        return answer.text

    async with unread(relay, user):
        check(await export(), 429, "too_many_connections")
    assert '"complete":true' in await next_one()
    monkeypatch.setattr("relay.web.download.MAX_DOWNLOAD_SECONDS", 0.2)
    async with unread(relay, user) as slow:
        monkeypatch.setattr("relay.web.download.MAX_DOWNLOAD_SECONDS", PATIENCE)
        assert '"complete":true' in await next_one()
        with trio.fail_after(PATIENCE):
            assert b'"complete"' not in await slow.rest()
