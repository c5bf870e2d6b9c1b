"""`DELETE /api/user`: a user ends at once, and nothing of it stays but that it ended."""

from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID

import httpx
import pytest
import trio

from relay.background.deletion import clear_deleted_users
from relay.background.sweeping import sweep
from relay.db.pool import connect
from tests.support.databases import begin, database_of, statement, until_waiting
from tests.support.patience import LOOK_EVERY, PATIENCE
from tests.support.problems import check
from tests.support.projections import project_all
from tests.support.relay_server import Relay, User, bearer, handshake, open_stream
from tests.support.user_rows import leave_something_everywhere, rows_of

LEFT = {"audit_log", "deleted_users", "sessions", "tokens"}  # the last two for a day, ended


async def delete(user: User, **body: Any) -> httpx.Response:
    return await user.call("DELETE", "/api/user", json=body or {"confirm": user.user_id})


async def cleared(url: str, user: User) -> dict[str, int]:
    """The rows of the user that are left when all is cleared that will be.

    A process withdraws its number of live streams by itself, within a second.
    """
    async with database_of(url) as database:
        done = """
            SELECT count(*) FROM deleted_users d
            WHERE user_id = $1 AND cleared_at IS NOT NULL
                AND NOT EXISTS (SELECT FROM watching w WHERE w.user_id = d.user_id)
        """
        with trio.fail_after(PATIENCE):
            while not await database.fetchval(done, UUID(user.user_id)):  # noqa: ASYNC110
                await trio.sleep(LOOK_EVERY)
        return await rows_of(database, user.user_id)


