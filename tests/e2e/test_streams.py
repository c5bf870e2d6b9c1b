"""Plain streams are served past the framework, and nobody can tell; what is not plain is not."""

import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any, NamedTuple
from uuid import UUID

import pytest
import trio
from prometheus_client import REGISTRY

import relay.app
import relay.auth.credentials
import relay.web.middleware.access_log
from relay.auth.credentials import Access
from relay.db.heads import Heads
from relay.db.pool import Database
from relay.errors import DatabaseAway, Draining, InvalidToken, ProcessFull, TooManyConnections
from relay.observability.logs import known
from relay.realtime.hub import Hub
from tests.db.test_retention import database_of
from tests.live import Relay, User, bearer, running_relay
from tests.mint import claims_of, minted
from tests.raw import HANDSHAKE, RawHttp, head, raw_http
from tests.support.patience import PATIENCE

DOORS = pytest.mark.parametrize("door", ["websocket", "sse"])
PATHS = {"websocket": "/api/rt", "sse": "/api/sse"}
OPENED = {"websocket": 101, "sse": 200}
ONE_REQUESTS_OWN = (
    rb"(?<=x-request-id: )\w+|(?<=\"request_id\":\")\w+|(?<=date: )[^\r]+"
    rb"|(?<=ratelimit-remaining: )\d+|(?<=ratelimit-reset: )\d+|(?<=token_ttl_s\":)\d+"
    rb"|(?<=retry-after: )\d{3}\b|(?<=try again in )\d{3}\b"  # minutes, counted in seconds
)
ONE_CONNECTIONS_OWN = {"request_id", "connection_id"}
COUNTED = (
    *("relay_http_requests", "relay_problems", "relay_auth_failures", "relay_rate_limited"),
    *("relay_stream", "relay_resumes", "relay_connected_sockets"),
)
FAILURES = (
    (Heads, "head", DatabaseAway()),
    (Heads, "head", InvalidToken("The user is gone.", reason="revoked")),
    (Heads, "head", RuntimeError("unforeseen")),
    (Hub, "admit", Draining()),
    (Hub, "admit", ProcessFull()),
    (Hub, "admit", TooManyConnections("Too many.")),
)


class Lines(list[dict[str, Any]]):
    """What the last line of each request says of it."""

    news = trio.Event()

    async def told(self, count: int = 1) -> None:
        """Return when there are so many."""
        while len(self) < count:
            self.news = trio.Event()
            await self.news.wait()


class Table(dict[Any, Any]):
    """The direct routes of every app here; while `on` is False the connection finds none."""

    on = True

    def get(self, key: Any, default: Any = None) -> Any:
        return super().get(key, default) if Table.on else default


@pytest.fixture(autouse=True)
def table(monkeypatch: pytest.MonkeyPatch) -> None:
    inner = relay.app.direct_routes
    monkeypatch.setattr("relay.app.direct_routes", lambda app: Table(inner(app)))
    monkeypatch.setattr(Table, "on", True)


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> Lines:
    said = Lines()
    inner = relay.web.middleware.access_log._tell_end

    def noted(route: str, method: str, status: int, seconds: float) -> None:
        facts = {name: fact for name, fact in known().items() if name not in ONE_CONNECTIONS_OWN}
        said.append({"route": route, "method": method, "status": status, **facts})
        said.news.set()
        inner(route, method, status, seconds)

    monkeypatch.setattr(relay.web.middleware.access_log, "_tell_end", noted)
    return said


def plain(token: str) -> dict[str, str]:
    Table.on = True
    return bearer(token)


def ordinary(token: str) -> dict[str, str]:
    """The same in an unusual spelling, by way of Quart."""
    Table.on = False
    return {"Authorization": f"bearer {token}"}


@contextmanager
def counted() -> Iterator[dict[Any, float]]:
    """How far the counters of streams and answers moved within the block."""
    moved: dict[Any, float] = {}
    before = _counts()
    yield moved
    after = _counts()
    moved |= {key: n - before.get(key, 0) for key, n in after.items() if n != before.get(key, 0)}


def _counts() -> dict[Any, float]:
    return {
        (sample.name, *sample.labels.items()): sample.value
        for family in REGISTRY.collect()
        if family.name.startswith(COUNTED)
        for sample in family.samples
        if not sample.name.endswith(("_created", "_bucket", "_sum"))
    }


