"""What a held answer says: it is made without a query where it may, and anew where it must."""

import gc
import logging
from itertools import count
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
import trio

from relay.app import Relay as RelayApp
from relay.realtime import shared_waits
from relay.web.request import Request
from tests.support.asks import CHOICE, asked, read
from tests.support.databases import database_of
from tests.support.patience import PATIENCE, eventually
from tests.support.problems import check
from tests.support.relay_server import Relay, bearer, calls_wait, running_relay
from tests.support.stream_answers import Lines
from tests.support.waiting_calls import (
    ASKS,
    LongCall,
    connections,
    end_all,
    looks,
    nothing_is_left,
    says_the_end,
    waiting,
)
from tests.support.waiting_calls import opened as opened  # a fixture


class Queries:
    """Counts the queries for one ask."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        from relay.db.asks import select_ask

        self.count = 0

        async def counted_select(*about: Any) -> Any:
            self.count += 1
            return await select_ask(*about)

        monkeypatch.setattr("relay.blueprints.asks.select_ask", counted_select)


@pytest.mark.usefixtures("long_waits")
async def test_a_call_about_an_ask_that_is_known_to_be_open_makes_no_query(
    database_url: str, opened: list[RelayApp], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shared_waits, "TRUST_SECONDS", PATIENCE)  # of the look that is waited for
    queries = Queries(monkeypatch)
    async with running_relay(database_url) as relay:
        user, stranger = await relay.user(), await relay.user()
        other_token = (await user.token())["token"]
        (call,) = await looks(user, count=1)
        waits = opened[0].services.asks.waits
        async with waiting(relay, [call], user.session) as found:
            await eventually(lambda: waits.is_current)
            assert queries.count == 1

            async def wait() -> None:
                found.answers.append(await call.make(relay, await user.hook()))

            async with trio.open_nursery() as nursery:
                nursery.start_soon(wait)
                await calls_wait(relay, 2)
                assert queries.count == 1
                check(await call.make(relay, other_token), 403, "insufficient_scope")
                check(await call.make(relay, stranger.session), 404, "not_found")
                await end_all(user, [call])
        assert [says_the_end(answer) for answer in found.answers] == [True, True]
        await nothing_is_left(opened[0].services)


@pytest.mark.usefixtures("long_waits")
async def test_an_answer_that_is_made_anew_belongs_to_the_same_request(
    database_url: str,
    lines: Lines,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """It has its id and its quota, is charged once, and has one line in the log."""
    caplog.set_level(logging.DEBUG, logger="relay.request")
    numbers = count(1)
    monkeypatch.setattr(
        "relay.web.middleware.access_log.request_id_of", lambda _: f"request-{next(numbers)}"
    )
    async with running_relay(database_url, RELAY_RATE_LIMITS="on", RELAY_RATE_WAITS="5/h") as relay:
        user = await relay.user()
        hook = await user.hook()
        (call,) = await looks(user, count=1)
        session = LongCall(call.method, call.path)
        first = await call.look_for(1).make(relay, hook)
        del lines[:]
        async with waiting(relay, [session], hook) as found:
            number = next(numbers)
            await end_all(user, [call])
        (second,) = found.answers
        third = await read_answer(relay, call, hook)
        quotas = [answer.headers["RateLimit-Remaining"] for answer in (first, second, third)]
        assert quotas == ["4", "3", "1"]  # `end_all` looked at it
        assert int(second.headers["X-Request-ID"].removeprefix("request-")) < number
        of_call = [line for line in lines if line["route"] == ASKS]
        assert len(of_call) == 3
        assert all(line["user_id"] and line["status"] == 200 for line in of_call)


async def read_answer(relay: Relay, call: LongCall, token: str) -> httpx.Response:
    return await LongCall("GET", call.path.partition("?")[0]).make(relay, token)


async def test_an_answer_that_holds_has_one_line_in_the_log(
    relay: Relay, lines: Lines, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, logger="relay.request")
    user = await relay.user()
    made = await asked(user)
    del lines[:]
    assert (await read(user, made["ask_id"], "?wait_s=1"))["state"] == "open"
    (line,) = lines
    assert (line["route"], line["method"], line["status"]) == (ASKS, "GET", 200)
    assert (str(line["user_id"]), "token_id" in line) == (user.user_id, True)


async def test_no_answer_is_held_beyond_its_credential(
    relay: Relay, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is made anew then, which checks the credential."""
    queries = Queries(monkeypatch)
    user = await relay.user()
    made = await asked(user)
    monkeypatch.setattr("relay.web.waiting.time", SimpleNamespace(time=lambda: 9e9))
    assert (await read(user, made["ask_id"], "?wait_s=1"))["state"] == "open"
    assert queries.count == 2


async def test_no_answer_is_held_beyond_what_the_last_look_shows(
    relay: Relay, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that does not reach the database must not go on saying that an ask is open."""
    monkeypatch.setattr(shared_waits, "TRUST_SECONDS", -1.0)
    queries = Queries(monkeypatch)
    user = await relay.user()
    made = await asked(user)
    assert (await read(user, made["ask_id"], "?wait_s=1"))["state"] == "open"
    assert queries.count == 2


async def test_an_ask_that_expires_within_the_wait_is_answered_as_expired(
    relay: Relay, database_url: str
) -> None:
    user = await relay.user()
    made = await asked(user)
    async with database_of(database_url) as database:
        soon = "UPDATE asks SET expires_at = now() + interval '1 second' WHERE ask_id = $1"
        await database.execute(soon, made["ask_id"])
    assert (await read(user, made["ask_id"], "?wait_s=25"))["state"] == "expired"


@pytest.mark.usefixtures("long_waits")
async def test_another_server_waits_with_the_request(
    database_url: str, opened: list[RelayApp], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It cannot hold answers; they are the same."""
    monkeypatch.setattr(Request, "handle", property(lambda _: None))
    async with running_relay(database_url) as relay:
        user = await relay.user()
        token = await user.token()
        hook = bearer(token["token"])
        made = [(await asked(user))["ask_id"] for _ in range(2)]
        assert (await read(user, made[0], "?wait_s=1"))["state"] == "open"
        calls = [LongCall("GET", f"/api/asks/{ask_id}?wait_s=25") for ask_id in made]
        async with waiting(relay, calls[:1], user.session) as found:
            await end_all(user, calls[:1])
        assert says_the_end(found.answers[0])
        mine = (await relay.http.post("/api/asks", json=CHOICE, headers=hook)).json()["ask_id"]
        revoked = LongCall("GET", f"/api/asks/{mine}?wait_s=25")
        async with waiting(relay, [revoked], token["token"]) as found:
            await user.call("POST", "/api/token/revoke", json={"token_id": token["token_id"]})
        check(found.answers[0], 401, "invalid_token")
        gc.collect()  # the refusal refers to the frames that raised it
        async with connections(relay, calls[1:], user.session) as (client,):
            client.drop()
            await nothing_is_left(opened[0].services)