async def test_a_deletion_ends_every_stream_and_credential_at_once(
    relay: Relay, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("relay.auth.credentials.REVOCATION_POLL_INTERVAL", 3600)
    user, other = await relay.user(), await relay.user()
    hook, of_other = await user.hook(), await other.hook()
    ticket, unspent = [
        (await user.call("POST", "/api/rt/ticket")).json()["ticket"] for _ in range(2)
    ]
    link = (await user.call("POST", "/api/session/link")).json()["link"].partition("#link=")[2]
    await user.posted(event_type="task_started", task_id="a", payload={"lease_s": 90})
    async with (
        open_stream(relay, "websocket", user.session, "?tasks=1") as one,
        open_stream(relay, "sse", hook) as two,
        open_stream(relay, "websocket", None, f"?ticket={ticket}") as three,
        open_stream(relay, "sse", other.session) as foreign,
    ):
        for stream in (one, two, three, foreign):
            await stream.hello()
        answer = await delete(user)
        assert (answer.status_code, answer.content) == (204, b"")
        assert "Max-Age=0" in answer.headers["Set-Cookie"]
        for stream in (one, two, three):
            close = await stream.control("close")
            assert (close["code"], close["reason"]) == (4401, "revoked")
        await other.posted(hook=of_other)
        assert len(await foreign.events(1)) == 1
    for method, path in (("GET", "/api/me"), ("GET", "/api/export"), ("GET", "/api/tasks")):
        check(await user.call(method, path), 401, "invalid_token")
    check(await user.post(hook=hook), 401)
    beat = {"task_ids": ["a"]}
    check(await relay.http.post("/api/tasks/beat", json=beat, headers=bearer(hook)), 401)
    assert (await handshake(relay, f"?ticket={unspent}")).status_code == 401
    check(await relay.http.post("/api/session/link/redeem", json={"code": link}), 410)
    check(await delete(user), 401)


async def test_nothing_stays_but_that_the_user_ended(relay: Relay, database_url: str) -> None:
    user, other = await relay.user(), await relay.user()
    for one in (user, other):
        await one.token(name="laptop")
        await one.posted(event_type="task_started", task_id="a", payload={"title": "T"})
        await one.publish(3)
        await one.call("POST", "/api/rt/ticket")
        await one.call("POST", "/api/session/link")
    async with database_of(database_url) as database:
        # a ticket lasts 30 seconds, and is swept then
        await database.execute("UPDATE tickets SET expires_at = now() + interval '1 hour'")
        await project_all(database)
        await leave_something_everywhere(database, user.user_id)
        kept = await rows_of(database, other.user_id)
        assert {"users", "events", "tasks", "links", "tickets"} <= set(kept)
        assert (await delete(user)).status_code == 204
        assert set(await cleared(database_url, user)) == LEFT
        assert await rows_of(database, other.user_id) == kept

        live = "SELECT count(*) FROM {} WHERE user_id = $1 AND revoked_at IS NULL"
        for table in ("sessions", "tokens"):
            assert await database.fetchval(live.format(table), UUID(user.user_id)) == 0
        named = "SELECT count(*) FROM tokens WHERE user_id = $1 AND name IS NOT NULL"
        assert await database.fetchval(named, UUID(user.user_id)) == 0
        last = "SELECT action FROM audit_log WHERE user_id = $1 ORDER BY audit_id DESC LIMIT 1"
        assert await database.fetchval(last, UUID(user.user_id)) == "user_deleted"

        await sweep(database, audit_days=90)
        assert set(await rows_of(database, user.user_id)) == LEFT
        yesterday = "UPDATE deleted_users SET cleared_at = now() - interval '25 hours'"
        await database.execute(yesterday)
        await sweep(database, audit_days=90)
        assert set(await rows_of(database, user.user_id)) == {"audit_log"}
        assert await rows_of(database, other.user_id) == kept


@pytest.mark.parametrize("confirm", ["", "yes", "0199b1f2-6a5e-7c30-9d2b-8f4e1a6c7d05", 7, None])
async def test_a_wrong_confirmation_changes_nothing(relay: Relay, confirm: Any) -> None:
    user = await relay.user()
    problem = check(await delete(user, confirm=confirm), 422, "invalid")
    assert [error["where"] for error in problem["errors"]] == ["confirm"]
    assert (await user.call("GET", "/api/me")).status_code == 200


async def test_only_a_session_deletes_its_own_user(relay: Relay) -> None:
    user, other = await relay.user(), await relay.user()
    check(await delete(other, confirm=user.user_id), 422)
    check(await delete(user, confirm=user.user_id, force=True), 422)
    check(await user.call("DELETE", "/api/user"), 415)
    body = {"confirm": user.user_id}
    for headers, status in ((bearer(await user.hook()), 403), ({}, 401)):
        answer = await relay.http.request("DELETE", "/api/user", json=body, headers=headers)
        check(answer, status)
    for one in (user, other):
        assert (await one.call("GET", "/api/me")).status_code == 200


async def test_a_row_that_an_operator_deletes_is_a_deleted_user(
    relay: Relay, database_url: str
) -> None:
    user = await relay.user()
    async with user.websocket() as stream:
        await stream.hello()
        await user.publish(2)
        await statement(database_url, f"DELETE FROM users WHERE user_id = '{user.user_id}'")
        assert (await stream.control("close"))["code"] == 4401
    async with database_of(database_url) as database:
        await clear_deleted_users(database)  # as housekeeping does it
    assert set(await cleared(database_url, user)) == LEFT


# -- what comes at the same moment

Call = Callable[[User], Awaitable[httpx.Response]]

LATE: dict[str, tuple[Call, int]] = {
    "an event": (lambda user: user.post(), 200),
    "a named event": (lambda user: user.post(event_id="once"), 200),
    "a token": (lambda user: user.call("POST", "/api/token"), 201),
    "a link": (lambda user: user.call("POST", "/api/session/link"), 201),
    "another deletion": (delete, 204),
}


@pytest.mark.parametrize("late", [True, False], ids=["after it", "before it"])
@pytest.mark.parametrize("name", LATE)
async def test_what_meets_a_deletion_is_before_it_or_has_no_effect(
    relay: Relay, database_url: str, name: str, late: bool
) -> None:
    user = await relay.user()
    await user.hook()
    call, success = LATE[name]
    answers: dict[str, int] = {}

    async def ask(key: str, call: Call) -> None:
        answers[key] = (await call(user)).status_code

    async with (
        connect(database_url, timeout=PATIENCE) as holder,
        connect(database_url, timeout=PATIENCE) as watcher,
        trio.open_nursery() as nursery,
    ):
        await begin(holder, f"SELECT lock_user('{user.user_id}')")
        order = [("call", call), ("deletion", delete)]
        for waiting, (key, one) in enumerate(reversed(order) if late else order, 1):
            nursery.start_soon(ask, key, one)
            await until_waiting(watcher, waiting)
        await holder.execute("ROLLBACK")
    deleted = 204 if late or name != "another deletion" else 401
    assert answers == {"call": 401 if late else success, "deletion": deleted}
    assert set(await cleared(database_url, user)) == LEFT