@asynccontextmanager
async def asked(
    relay: Relay,
    door: str,
    headers: dict[str, str],
    query: str = "",
    *more: str,
    path: str | None = None,
) -> AsyncIterator[RawHttp]:
    given = {**(HANDSHAKE if door == "websocket" else {}), **headers}
    target = f"{PATHS[door] if path is None else path}{query}"
    fields = [f"{name}: {text}" for name, text in given.items()]
    async with raw_http(relay) as connection:
        await connection.send(head(target, *fields, *more, method="GET"))
        yield connection


async def read(connection: RawHttp, mark: bytes) -> bytes:
    """What comes up to the message with this mark, or the document of a refusal."""
    refused = rb"HTTP/1.1 [45].*\r\n\r\n\{.*\}$"
    return await read_until(connection, refused + rb"|" + mark + rb".*[}\]]\s*$")


async def read_until(connection: RawHttp, end: bytes) -> bytes:
    """What comes up to this; without what is one request's own."""
    heard = b""
    with trio.fail_after(PATIENCE):
        while not re.search(end, heard, re.DOTALL):
            data = await connection.tcp.receive_some()
            assert data, heard
            heard += data
    return re.sub(ONE_REQUESTS_OWN, b"", heard)


async def answered(
    relay: Relay,
    lines: Lines,
    door: str,
    headers: dict[str, str],
    query: str = "",
    *more: str,
    until: bytes = b'"hello"',
) -> Any:
    """All there is to know of a stream that is opened and left: bytes, log line, counts."""
    lines.clear()
    with counted() as moved:
        async with asked(relay, door, headers, query, *more) as connection:
            heard = await read(connection, until)
        with trio.fail_after(PATIENCE):
            await lines.told()
    return heard, [*lines], moved


STARTS = {
    "": b'"hello"',
    "?after=oldest": b'"seq":3',
    "?last=2": b'"seq":3',
    "?lastEventId=CURSOR": b'"hello"',
    "?after=EPOCH.1": b'"seq":3',
    "?after=EPOCH.99": b'"seq":3',
    "?after=AAAAAAAA.1": b'"seq":3',
    "?after=nonsense": b'"hello"',
    "?last=0": b'"hello"',
    "?last=1001": b'"hello"',
}


@DOORS
async def test_both_ways_answer_alike(relay: Relay, lines: Lines, door: str) -> None:
    user = await relay.user()
    cursor = (await user.publish(3))[-1]["cursor"]
    more: tuple[str, ...]
    for query, until in STARTS.items():
        for more in ((), ("Last-Event-ID: " + cursor,), ("Sec-WebSocket-Protocol: relay.v1",)):
            asks = query.replace("CURSOR", cursor).replace("EPOCH", cursor.partition(".")[0])
            marks = b'"hello"' if more and more[0].startswith("Last") and door == "sse" else until
            await answered(relay, lines, door, plain(user.session), asks, *more, until=marks)
            way = [
                await answered(relay, lines, door, spelt(user.session), asks, *more, until=marks)
                for spelt in (plain, ordinary)
            ]
            pass
            assert way[0] == way[1]
            assert way[0][2], "nothing was counted"
    assert lines[0]["route"] == PATHS[door]


@DOORS
@pytest.mark.parametrize(
    ("place", "name", "failure"), FAILURES, ids=lambda failure: type(failure).__name__
)
async def test_both_ways_fail_alike(
    relay: Relay,
    lines: Lines,
    monkeypatch: pytest.MonkeyPatch,
    door: str,
    place: type,
    name: str,
    failure: Exception,
) -> None:
    user = await relay.user()
    await answered(relay, lines, door, plain(user.session))

    async def fail(*_: Any) -> None:
        raise failure

    def fail_at_once(*_: Any) -> None:
        raise failure

    monkeypatch.setattr(place, name, fail if place is Heads else fail_at_once)
    way = [await answered(relay, lines, door, spelt(user.session)) for spelt in (plain, ordinary)]
    assert way[0] == way[1]
    assert way[0][1][0]["status"] >= 400


@DOORS
async def test_who_may_only_publish_is_refused_alike(relay: Relay, lines: Lines, door: str) -> None:
    user = await relay.user()
    token = (await user.token(scopes=["publish"]))["token"]
    await answered(relay, lines, door, plain(token))
    way = [await answered(relay, lines, door, spelt(token)) for spelt in (plain, ordinary)]
    assert way[0][1][0]["status"] == 403
    assert way[0] == way[1]


