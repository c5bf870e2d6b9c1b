"""Each bound of a user or an address holds when 64 callers come at the same moment."""

from collections import Counter
from collections.abc import Awaitable, Callable

import pytest
import trio

from relay.auth.tokens import MAX_ACTIVE_TOKENS
from relay.web.sessions import MAX_SESSIONS
from tests.support.client.streams import TRANSPORTS, Refused
from tests.support.databases import statement
from tests.support.relay_server import Relay, User, open_stream, running_relay

CALLERS = 64
FREE = 5  # places that are left before the callers come


async def at_once(call: Callable[[int], Awaitable[int]]) -> Counter[int]:
    """The statuses of all callers, which start together."""
    statuses: Counter[int] = Counter()

    async def one(number: int) -> None:
        statuses[await call(number)] += 1

    async with trio.open_nursery() as nursery:
        for number in range(CALLERS):
            nursery.start_soon(one, number)
    return statuses


async def test_active_tokens_of_a_user(database_url: str) -> None:
    async with running_relay(database_url, RELAY_DATABASE_CONNECTIONS="16") as relay:
        user = await relay.user()
        await statement(
            database_url,
            "INSERT INTO tokens (token_id, user_id, scopes, expires_at, kid)"
            f" SELECT gen_random_uuid(), '{user.user_id}', '{{webhook}}', now() + '1 day', 'k'"
            f" FROM generate_series(1, {MAX_ACTIVE_TOKENS - FREE})",
        )

        async def create(_number: int) -> int:
            return (await user.call("POST", "/api/token")).status_code

        assert await at_once(create) == {201: FREE, 409: CALLERS - FREE}
        listed = (await user.call("GET", "/api/me")).json()["tokens"]
        assert len(listed) == MAX_ACTIVE_TOKENS


async def sessions_up_to(database_url: str, user: User, count: int) -> None:
    """Store sessions until the user has so many, with the one that it signed up with."""
    await statement(
        database_url,
        "INSERT INTO sessions (session_id, user_id, expires_at)"
        f" SELECT gen_random_uuid(), '{user.user_id}', now() + '1 day'"
        f" FROM generate_series(2, {count})",
    )


async def links_of(database_url: str, user: User) -> list[str]:
    """The codes of as many links of the user as there are callers, each of another session."""
    codes = [f"code-{number}" for number in range(CALLERS)]
    hashes = ", ".join(f"({number}, sha256('{code}'))" for number, code in enumerate(codes, 1))
    await statement(
        database_url,
        "INSERT INTO links (session_id, link_hash, user_id, expires_at)"
        " SELECT s.session_id, h.hash, s.user_id, now() + '1 hour' FROM ("
        "   SELECT row_number() OVER () AS number, * FROM sessions"
        f"  WHERE user_id = '{user.user_id}'"
        f" ) s JOIN (VALUES {hashes}) h (number, hash) USING (number)",
    )
    return codes


async def redeem(relay: Relay, code: str) -> int:
    answer = await relay.http.post("/api/session/link/redeem", json={"code": code})
    return answer.status_code


async def test_live_sessions_of_a_user(database_url: str) -> None:
    async with running_relay(database_url, RELAY_DATABASE_CONNECTIONS="16") as relay:
        user = await relay.user()
        await sessions_up_to(database_url, user, MAX_SESSIONS - FREE)
        codes = await links_of(database_url, user)
        relay.http.cookies.clear()
        statuses = await at_once(lambda number: redeem(relay, codes[number]))
        relay.http.cookies.clear()
        assert statuses == {201: FREE, 410: CALLERS - FREE}
        ended = await user.call("DELETE", "/api/session/others")
        assert ended.json() == {"ended": MAX_SESSIONS - 1}


async def test_links_of_a_session_made_and_opened_at_once(database_url: str) -> None:
    """A link opens once, and making another one meanwhile never waits for it without end."""
    async with running_relay(database_url, RELAY_DATABASE_CONNECTIONS="16") as relay:
        user = await relay.user()
        made = await user.call("POST", "/api/session/link")
        code = made.json()["link"].partition("#link=")[2]

        async def make_or_open(number: int) -> int:
            if number % 2:
                return (await user.call("POST", "/api/session/link")).status_code
            return 1000 + await redeem(relay, code)

        statuses = await at_once(make_or_open)
        relay.http.cookies.clear()
        assert statuses[201] == CALLERS // 2
        assert statuses[1201] <= 1
        assert statuses[1201] + statuses[1410] == CALLERS // 2


async def streams_at_once(relay: Relay, token: str | None, query: str = "") -> Counter[int]:
    """The statuses of streams that all callers open together and keep open."""
    statuses: Counter[int] = Counter()
    answered = trio.Event()

    async def keep(number: int) -> None:
        try:
            async with open_stream(relay, TRANSPORTS[number % 2], token, query):
                note(200)
                await answered.wait()
        except Refused as refused:
            note(refused.answer.status)

    def note(status: int) -> None:
        statuses[status] += 1
        if statuses.total() == CALLERS:
            answered.set()

    async with trio.open_nursery() as nursery:
        for number in range(CALLERS):
            nursery.start_soon(keep, number)
    return statuses


async def test_a_ticket_opens_one_stream(database_url: str) -> None:
    async with running_relay(database_url, RELAY_DATABASE_CONNECTIONS="16") as relay:
        ticket = (await (await relay.user()).call("POST", "/api/rt/ticket")).json()["ticket"]
        assert await streams_at_once(relay, None, f"?ticket={ticket}") == {
            200: 1,
            401: CALLERS - 1,
        }


@pytest.mark.parametrize(
    ("bound", "status"),
    [
        ({"RELAY_MAX_CONNECTIONS_PER_USER": f"{FREE}"}, 429),
        ({"RELAY_MAX_CONNECTIONS_PER_ADDRESS": f"{FREE}"}, 429),
        ({"RELAY_MAX_CONNECTIONS": f"{FREE}"}, 503),
    ],
)
async def test_live_streams(database_url: str, bound: dict[str, str], status: int) -> None:
    wide = {"RELAY_MAX_CONNECTIONS_PER_USER": f"{2 * CALLERS}"}
    async with running_relay(database_url, **{**wide, **bound}) as relay:
        statuses = await streams_at_once(relay, (await relay.user()).session)
        assert statuses == {200: FREE, status: CALLERS - FREE}


async def test_users_of_an_address(database_url: str) -> None:
    async with running_relay(
        database_url, RELAY_RATE_LIMITS="on", RELAY_RATE_SIGNUPS=f"{FREE}/h"
    ) as relay:

        async def sign_up(_number: int) -> int:
            return (await relay.http.post("/api/user")).status_code

        assert await at_once(sign_up) == {201: FREE, 429: CALLERS - FREE}
