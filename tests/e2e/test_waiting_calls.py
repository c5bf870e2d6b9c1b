"""Calls that wait leave nothing behind, whatever ends them, and each is counted once."""

from collections.abc import Awaitable, Callable

import httpx
import pytest
import trio

from relay.app import Relay as RelayApp
from tests.support.databases import database_of
from tests.support.patience import LOOK_EVERY, PATIENCE, eventually
from tests.support.problems import check
from tests.support.relay_server import running_relay
from tests.support.waiting_calls import (
    ASKS,
    BEATS,
    CALLS,
    LongCall,
    beats,
    connections,
    counted,
    end_all,
    looks,
    nothing_is_left,
    says_the_end,
    waiting,
)
from tests.support.waiting_calls import opened as opened  # a fixture

pytestmark = pytest.mark.usefixtures("long_waits")

Make = Callable[..., Awaitable[list[LongCall]]]
ROOM = {"RELAY_MAX_CONNECTIONS_PER_USER": f"{CALLS}"}  # for them, and for no more
KINDS = pytest.mark.parametrize(("make", "route"), [(looks, ASKS), (beats, BEATS)])


@KINDS
async def test_calls_whose_wait_is_ended(
    database_url: str, opened: list[RelayApp], make: Make, route: str
) -> None:
    async with running_relay(database_url, **ROOM) as relay:
        user = await relay.user()
        calls = await make(user)
        before = counted(route, 200)
        async with waiting(relay, calls, await user.hook()) as found:
            looked_at, _ = counted(route, 200)
            assert looked_at == before[0]  # they are counted when they are answered
            await end_all(user, calls)
        assert [says_the_end(answer) for answer in found.answers] == [True] * CALLS
        asked_first = CALLS if route == ASKS else 0  # by `answered`
        assert counted(route, 200)[0] - before[0] == CALLS + asked_first
        await nothing_is_left(opened[0].services)


@KINDS
async def test_calls_whose_time_is_over(
    database_url: str, opened: list[RelayApp], make: Make, route: str
) -> None:
    async with running_relay(database_url, **ROOM) as relay:
        user = await relay.user()
        calls, before = await make(user, 1), counted(route, 200)
        hook, answers = await user.hook(), list[httpx.Response]()

        async def wait(call: LongCall) -> None:
            answers.append(await call.make(relay, hook))

        async with trio.open_nursery() as nursery:
            for call in calls:
                nursery.start_soon(wait, call)
        assert [says_the_end(answer) for answer in answers] == [False] * CALLS
        assert {answer.status_code for answer in answers} == {200}
        now = counted(route, 200)
        assert (now[0] - before[0], now[1] - before[1]) == (CALLS, 0)  # counted, and not timed
        await nothing_is_left(opened[0].services)


@KINDS
@pytest.mark.parametrize("way", ["closed", "reset", "half-closed"])
async def test_calls_whose_clients_leave(
    database_url: str, opened: list[RelayApp], make: Make, route: str, way: str
) -> None:
    async with running_relay(database_url, **ROOM) as relay:
        user = await relay.user()
        calls, before = await make(user), counted(route, 200)
        async with connections(relay, calls, await user.hook()) as clients:
            for client in clients:
                if way == "half-closed":
                    await client.send_eof()
                    assert (await client.rest()).startswith(b"HTTP/1.1 200 ")
                    continue
                if way == "reset":
                    client.reset_when_closed()
                client.drop()
            await nothing_is_left(opened[0].services)
        await eventually(lambda: counted(route, 200)[0] - before[0] == CALLS)
        if route == BEATS:  # the leases end as if the beats had not waited
            async with database_of(database_url) as database:
                held = "SELECT count(*) FROM tasks WHERE beat_at > now()"
                with trio.fail_after(PATIENCE):
                    while await database.fetchval(held):  # noqa: ASYNC110
                        await trio.sleep(LOOK_EVERY)


@KINDS
async def test_calls_whose_credential_is_revoked(
    database_url: str, opened: list[RelayApp], make: Make, route: str
) -> None:
    async with running_relay(database_url, **ROOM) as relay:
        user = await relay.user()
        calls, before = await make(user), counted(route, 401)
        hook = await user.hook()
        async with waiting(relay, calls, hook) as found:
            await user.call("POST", "/api/token/revoke", json={"token": hook})
        for answer in found.answers:
            check(answer, 401, "invalid_token")
        now = counted(route, 401)
        assert (now[0] - before[0], now[1] - before[1]) == (CALLS, 0)
        await nothing_is_left(opened[0].services)


@KINDS
async def test_calls_whose_process_drains(
    database_url: str, opened: list[RelayApp], make: Make, route: str
) -> None:
    stop = trio.Event()
    async with running_relay(database_url, stop, **ROOM) as relay:
        user = await relay.user()
        calls, before = await make(user), counted(route, 200)
        async with waiting(relay, calls, await user.hook()) as found:
            stop.set()
        assert [says_the_end(answer) for answer in found.answers] == [False] * CALLS
        assert {answer.headers["connection"] for answer in found.answers} == {"close"}
        assert counted(route, 200)[0] - before[0] == CALLS
        await nothing_is_left(opened[0].services)


@KINDS
async def test_calls_that_find_no_place(
    database_url: str, opened: list[RelayApp], make: Make, route: str
) -> None:
    """Those that are refused leave nothing, and those that wait are exactly as many as may."""
    most = 5
    async with running_relay(database_url, RELAY_MAX_CONNECTIONS_PER_USER=f"{most}") as relay:
        user = await relay.user()
        calls, refused = await make(user), counted(route, 429)
        async with waiting(relay, calls[:most], await user.hook()) as found:
            for call in calls[most:]:
                answer = await call.make(relay, await user.hook())
                check(answer, 429, "too_many_connections")
            assert counted(route, 429)[0] - refused[0] == CALLS - most
            assert opened[0].services.hub.count == most
            await end_all(user, calls[:most])
        assert found.statuses == {200}
        await nothing_is_left(opened[0].services)


async def test_requests_behind_a_call_that_waits_are_answered_after_it(
    database_url: str, opened: list[RelayApp]
) -> None:
    async with running_relay(database_url, **ROOM) as relay:
        user = await relay.user()
        (call,) = await looks(user, count=1)
        me = LongCall("GET", "/api/asks")
        async with connections(relay, [call], await user.hook()) as (client,):
            await me.send(client, user.session)
            await end_all(user, [call])
            states = []
            for _ in range(2):
                _, body = await client.response()
                states.append(b'"state":"answered"' in body)
            assert states == [True, False]
        await nothing_is_left(opened[0].services)
