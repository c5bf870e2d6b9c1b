"""Kinds of callers of what is bounded at once, and what must stand before they come."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from functools import partial

import httpx
import trio

from relay.asks.asks import MAX_OPEN_ASKS
from relay.auth.tokens import MAX_ACTIVE_TOKENS
from relay.channels.channels import MAX_CHANNELS
from relay.db.pool import connect
from relay.db.reader_turns import MAX_CALLS_OF_USER
from relay.web.sessions import MAX_SESSIONS
from tests.support.bounds.callers import CALLERS, FREE, Caller, requests, streams, value
from tests.support.bounds.rates import LINE, address
from tests.support.client.connection import BROKEN
from tests.support.client.protocol import head
from tests.support.databases import begin, statement, until_waiting
from tests.support.patience import LOOK_EVERY, PATIENCE
from tests.support.problems import check
from tests.support.relay_server import Relay, User, bearer, raw_http

SLOW_BODY = LINE.strip() + b" " * 1000 + b"\n"

Held = tuple[list[User], trio.Event]


# -- streams


@asynccontextmanager
async def watchers(users: int, addresses: int, relay: Relay, _url: str) -> AsyncIterator[Caller]:
    """Streams, by turns of so many users and from so many addresses."""
    tokens = [(await relay.user()).session for _ in range(users)]
    yield streams(relay, lambda number: (tokens[number % users], "", address(number % addresses)))


@asynccontextmanager
async def one_ticket(relay: Relay, _url: str) -> AsyncIterator[Caller]:
    ticket = (await (await relay.user()).call("POST", "/api/rt/ticket")).json()["ticket"]
    yield streams(relay, lambda _: (None, f"?ticket={ticket}", {}))


# -- what waits for its commit


@asynccontextmanager
async def held(relay: Relay, url: str, count: int = 1) -> AsyncIterator[Held]:
    """Users whose commits wait in the database until the event is set."""
    users, release = [await relay.user() for _ in range(count)], trio.Event()
    for user in users:
        await user.hook()
    locks = "; ".join(f"SELECT lock_user('{user.user_id}')" for user in users)
    async with connect(url, timeout=PATIENCE) as holder, trio.open_nursery() as nursery:
        await begin(holder, locks)

        async def let_go() -> None:
            await release.wait()
            await holder.execute("ROLLBACK")

        nursery.start_soon(let_go)
        try:
            yield users, release
        finally:
            release.set()


@asynccontextmanager
async def queued(
    post: Callable[[User], Awaitable[httpx.Response]], relay: Relay, url: str
) -> AsyncIterator[Caller]:
    """Posts of a user, of which `FREE` wait for their commits until all others were refused."""
    async with held(relay, url) as ((user,), release):
        refused: list[int] = []

        async def call(_number: int) -> httpx.Response:
            answer = await post(user)
            if answer.is_error:
                refused.append(answer.status_code)
            if len(refused) == CALLERS - FREE:
                release.set()
            return answer

        yield requests(call)


async def padded(user: User, size: int) -> httpx.Response:
    """Post an event whose body is that many bytes, and its payload one."""
    headers = {"Content-Type": "application/json", **bearer(await user.hook())}
    body = LINE.strip().ljust(size)
    return await user.relay.http.post("/api/webhook/cli", content=body, headers=headers)


@asynccontextmanager
async def slots(taken: int, others: int, relay: Relay, url: str) -> AsyncIterator[Caller]:
    """Events of one user, of which all but `taken` wait for others of the same user.

    So many other users have an event that waits for its commit, too.
    """
    async with (
        held(relay, url, 1 + others) as ((user, *rest), release),
        connect(url, timeout=PATIENCE) as watcher,
        trio.open_nursery() as nursery,
    ):
        for other in rest:
            nursery.start_soon(other.posted)
        await until_waiting(watcher, len(rest))
        waits = value("relay_publish_waits_total") + CALLERS - taken

        async def watch() -> None:
            while value("relay_publish_waits_total") != waits:  # noqa: ASYNC110
                await trio.sleep(LOOK_EVERY)
            release.set()

        nursery.start_soon(watch)
        yield requests(lambda _: user.post())


# -- downloads


@asynccontextmanager
async def exports(relay: Relay, url: str) -> AsyncIterator[Caller]:
    """Exports of one user, whose first lines wait in the database until all were answered."""
    user = await relay.user()

    @asynccontextmanager
    async def call(_number: int) -> AsyncIterator[int]:
        headers = bearer(user.session)
        async with relay.http.stream("GET", "/api/export", headers=headers) as answer:
            if answer.is_error:
                await answer.aread()
                check(answer, answer.status_code)
            yield answer.status_code

    async with connect(url, timeout=PATIENCE) as holder:
        await begin(holder, "LOCK TABLE audit_log IN EXCLUSIVE MODE")
        yield call
        await holder.execute("ROLLBACK")


# -- reads


@asynccontextmanager
async def reads(relay: Relay, url: str) -> AsyncIterator[Caller]:
    """Reads of a user that wait for a table, or for their turn until all others were refused."""
    user = await relay.user()
    refused: list[int] = []
    async with connect(url, timeout=PATIENCE) as holder:
        await begin(holder, "LOCK TABLE tasks IN ACCESS EXCLUSIVE MODE")

        async def call(_number: int) -> httpx.Response:
            answer = await user.call("GET", "/api/tasks")
            if answer.is_error:
                refused.append(answer.status_code)
                if len(refused) == CALLERS - MAX_CALLS_OF_USER:
                    await holder.execute("ROLLBACK")
            return answer

        yield requests(call)


# -- bodies


@asynccontextmanager
async def slow_bodies(relay: Relay, _url: str) -> AsyncIterator[Caller]:
    """Bodies that lack their last byte until all others were refused."""
    hook = await (await relay.user()).hook()
    lines = [f"Authorization: Bearer {hook}", "Content-Type: application/json"]
    asked = head("/api/webhook/cli", *lines, f"Content-Length: {len(SLOW_BODY)}")
    refused: list[int] = []
    all_refused = trio.Event()

    @asynccontextmanager
    async def call(_number: int) -> AsyncIterator[int]:
        async with raw_http(relay) as connection, trio.open_nursery() as nursery:

            async def finish() -> None:
                await all_refused.wait()
                with suppress(*BROKEN):
                    await connection.send(SLOW_BODY[-1:])

            nursery.start_soon(finish)
            await connection.send(asked + SLOW_BODY[:-1])
            answer = await connection.answer()
            if answer.is_error:
                refused.append(answer.status_code)
            if len(refused) == CALLERS - FREE:
                all_refused.set()
            nursery.cancel_scope.cancel()
        yield answer.status_code

    yield call


# -- what a user has


@asynccontextmanager
async def tokens(relay: Relay, url: str) -> AsyncIterator[Caller]:
    user = await relay.user()
    await statement(
        url,
        "INSERT INTO tokens (token_id, user_id, scopes, expires_at, kid)"
        f" SELECT gen_random_uuid(), '{user.user_id}', '{{webhook}}', now() + '1 day', 'k'"
        f" FROM generate_series(1, {MAX_ACTIVE_TOKENS - FREE})",
    )
    yield requests(lambda _: user.call("POST", "/api/token"))
    assert len((await user.call("GET", "/api/me")).json()["tokens"]) == MAX_ACTIVE_TOKENS


@asynccontextmanager
async def channels(relay: Relay, _url: str) -> AsyncIterator[Caller]:
    user = await relay.user()
    webhook = {"kind": "webhook", "url": "https://example.com/hook"}
    add = partial(user.call, "POST", "/api/channels", json=webhook)
    for _ in range(MAX_CHANNELS - FREE):
        await add()
    yield requests(lambda _: add())
    held = (await user.call("GET", "/api/channels")).json()
    assert len(held["channels"]) == MAX_CHANNELS


@asynccontextmanager
async def asks(relay: Relay, _url: str) -> AsyncIterator[Caller]:
    user = await relay.user()
    hook = bearer(await user.hook())
    question = {"question": "Deploy?", "kind": "text", "expires_in": 600}
    ask = partial(relay.http.post, "/api/asks", json=question, headers=hook)
    for _ in range(MAX_OPEN_ASKS - FREE):
        await ask()
    yield requests(lambda _: ask())
    assert len((await user.call("GET", "/api/asks")).json()["asks"]) == MAX_OPEN_ASKS


@asynccontextmanager
async def links(relay: Relay, url: str) -> AsyncIterator[Caller]:
    """As many links of a user as there are callers, each of another session."""
    user = await relay.user()
    await statement(
        url,
        "INSERT INTO sessions (session_id, user_id, expires_at)"
        f" SELECT gen_random_uuid(), '{user.user_id}', now() + '1 day'"
        f" FROM generate_series(2, {MAX_SESSIONS - FREE});"
        "INSERT INTO links (session_id, link_hash, user_id, expires_at)"
        " SELECT session_id, sha256(('code-' || row_number() OVER ())::bytea), user_id,"
        f" now() + '1 hour' FROM sessions WHERE user_id = '{user.user_id}' LIMIT {CALLERS}",
    )
    path = "/api/session/link/redeem"
    yield requests(lambda number: relay.http.post(path, json={"code": f"code-{number + 1}"}))
    relay.http.cookies.clear()
    ended = await user.call("DELETE", "/api/session/others")
    assert ended.json() == {"ended": MAX_SESSIONS - 1}
