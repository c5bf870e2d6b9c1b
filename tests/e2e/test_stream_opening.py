"""Opening a stream: where it starts, why it is refused, what is counted and logged."""

from typing import Any, NamedTuple
from uuid import UUID

import pytest
import trio

import relay.auth.revocations
import relay.web.middleware.access_log
from relay.auth.credentials import CredentialStore
from relay.db.pool import Database
from relay.db.stream_heads import HeadLookup
from relay.errors import DatabaseAway, Draining, ProcessFull, TooManyConnections, UserGone
from relay.realtime.hub import Hub
from tests.support.databases import database_of
from tests.support.patience import PATIENCE
from tests.support.relay_server import Relay, User, bearer, running_relay
from tests.support.stream_answers import PATHS, TRANSPORTS, Lines, answered, asked, read, read_until
from tests.support.tokens import claims_of, minted

OPENED = {"websocket": 101, "sse": 200}
FAILURES = (
    (HeadLookup, "head", DatabaseAway()),
    (HeadLookup, "head", UserGone()),
    (HeadLookup, "head", RuntimeError("unforeseen")),
    (Hub, "admit", Draining()),
    (Hub, "admit", ProcessFull()),
    (Hub, "admit", TooManyConnections("Too many.")),
)


@TRANSPORTS
@pytest.mark.parametrize(
    ("place", "name", "failure"), FAILURES, ids=lambda failure: type(failure).__name__
)
async def test_a_failure_while_a_stream_opens_is_an_http_response(
    relay: Relay,
    lines: Lines,
    monkeypatch: pytest.MonkeyPatch,
    transport: str,
    place: type,
    name: str,
    failure: Exception,
) -> None:
    user = await relay.user()
    await answered(relay, lines, transport, bearer(user.session))

    async def fail(*_: Any) -> None:
        raise failure

    def fail_at_once(*_: Any) -> None:
        raise failure

    monkeypatch.setattr(place, name, fail if place is HeadLookup else fail_at_once)
    _, (line,), moved = await answered(relay, lines, transport, bearer(user.session))
    assert (line["route"], line["status"] >= 400) == (PATHS[transport], True)
    assert moved, "nothing was counted"


@TRANSPORTS
async def test_a_token_that_may_only_publish_opens_no_stream(
    relay: Relay, lines: Lines, transport: str
) -> None:
    user = await relay.user()
    token = (await user.token(scopes=["publish"]))["token"]
    await answered(relay, lines, transport, bearer(token))
    _, (line,), _ = await answered(relay, lines, transport, bearer(token))
    assert line["status"] == 403


@TRANSPORTS
@pytest.mark.usefixtures("one_moment")
async def test_new_streams_are_rate_limited(
    database_url: str, lines: Lines, transport: str
) -> None:
    limits = {"RELAY_RATE_LIMITS": "on", "RELAY_RATE_HANDSHAKES": "2/h"}
    async with running_relay(database_url, CORS="https://app.example.com", **limits) as relay:
        user = await relay.user()
        opened = [await answered(relay, lines, transport, bearer(user.session)) for _ in range(2)]
        refused = [
            await answered(relay, lines, transport, bearer(token))
            for token in (user.session, "nonsense")
        ]
    assert all(b"ratelimit-limit: 2" in heard for heard, _, _ in opened)
    assert refused[0] == refused[1]
    heard, (line,), _ = refused[0]
    assert line["status"] == 429
    assert "user_id" not in line  # the address was refused before the credential was looked at
    assert (b"vary: Origin" in heard) == (transport == "sse")


@TRANSPORTS
async def test_streams_per_user_are_bounded(
    database_url: str, lines: Lines, transport: str
) -> None:
    async with running_relay(database_url, RELAY_MAX_CONNECTIONS_PER_USER="2") as relay:
        user = await relay.user()
        async with user.websocket() as first, user.sse() as second:
            await first.hello()
            await second.hello()
            _, (line,), _ = await answered(relay, lines, transport, bearer(user.session))
    assert line["status"] == 429


@TRANSPORTS
async def test_a_revoked_token_ends_its_stream_and_leaves_the_cache(
    relay: Relay, lines: Lines, transport: str
) -> None:
    user = await relay.user()
    token = await user.token()
    lines.clear()
    async with asked(relay, transport, bearer(token["token"])) as connection:
        await read(connection, b'"hello"')
        await user.call("POST", "/api/token/revoke", json={"token_id": token["token_id"]})
        end = rb"revoked$" if transport == "websocket" else rb"\r\n0\r\n\r\n$"
        assert b'"code":4401' in await read_until(connection, end)
    with trio.fail_after(PATIENCE):
        await lines.logged(2)  # the stream, and the revoke
    _, (line,), _ = await answered(relay, lines, transport, bearer(token["token"]))
    assert line["status"] == 401


class Unknown(NamedTuple):
    """A credential that memory does not know, and how it is refused; not at all: 0."""

    token: str
    status: int = 0
    reason: str | None = None