@DOORS
@pytest.mark.usefixtures("one_moment")
async def test_both_ways_keep_the_limits(database_url: str, lines: Lines, door: str) -> None:
    limits = {"RELAY_RATE_LIMITS": "on", "RELAY_RATE_HANDSHAKES": "5/h"}
    async with running_relay(database_url, CORS="https://app.example.com", **limits) as relay:
        user = await relay.user()
        opened = [
            await answered(relay, lines, door, spelt(user.session))
            for spelt in (plain, plain, ordinary, plain, ordinary)
        ]
        refused = [
            await answered(relay, lines, door, spelt(token))
            for token in (user.session, "nonsense")
            for spelt in (plain, ordinary)
        ]
    assert opened[1] == opened[2] == opened[3] == opened[4]
    assert b"ratelimit-limit: 5" in opened[1][0]
    assert refused[0] == refused[1] == refused[2] == refused[3]
    assert refused[0][1][0]["status"] == 429
    assert "user_id" not in refused[0][1][0]  # the address was refused before anybody looked
    assert (b"vary: Origin" in refused[0][0]) == (door == "sse")


@DOORS
async def test_both_ways_keep_the_number_of_streams(
    database_url: str, lines: Lines, door: str
) -> None:
    async with running_relay(database_url, RELAY_MAX_CONNECTIONS_PER_USER="2") as relay:
        user = await relay.user()
        async with user.websocket() as first, user.sse() as second:
            await first.hello()
            await second.hello()
            way = [
                await answered(relay, lines, door, spelt(user.session))
                for spelt in (plain, ordinary)
            ]
    assert way[0] == way[1]
    assert way[0][1][0]["status"] == 429


@DOORS
async def test_a_revoked_token_ends_both_and_is_remembered_no_more(
    relay: Relay, lines: Lines, door: str
) -> None:
    user = await relay.user()
    token = await user.token()
    await answered(relay, lines, door, plain(token["token"]))
    lines.clear()
    async with (
        asked(relay, door, plain(token["token"])) as one,
        asked(relay, door, ordinary(token["token"])) as other,
    ):
        assert await read(one, b'"hello"') == await read(other, b'"hello"')
        await user.call("POST", "/api/token/revoke", json={"token_id": token["token_id"]})
        end = rb"revoked$" if door == "websocket" else rb"\r\n0\r\n\r\n$"
        ends = [await read_until(one, end), await read_until(other, end)]
    assert ends[0] == ends[1]
    assert b'"code":4401' in ends[0]
    with trio.fail_after(PATIENCE):
        await lines.told(3)  # both streams, and the revoke
    way = [await answered(relay, lines, door, spelt(token["token"])) for spelt in (plain, ordinary)]
    assert way[0] == way[1]
    assert way[0][1][0]["status"] == 401


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
    said = claims_of(hook["token"])
    return {
        "session": Unknown(user.session),
        "hook token": Unknown(hook["token"]),
        "publisher": Unknown(publisher["token"], 403),
        "late": Unknown(late["token"], 401, "revoked"),
        "expired": Unknown(minted({**said, "exp": 1_700_000_000}), 401, "expired"),
        "revoked": Unknown(revoked["token"], 401, "revoked"),
        "gone": Unknown(gone["token"], 401, "revoked"),
        "of a deleted user": Unknown(deleted.session, 401, "revoked"),
        "another's": Unknown(minted({**said, "sub": other.user_id}), 401, "revoked"),
        "of another kind": Unknown(minted({**said, "type": "session"}), 401, "revoked"),
        "another key's": Unknown(minted(said, kid="other"), 401, "unknown_key"),
        "forged": Unknown(minted(said, secret="f" * 48), 401, "malformed"),
        "too long": Unknown(hook["token"] + "A" * 5_000, 401, "malformed"),
        "nonsense": Unknown("nonsense", 401, "malformed"),
    }


