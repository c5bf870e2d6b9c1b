"""A body that comes slowly, or after `100 Continue`, or not at all."""

import pytest
import trio
from trio.testing import MockClock

from relay.web.body_budget import BodyBudget
from tests.support.bodies import envelope
from tests.support.client.protocol import head
from tests.support.clock import pass_by
from tests.support.patience import PATIENCE, eventually
from tests.support.relay_server import Relay, raw_http, running_relay


async def test_a_slow_body_is_refused_with_408(database_url: str, clock: MockClock) -> None:
    async with running_relay(database_url, RELAY_BODY_TIMEOUT="600") as relay:
        user = await relay.user()
        await user.publish(1)  # from now on its token is known: nothing but the body is waited for
        hook = await user.hook()
        async with raw_http(relay) as connection:
            await connection.send(
                head(
                    "/api/webhook/cli",
                    f"Authorization: Bearer {hook}",
                    "Content-Type: application/json",
                    "Content-Length: 100",
                )
                + b"{"
            )
            await pass_by(clock, 600)
            answer = await connection.answer()
        assert answer.status_code == 408
        assert answer.json()["code"] == "request_timeout"


async def test_expect_100_continue_is_answered_with_100(relay: Relay) -> None:
    user = await relay.user()
    hook = await user.hook()
    fixed = (f"Authorization: Bearer {hook}", "Content-Type: application/json")
    async with raw_http(relay) as connection:
        await connection.send(
            head(
                "/api/webhook/cli",
                *fixed,
                "Expect: 100-continue",
                f"Content-Length: {len(envelope())}",
            )
        )
        with trio.fail_after(PATIENCE):
            assert (await connection.receive()).startswith(b"HTTP/1.1 100")
        await connection.send(envelope())
        assert (await connection.answer()).status_code == 200


@pytest.mark.parametrize(
    ("fault", "status"),
    [
        ("no credential", 401),
        ("a bad credential", 401),
        ("a watcher's", 403),
        ("wrong type", 415),
        ("too large", 413),
    ],
)
async def test_expect_100_continue_is_refused_before_the_body(
    relay: Relay, fault: str, status: int
) -> None:
    user = await relay.user()
    token = {
        "no credential": None,
        "a bad credential": "x.y.z",
        "a watcher's": (await user.token(scopes=["watch"]))["token"],
    }.get(fault, await user.hook())
    async with raw_http(relay) as connection:
        await connection.send(
            head(
                "/api/webhook/cli",
                *((f"Authorization: Bearer {token}",) if token else ()),
                f"Content-Type: {'text/plain' if fault == 'wrong type' else 'application/json'}",
                "Expect: 100-Continue",
                f"Content-Length: {2**20 if fault == 'too large' else 100}",
            )
        )
        with trio.fail_after(PATIENCE):
            assert not (first := await connection.receive()).startswith(b"HTTP/1.1 100")
        assert first.startswith(b"HTTP/1.1 %d" % status)
        assert b"\r\nconnection: close\r\n" in first.lower()  # the body may come or not


async def test_a_missing_body_after_100_continue_is_refused_with_408(
    database_url: str, clock: MockClock
) -> None:
    async with running_relay(database_url, RELAY_BODY_TIMEOUT="600") as relay:
        hook = await (await relay.user()).hook()
        async with raw_http(relay) as connection:
            await connection.send(
                head(
                    "/api/webhook/cli",
                    f"Authorization: Bearer {hook}",
                    "Content-Type: application/json",
                    "Expect: 100-continue",
                    "Content-Length: 100",
                )
            )
            with trio.fail_after(PATIENCE):
                assert (await connection.receive()).startswith(b"HTTP/1.1 100")
            await pass_by(clock, 600)
            assert (await connection.answer()).json()["code"] == "request_timeout"


@pytest.mark.parametrize(
    ("path", "credential"),
    [
        ("/api/token", "session"),
        ("/api/session/link", "session"),  # its handler reads no body: it is read and dropped
        ("/api/webhook/cli", "hook"),
    ],
)
async def test_a_credential_that_is_revoked_while_its_body_comes_is_refused(
    database_url: str, monkeypatch: pytest.MonkeyPatch, path: str, credential: str
) -> None:
    budget = BodyBudget()
    monkeypatch.setattr("relay.app.BodyBudget", lambda: budget)
    async with running_relay(database_url, RELAY_BODY_TIMEOUT="600") as relay:
        user = await relay.user()
        hook = await user.hook()
        body = envelope() if credential == "hook" else b"{}"
        async with raw_http(relay) as connection:
            await connection.send(
                head(
                    path,
                    f"Authorization: Bearer {hook if credential == 'hook' else user.session}",
                    "Content-Type: application/json",
                    f"Content-Length: {len(body)}",
                )
                + body[:1]
            )
            await eventually(lambda: [len(one.data) for one in budget._pending] == [1])
            if credential == "hook":
                await user.call("POST", "/api/token/revoke", json={"token": hook})
            else:
                await user.call("DELETE", "/api/session")
            await connection.send(body[1:])
            answer = await connection.answer()
    assert (answer.status_code, answer.json()["code"]) == (401, "invalid_token")