async def unknown_credentials(user: User, database: Database) -> dict[str, Unknown]:
    other, deleted = await user.relay.user(), await user.relay.user()
    hook, publisher, late, revoked, gone = [
        await user.token(scopes=[scope])
        for scope in ("watch", "publish", "watch", "watch", "watch")
    ]
    await database.execute(
        "UPDATE tokens SET expires_at = now() WHERE token_id = $1", UUID(late["token_id"])
    )
    await user.call("POST", "/api/token/revoke", json={"token_id": revoked["token_id"]})
    await database.execute("DELETE FROM tokens WHERE token_id = $1", UUID(gone["token_id"]))
    await database.execute("DELETE FROM users WHERE user_id = $1", UUID(deleted.user_id))
    claims = claims_of(hook["token"])
    return {
        "session": Unknown(user.session),
        "hook token": Unknown(hook["token"]),
        "publisher": Unknown(publisher["token"], 403),
        "late": Unknown(late["token"], 401, "revoked"),
        "expired": Unknown(minted({**claims, "exp": 1_700_000_000}), 401, "expired"),
        "revoked": Unknown(revoked["token"], 401, "revoked"),
        "gone": Unknown(gone["token"], 401, "revoked"),
        "of a deleted user": Unknown(deleted.session, 401, "revoked"),
        "another's": Unknown(minted({**claims, "sub": other.user_id}), 401, "revoked"),
        "of another kind": Unknown(minted({**claims, "type": "session"}), 401, "revoked"),
        "another key's": Unknown(minted(claims, kid="other"), 401, "unknown_key"),
        "forged": Unknown(minted(claims, secret="f" * 48), 401, "malformed"),
        "too long": Unknown(hook["token"] + "A" * 5_000, 401, "malformed"),
        "nonsense": Unknown("nonsense", 401, "malformed"),
    }


@pytest.fixture
def asked_for(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Tokens that the database was asked for; nothing is remembered."""
    tokens: list[str] = []
    inner = CredentialStore._look_up

    def noted(access: CredentialStore, token: str) -> Any:
        tokens.append(token)
        return inner(access, token)

    monkeypatch.setattr(CredentialStore, "_look_up", noted)
    monkeypatch.setattr(CredentialStore, "_add_to_cache", lambda *_: None)
    return tokens


@TRANSPORTS
async def test_an_uncached_credential_is_looked_up_in_the_database(
    relay: Relay,
    database_url: str,
    lines: Lines,
    asked_for: list[str],
    transport: str,
) -> None:
    user = await relay.user()
    async with database_of(database_url) as database:
        unknown = await unknown_credentials(user, database)
    for name, (token, status, reason) in unknown.items():
        asked_for.clear()
        heard, (line,), _ = await answered(relay, lines, transport, bearer(token))
        assert (name, asked_for) == (name, [token])
        outcome = (line["status"], line["reason"] if status == 401 else None)
        assert (name, *outcome) == (name, status or OPENED[transport], reason)
        assert (b"www-authenticate: Bearer" in heard) == (status > 0)


@TRANSPORTS
@pytest.mark.parametrize("trust", [60.0, 0.0])
async def test_no_stream_opens_while_the_database_is_away(
    database_url: str,
    lines: Lines,
    asked_for: list[str],
    monkeypatch: pytest.MonkeyPatch,
    transport: str,
    trust: float,
) -> None:
    """While memory is trusted the query fails; then none is made any more."""
    monkeypatch.setattr(relay.auth.revocations, "TRUST_SECONDS", trust)
    async with running_relay(database_url) as server, database_of(database_url) as database:
        user = await server.user()
        await database.execute("ALTER TABLE sessions RENAME TO sessions_elsewhere")
        _, (line,), _ = await answered(server, lines, transport, bearer(user.session))
        assert asked_for == ([user.session] if trust else [])
        assert (line["status"], line["problem"]) == (503, "database_away")
        await database.execute("ALTER TABLE sessions_elsewhere RENAME TO sessions")
        if trust:
            opened = await answered(server, lines, transport, bearer(user.session))
            assert opened[1][0]["status"] == OPENED[transport]


UNUSUAL = (
    ("", ("Origin: https://elsewhere.example",), False),
    ("?ticket=spent", (), True),  # the bearer goes before it
    ("?after=oldest&last=1", (), False),
    ("?after=ol%64est", (), True),
    ("?after=oldest&x=1", (), True),
    ("?after=", (), False),
    ("", ("Last-Event-ID: ", "Last-Event-ID: nonsense"), True),
)


@TRANSPORTS
@pytest.mark.parametrize(("query", "more", "opens"), UNUSUAL)
async def test_an_unusual_request_opens_the_stream_it_names_or_is_refused(
    relay: Relay,
    lines: Lines,
    transport: str,
    query: str,
    more: tuple[str, ...],
    opens: bool,
) -> None:
    user = await relay.user()
    await answered(relay, lines, transport, bearer(user.session))
    _, (line,), _ = await answered(relay, lines, transport, bearer(user.session), query, *more)
    assert (line["status"] < 300) == opens


@TRANSPORTS
async def test_another_spelling_of_the_path_is_not_found(relay: Relay, transport: str) -> None:
    user = await relay.user()
    for path in ("/api%2F" + PATHS[transport][5:], "/" + PATHS[transport], PATHS[transport] + "/"):
        async with asked(relay, transport, bearer(user.session), path=path) as connection:
            assert (await read(connection, b"nothing")).startswith(b"HTTP/1.1 404")
