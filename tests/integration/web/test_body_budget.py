"""Request bodies share one budget, and the slowest is dropped to make room."""

from typing import Any

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from relay.errors import RequestTimeout
from relay.web.body import RequestBody
from relay.web.body_budget import BodyBudget
from relay.web.headers import RequestHeaders
from tests.support.bodies import envelope
from tests.support.client.protocol import head
from tests.support.patience import eventually
from tests.support.relay_server import bearer, raw_http, running_relay


async def test_the_slowest_body_is_dropped_to_make_room() -> None:
    intake = BodyBudget(max_bytes=10)
    with intake.body(60) as slow, intake.body(60) as quick:
        intake.add(slow, b"12345")
        intake.add(quick, b"12345")
        assert not slow.scope.cancel_called
        assert intake.add(quick, b"6")
        assert (slow.scope.cancel_called, quick.scope.cancel_called) == (True, False)
        assert not intake.add(slow, b"late")
        assert (bytes(slow.data), bytes(quick.data)) == (b"12345", b"123456")
    with intake.body(60) as other:  # all of it was given back
        intake.add(other, b"1234567890")
        assert not other.scope.cancel_called
        assert not intake.add(other, b"1")
        assert other.scope.cancel_called  # also of one that is too large alone


async def test_a_body_that_is_dropped_before_its_last_piece_is_read_is_not_whole() -> None:
    intake, has_come = BodyBudget(max_bytes=10), trio.Event()
    pieces = [(b"first\n", True), (b"last\n", False)]

    async def receive() -> Any:
        if len(pieces) == 1:
            await has_come.wait()  # no checkpoint after it, as in the server
        piece, more = pieces.pop(0)
        return {"type": "http.request", "body": piece, "more_body": more}

    async def read() -> None:
        with pytest.raises(RequestTimeout):
            await RequestBody(RequestHeaders([]), None, receive, intake, 60).read()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(read)
        await wait_all_tasks_blocked()
        has_come.set()
        with intake.body(60) as other:
            assert intake.add(other, b"1234567890")
    assert not pieces


async def test_a_slow_body_is_refused_when_others_need_its_room(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    intake = BodyBudget(100_000)
    monkeypatch.setattr("relay.app.BodyBudget", lambda: intake)
    async with running_relay(database_url, RELAY_BODY_TIMEOUT="600") as relay:
        user = await relay.user()
        asked = head(
            "/api/webhook/cli",
            f"Authorization: Bearer {await user.hook()}",
            "Content-Type: application/json",
            "Content-Length: 120000",
        )
        async with raw_http(relay) as slow:
            await slow.send(asked + b" " * 60_000)
            await eventually(lambda: sum(len(body.data) for body in intake._pending) == 60_000)
            answer = await user.relay.http.post(
                "/api/webhook/cli",
                content=envelope().ljust(90_000),
                headers={**bearer(await user.hook()), "Content-Type": "application/json"},
            )
            given_up = await slow.answer()
    assert answer.status_code == 200
    assert (given_up.status_code, given_up.json()["code"]) == (408, "request_timeout")
