"""WebSocket handshakes of foreign pages are refused with any credential.

Browsers let any page open a WebSocket anywhere and send the cookie along; only the Origin tells.
"""

from collections.abc import AsyncIterator

import pytest

from tests.support.databases import database_of
from tests.support.origins import CORS, LISTED, SENDABLE
from tests.support.relay_server import Relay, User, bearer, handshake, running_relay


@pytest.fixture
async def relay(database_url: str) -> AsyncIterator[Relay]:
    async with running_relay(database_url, CORS=CORS, RELAY_RATE_LIMITS="off") as server:
        yield server


async def ticket_of(user: User, **headers: str) -> str:
    answer = await user.relay.http.post(
        "/api/rt/ticket", headers={**bearer(user.session), **headers}
    )
    made: str = answer.json()["ticket"]
    return made


async def test_a_foreign_handshake_is_refused_with_any_credential(
    relay: Relay, database_url: str
) -> None:
    user = await relay.user()
    cookie = {"Cookie": f"relay_session={user.session}"}
    free, own = await ticket_of(user), await ticket_of(user, Origin=relay.url)
    async with database_of(database_url) as database:  # half a minute may pass before their use
        await database.execute("UPDATE tickets SET expires_at = now() + interval '1 hour'")
    carried: list[tuple[str, dict[str, str]]] = [
        ("", {}),
        ("", cookie),
        ("", {**cookie, "Sec-Fetch-Site": "same-origin"}),
        ("", {**cookie, "Referer": f"{relay.url}/"}),
        ("", bearer(user.session)),
        ("", bearer(await user.hook())),
        ("", bearer("broken")),
        ("", {"Sec-WebSocket-Protocol": "relay.v1"}),
        (f"?ticket={free}", {}),
        (f"?ticket={own}", cookie),
        ("?after=nonsense", bearer(user.session)),
    ]
    for origin in SENDABLE:
        for query, headers in carried:
            answer = await handshake(relay, query, **headers, Origin=origin)
            assert (origin, headers, answer.status_code) == (origin, headers, 403)
            assert answer.json()["code"] == "foreign_origin"
            assert "Set-Cookie" not in answer.headers
            assert "Access-Control-Allow-Origin" not in answer.headers
    assert (await user.call("GET", "/api/me")).json()["connections"] == 0
    # nothing was spent on the way
    assert (await handshake(relay, f"?ticket={free}")).status_code == 101
    assert (await handshake(relay, f"?ticket={own}", Origin=relay.url)).status_code == 101


@pytest.mark.parametrize("origin", [*LISTED, "own", None])
async def test_other_handshakes_are_decided_by_their_credential(
    relay: Relay, origin: str | None
) -> None:
    user = await relay.user()
    given = {} if origin is None else {"Origin": relay.url if origin == "own" else origin}
    for headers in (bearer(user.session), bearer(await user.hook())):
        assert (await handshake(relay, **headers, **given)).status_code == 101
    made = await ticket_of(user, **given)
    assert (await handshake(relay, f"?ticket={made}", **given)).status_code == 101
    backends = await ticket_of(user)  # minted by no page: good on any that may watch
    assert (await handshake(relay, f"?ticket={backends}", **given)).status_code == 101
    # an accepted handshake may be refused in band: tests/e2e/pages/test_refusals_in_band.py
    no_page = 401 if origin is None else 101
    cookie = {"Cookie": f"relay_session={user.session}"}
    assert (await handshake(relay, **cookie, **given)).status_code == no_page