@pytest.fixture
def asked_for(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Tokens that the database was asked for; nothing is remembered."""
    tokens: list[str] = []
    inner = Access._ask

    def noted(access: Access, token: str) -> Any:
        tokens.append(token)
        return inner(access, token)

    monkeypatch.setattr(Access, "_ask", noted)
    monkeypatch.setattr(Access, "_remember", lambda *_: None)
    return tokens


@DOORS
async def test_both_ways_ask_for_a_credential_that_memory_does_not_know(
    relay: Relay,
    database_url: str,
    lines: Lines,
    asked_for: list[str],
    door: str,
) -> None:
    user = await relay.user()
    async with database_of(database_url) as database:
        unknown = await unknown_credentials(user, database)
    for name, (token, status, reason) in unknown.items():
        asked_for.clear()
        way = [await answered(relay, lines, door, spelt(token)) for spelt in (plain, ordinary)]
        assert (name, asked_for) == (name, [token] * 2)
        assert way[0] == way[1]
        heard, (line,), _ = way[0]
        told = (line["status"], line["reason"] if status == 401 else None)
        assert (name, *told) == (name, status or OPENED[door], reason)
        assert (b"www-authenticate: Bearer" in heard) == (status > 0)


@DOORS
@pytest.mark.parametrize("trust", [60.0, 0.0])
async def test_both_ways_refuse_while_the_database_is_away(
    database_url: str,
    lines: Lines,
    asked_for: list[str],
    monkeypatch: pytest.MonkeyPatch,
    door: str,
    trust: float,
) -> None:
    """As long as memory is trusted the question fails; then nobody asks any more."""
    monkeypatch.setattr(relay.auth.credentials, "TRUST", trust)
    async with running_relay(database_url) as server, database_of(database_url) as database:
        user = await server.user()
        await database.execute("ALTER TABLE sessions RENAME TO sessions_elsewhere")
        way = [
            await answered(server, lines, door, spelt(user.session)) for spelt in (plain, ordinary)
        ]
        assert asked_for == ([user.session] * 2 if trust else [])
        assert way[0] == way[1]
        assert (way[0][1][0]["status"], way[0][1][0]["problem"]) == (503, "database_away")
        await database.execute("ALTER TABLE sessions_elsewhere RENAME TO sessions")
        if trust:
            opened = await answered(server, lines, door, plain(user.session))
            assert opened[1][0]["status"] == OPENED[door]


async def test_events_reach_both_and_nobody_else(relay: Relay) -> None:
    user, other = await relay.user(), await relay.user()
    for session in (user.session, other.session):
        async with asked(relay, "sse", plain(session)) as stream:
            await read(stream, b'"hello"')
    async with (
        asked(relay, "websocket", plain(user.session)) as one,
        asked(relay, "websocket", ordinary(user.session)) as two,
        asked(relay, "websocket", plain(other.session)) as foreign,
    ):
        for stream in (one, two, foreign):
            await read(stream, b'"hello"')
        mine = (await user.publish(1))[0]
        theirs = (await other.publish(1))[0]
        heard = [await read(stream, b'"seq":1') for stream in (one, two, foreign)]
    assert heard[0] == heard[1]
    assert mine["id"].encode() in heard[0]
    assert theirs["id"].encode() in heard[2]
    assert mine["id"].encode() not in heard[2]
    assert UUID(user.user_id) != UUID(other.user_id)


NOT_PLAIN = (
    ("", ("Origin: https://elsewhere.example",), False),
    ("", ("Authorization: Bearer more",), True),
    ("?ticket=spent", (), True),  # the bearer goes before it
    ("?after=oldest&last=1", (), False),
    ("?after=ol%64est", (), True),
    ("?after=oldest&x=1", (), True),
    ("?after=", (), False),
    ("", ("Last-Event-ID: ", "Last-Event-ID: nonsense"), True),
)


@DOORS
@pytest.mark.parametrize(("query", "more", "opens"), NOT_PLAIN)
async def test_what_is_not_plain_is_for_others_to_judge(
    relay: Relay,
    lines: Lines,
    door: str,
    query: str,
    more: tuple[str, ...],
    opens: bool,
) -> None:
    user = await relay.user()
    await answered(relay, lines, door, plain(user.session))
    _, (line,), _ = await answered(relay, lines, door, plain(user.session), query, *more)
    assert (line["status"] < 300) == opens


@DOORS
async def test_another_spelling_of_the_address_is_none(relay: Relay, door: str) -> None:
    user = await relay.user()
    for path in ("/api%2F" + PATHS[door][5:], "/" + PATHS[door], PATHS[door] + "/"):
        async with asked(relay, door, plain(user.session), path=path) as connection:
            assert (await read(connection, b"nothing")).startswith(b"HTTP/1.1 404")
