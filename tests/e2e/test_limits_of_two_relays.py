"""Every limit of users, tokens and addresses counts once for two Relays with a Valkey."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from itertools import cycle
from uuid import uuid4

import httpx
import pytest
import trio

from relay.realtime.valkey import connection, nodes, scripts, topology
from tests.support.asks import CHOICE, answered
from tests.support.patience import LOOK_EVERY, PATIENCE
from tests.support.ports import HeldPort
from tests.support.problems import check
from tests.support.relay_server import (
    Relay,
    User,
    bearer,
    calls_wait,
    open_stream,
    running_relay,
    visiting,
)
from tests.support.valkey_servers import own_channels
from tests.support.waiting_calls import LongCall, connections, looks, waiting

LIMIT = 3
LIMITED = (
    "RELAY_RATE_TOKENS", "RELAY_RATE_READS", "RELAY_RATE_EXPORTS", "RELAY_RATE_PAGES",
    "RELAY_RATE_WAITS", "RELAY_RATE_HANDSHAKES", "RELAY_RATE_EVENTS_PER_TOKEN",
)  # fmt: skip
LINE = b'{"event_type":"log","ts":"2026-01-31T12:00:00Z","payload":1}\n'


@pytest.fixture(autouse=True)
def _patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """A node that is late is not away: each Relay would count alone then."""
    for module, name in (
        *((scripts, "ANSWER_SECONDS"), (connection, "ANSWER_SECONDS")),
        *((nodes, "START_SECONDS"), (nodes, "CONNECT_TIMEOUT_SECONDS")),
        (topology, "LOOK_TIMEOUT_SECONDS"),
    ):
        monkeypatch.setattr(module, name, PATIENCE)


@asynccontextmanager
async def two_relays(
    database_url: str, valkey_url: str, **settings: str
) -> AsyncIterator[tuple[Relay, Relay]]:
    """Two on one database, for which the tokens of each are good at the other."""
    ports = HeldPort(), HeldPort()
    shared = {
        "BASE_URL": f"http://127.0.0.1:{ports[0].number}",
        "RELAY_RATE_LIMITS": "on",
        **own_channels(valkey_url),
        **settings,
    }
    async with AsyncExitStack() as stack:
        relays = []
        for port in ports:
            bind = f"127.0.0.1:{port.number}"
            await stack.enter_async_context(running_relay(database_url, RELAY_BIND=bind, **shared))
            relays.append(await stack.enter_async_context(visiting(f"http://{bind}")))
        yield relays[0], relays[1]


Call = Callable[[Relay], Awaitable[httpx.Response]]


def calls_of(user: User, hook: str) -> dict[str, Call]:
    """A call of each limit, with the name of the limit as the metric has it."""
    session, ask_id = bearer(user.session), uuid4()
    batch = {"Content-Type": "application/x-ndjson", **bearer(hook)}
    return {
        "tokens": lambda one: one.http.post("/api/rt/ticket", headers=session),
        "reads": lambda one: one.http.get("/api/me", headers=session),
        "exports": lambda one: one.http.get("/api/export", headers=session),
        "pages": lambda one: one.http.get("/"),
        "beats": lambda one: one.http.post(
            "/api/tasks/beat", json={"task_ids": ["build-7"]}, headers=bearer(hook)
        ),
        "looks": lambda one: one.http.get(f"/api/asks/{ask_id}", headers=bearer(hook)),
        "events": lambda one: one.http.post("/api/webhook/cli", content=LINE, headers=batch),
        "handshakes": lambda one: one.http.head("/api/sse", headers=session),
    }


async def test_each_limit_counts_once_for_both(database_url: str, redis_url: str) -> None:
    limits = dict.fromkeys(LIMITED, f"{LIMIT}/h")
    async with two_relays(database_url, redis_url, **limits) as relays:
        user = await relays[0].user()
        found: dict[str, list[int]] = {}
        for name, call in calls_of(user, await user.hook()).items():
            found[name] = []
            for _, relay in zip(range(2 * LIMIT), cycle(relays), strict=False):
                answer = await call(relay)
                found[name].append(answer.status_code)
                if answer.status_code == 429 and answer.request.method != "HEAD":
                    check(answer, 429, "rate_limited")
                    assert 600 < int(answer.headers["Retry-After"]) <= 3600
                if name != "exports":  # whose answers are streamed, without the extension
                    left = max(0, LIMIT - len(found[name]))
                    shown = [answer.headers.get(f"RateLimit-{of}") for of in ("Limit", "Remaining")]
                    assert shown == [str(LIMIT), str(left)], (name, found[name])
        refused = {name: [status == 429 for status in of] for name, of in found.items()}
        assert refused == dict.fromkeys(found, [False] * LIMIT + [True] * LIMIT)


async def test_streams_and_waiting_calls_count_once_for_both(
    database_url: str, redis_url: str
) -> None:
    bounds = {"RELAY_MAX_CONNECTIONS_PER_USER": "2", "RELAY_MAX_CONNECTIONS_PER_ADDRESS": "3"}
    async with two_relays(database_url, redis_url, **bounds) as relays:
        me, you, third = [await relays[0].user() for _ in range(3)]
        async with AsyncExitStack() as stack:
            for relay, transport in zip(relays, ("websocket", "sse"), strict=True):
                stream = await stack.enter_async_context(open_stream(relay, transport, me.session))
                await stream.hello()
            for relay in relays:
                problem = check(
                    await relay.http.get("/api/sse", headers=bearer(me.session)),
                    *(429, "too_many_connections"),
                )
                assert "user" in problem["detail"]
            stream = await stack.enter_async_context(open_stream(relays[1], "sse", you.session))
            await stream.hello()
            for relay in relays:
                problem = check(
                    await relay.http.get("/api/sse", headers=bearer(third.session)),
                    *(429, "too_many_connections"),
                )
                assert "address" in problem["detail"]
        for relay in relays:  # all have their places back
            with trio.fail_after(PATIENCE):
                status = 429
                while status != 200:
                    await trio.sleep(0.01)
                    answer = await relay.http.head("/api/sse", headers=bearer(me.session))
                    status = answer.status_code


@pytest.mark.usefixtures("long_waits")
async def test_the_place_of_a_waiting_call_comes_back_whatever_ends_it(
    database_url: str, redis_url: str
) -> None:
    """Of two places of one user, one is held at each Relay while a third call is refused.

    The two Relays of this process have their metrics in common.
    """
    bounds = {"RELAY_MAX_CONNECTIONS_PER_USER": "2"}
    async with two_relays(database_url, redis_url, **bounds) as (one, other):
        user = await one.user()
        (call,) = await looks(user, count=1)
        in_time = call.look_for(1)
        stays = await user.hook()

        async def no_place_is_left(more: LongCall = call) -> None:
            for relay in (one, other):
                check(await more.make(relay, user.session), 429, "too_many_connections")

        async def a_place_is_left() -> None:
            """Until the write of it has come."""
            with trio.fail_after(PATIENCE):
                while (await in_time.make(other, user.session)).status_code != 200:  # noqa: ASYNC110
                    await trio.sleep(LOOK_EVERY)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(call.make, one, stays)
            await calls_wait(one, 1)
            async with connections(other, [call], user.session, beside=1) as (client,):
                await no_place_is_left()
                client.drop()
                await a_place_is_left()
            leaving = (await user.token())["token"]
            about = await one.http.post("/api/asks", json=CHOICE, headers=bearer(leaving))
            revoked = LongCall("GET", f"/api/asks/{about.json()['ask_id']}?wait_s=25")
            async with waiting(other, [revoked], leaving, beside=1) as found:
                await no_place_is_left()
                await user.call("POST", "/api/token/revoke", json={"token": leaving})
            check(found.answers[0], 401, "invalid_token")
            await a_place_is_left()
            async with waiting(other, [call], user.session, beside=1) as found:
                await no_place_is_left()
                ask_id = call.path.rpartition("/")[2].partition("?")[0]
                assert (await answered(user, ask_id, "yes")).is_success
            assert found.answers[0].json()["state"] == "answered"
        for relay in (one, other):
            await calls_wait(relay, 0)
        (again,) = await looks(user, count=1)
        async with waiting(one, [again], stays), waiting(other, [again], stays, beside=1):
            await no_place_is_left(again)
            ask_id = again.path.rpartition("/")[2].partition("?")[0]
            assert (await answered(user, ask_id, "no")).is_success
