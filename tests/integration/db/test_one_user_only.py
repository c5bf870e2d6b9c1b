"""Whatever a user calls works with a database that shows the rows of this user alone.

Row-level security hides the others', as if they were in another database. A statement that counts
on a row of another user, or that does not say whose rows it writes, fails here.
"""

import json
from typing import Any

from relay.db.pool import Database
from tests.support.channels import add_webhook, outcomes
from tests.support.databases import database_of
from tests.support.ports import HeldPort
from tests.support.receivers import receiver
from tests.support.relay_server import User, bearer, open_stream, running_relay
from tests.support.user_rows import rows_of, tables_of_users

OWN = """
ALTER TABLE {table} ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY own ON {table}
    USING (user_id = coalesce(nullif(current_setting('relay.user', true), '')::uuid, user_id))
"""
EVENT = {"event_type": "log", "ts": "2026-01-31T12:00:00Z", "payload": {"message": "hello"}}
ASK = {"question": "Deploy?", "kind": "choice", "options": ["yes", "no"], "expires_in": 3600}
FAILED = {"event_type": "task_failed", "task_id": "u"}


async def hide_others(database: Database) -> None:
    """Connections that name a user in the setting `relay.user` see the rows of this user alone."""
    for table in await tables_of_users(database):
        for statement in OWN.format(table=table).split(";"):
            await database.execute(statement)


async def works(
    user: User, method: str, path: str, *, hook: bool = False, **kwargs: Any
) -> dict[str, Any]:
    token = await user.hook() if hook else user.session
    answer = await user.relay.http.request(method, path, headers=bearer(token), **kwargs)
    assert answer.status_code in (200, 201, 202, 204), (method, path, answer.text)
    return dict(answer.json()) if answer.headers.get("content-type") == "application/json" else {}


async def publishes(user: User) -> None:
    for fields in ({}, {"event_id": "named"}, {"event_id": "named"}):
        await works(user, "POST", "/api/webhook/cli", hook=True, json=EVENT | fields)
    start = {"event_type": "task_started", "task_id": "t", "payload": {"stoppable": True}}
    lines = "\n".join(json.dumps(EVENT | one) for one in (start, {"task_id": "t"}, {}))
    headers = bearer(await user.hook()) | {"Content-Type": "application/x-ndjson"}
    batch = await user.relay.http.post("/api/webhook/cli", content=lines, headers=headers)
    assert batch.json()["accepted"] == 3


async def reads(user: User) -> None:
    assert len((await works(user, "GET", "/api/events"))["events"]) == 5
    assert len((await works(user, "GET", "/api/events?task_id=t"))["events"]) == 2
    for transport in (user.websocket, user.sse):
        async with transport("?after=oldest&tasks=1") as stream:
            await stream.hello()
    ticket = (await works(user, "POST", "/api/rt/ticket"))["ticket"]
    async with open_stream(user.relay, "sse", None, f"?ticket={ticket}") as stream:
        await stream.hello()


async def uses_tasks(user: User) -> None:
    (task,) = (await works(user, "GET", "/api/tasks"))["tasks"]
    assert task["task_id"] == "t"
    await works(user, "POST", "/api/tasks/beat", hook=True, json={"task_ids": ["t"]})
    await works(user, "POST", "/api/tasks/stop", json={"task_id": "t"})
    await works(user, "GET", "/api/tasks/log?task_id=t")
    await works(user, "PATCH", "/api/tasks", json={"task_ids": ["t"], "hidden": True})
    assert (await works(user, "DELETE", "/api/tasks?task_id=t"))["deleted"] == 1


async def asks(user: User) -> None:
    for end in ("answer", "withdraw"):
        ask = (await works(user, "POST", "/api/asks", hook=True, json=ASK))["ask_id"]
        (found,) = (await works(user, "GET", "/api/asks"))["asks"]
        if end == "answer":
            given = {"answer": "yes", "question_hash": found["question_hash"]}
            await works(user, "POST", f"/api/asks/{ask}/answer", json=given)
        else:
            await works(user, "DELETE", f"/api/asks/{ask}", hook=True)
        assert (await works(user, "GET", f"/api/asks/{ask}"))["state"] != "open"


async def uses_channels(user: User) -> None:
    async with receiver() as there:
        channel = await add_webhook(user, there)
        path = f"/api/channels/{channel['channel_id']}"
        await works(user, "POST", "/api/visible", json={"visible": True})
        await works(user, "POST", f"{path}/test")
        await works(user, "POST", "/api/webhook/cli", hook=True, json=EVENT | FAILED)
        await works(user, "POST", "/api/asks", hook=True, json=ASK)
        await outcomes(user, channel, *(["delivered"] * 3))
        await works(user, "DELETE", path)


async def signs_in_elsewhere(user: User) -> None:
    link = (await works(user, "POST", "/api/session/link"))["link"]
    code = {"code": link.partition("#link=")[2]}
    opened = await user.relay.http.post("/api/session/link/redeem", json=code)
    assert opened.json()["user_id"] == user.user_id
    assert (await works(user, "DELETE", "/api/session/others"))["ended"] == 1


async def test_a_database_of_one_users_rows_is_enough(database_url: str) -> None:
    """Beside another user, whose rows stay as they are."""
    held = HeldPort()
    settings = {"RELAY_BIND": f"127.0.0.1:{held.number}"}
    async with database_of(database_url) as database:
        async with running_relay(database_url, **settings) as relay:
            user, other = await relay.user(), await relay.user()
            for one in (user, other):
                await one.hook()
            await publishes(other)
        await hide_others(database)
        before = await rows_of(database, other.user_id)
        alone = f"{database_url}&relay.user={user.user_id}"
        async with running_relay(alone, **settings) as relay:
            user.relay = relay
            for step in (publishes, reads, uses_tasks, asks, uses_channels, signs_in_elsewhere):
                await step(user)
            exported = await relay.http.get("/api/export", headers=bearer(user.session))
            assert exported.status_code == 200
            token_id = (await user.token())["token_id"]
            await works(user, "POST", "/api/token/revoke", json={"token_id": token_id})
            await works(user, "DELETE", "/api/user", json={"confirm": user.user_id})
            refused = await relay.http.get("/api/me", headers=bearer(other.session))
            assert refused.status_code == 401
        assert await rows_of(database, other.user_id) == before
