"""The table of direct routes changes the speed of requests and nothing else."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from quart import Quart

from relay.app import create_app
from relay.config.settings import Settings
from relay.ingest.envelope import MAX_BATCH_BODY_BYTES
from relay.ingest.ndjson import MAX_BATCH_EVENTS
from relay.web.answers import Answer
from relay.web.needs import NOTHING
from relay.web.rate_limits import PAGES, limited
from relay.web.request import HTTPRequest, Request
from relay.web.routes import DirectRoutes, Route, direct, direct_routes, needs
from tests.support.asks import asked
from tests.support.bodies import MAX_BODY_BYTES, MAX_PAYLOAD_BYTES, envelope
from tests.support.relay_server import Relay, User, bearer
from tests.support.stream_answers import TRANSPORTS, Lines, answered
from tests.support.stream_answers import lines as lines  # a fixture

ONE_REQUESTS_OWN = {"x-request-id", "date"}
ONE_EVENTS_OWN = {"id", "seq", "first_seq", "last_seq", "cursor", "request_id"}

JSON = {"Content-Type": "application/json"}
NDJSON = {"Content-Type": "application/x-ndjson"}
BODIES = {
    "an event": envelope(),
    "all its fields": envelope(task_id='"build"', payload='{"progress":0.5}'),
    "a duplicate": envelope(event_id='"twice"'),
    "no JSON": b"hello",
    "nothing": b"",
    "half of it": envelope()[:-1],
    "an array": b"[" + envelope() + b"]",
    "not UTF-8": envelope().replace(b"{}", b'"\xe9"'),
    "a NUL": envelope() + b"\0",
    "a doubled field": envelope()[:-1] + b',"ts":"2026-01-31T12:00:00Z"}',
    "wrong fields": envelope(event_type='"no"', ts='"yesterday"', more="1"),
    "too deep": envelope(payload="[" * 70 + "]" * 70),
    "too large a payload": envelope(payload='"' + "x" * MAX_PAYLOAD_BYTES + '"'),
    "as large as may be": envelope().ljust(MAX_BODY_BYTES),
}
BATCHES = {
    "one event": envelope(),
    "many, and blank lines": b"\n\n".join([envelope()] * 120) + b"\n",
    "duplicates": envelope(event_id='"twice"') + b"\n" + envelope(event_id='"twice"'),
    "nothing": b"",
    "blank lines alone": b"\n \n",
    "too many": b"\n".join([envelope()] * (MAX_BATCH_EVENTS + 1)),
    "bad lines": b"\n".join([envelope(), b"hello", envelope(ts='"no"'), envelope(more="1")]),
    "not UTF-8": envelope() + b"\n" + envelope().replace(b"{}", b'"\xe9"'),
    "as large as may be": envelope().ljust(MAX_BATCH_BODY_BYTES),
}
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


class Table(DirectRoutes):
    """The direct routes of an app; while `on` is False the connection finds none."""

    on = True

    def find(self, method: str, request: Request) -> Route | None:
        return super().find(method, request) if Table.on else None


@pytest.fixture(autouse=True)
def table(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("relay.app.direct_routes", lambda app: Table(direct_routes(app).routes))
    monkeypatch.setattr(Table, "on", True)


async def both_ways(ask: Any) -> tuple[Any, Any]:
    """What is answered by way of the table, and by way of Quart."""
    found = []
    for Table.on in (True, False):
        found.append(await ask())
    return found[0], found[1]


async def send(user: User, content: Any, kind: dict[str, str]) -> httpx.Response:
    headers = {**bearer(await user.hook()), **kind}
    return await user.relay.http.post("/api/webhook/cli", content=content, headers=headers)


def gist(answer: httpx.Response) -> tuple[Any, ...]:
    """What two answers to the same thing have in common."""
    headers = {name: text for name, text in answer.headers.items() if name not in ONE_REQUESTS_OWN}
    body = {name: value for name, value in answer.json().items() if name not in ONE_EVENTS_OWN}
    if answer.status_code == 200:
        headers.pop("content-length")  # of two seqs
    return answer.status_code, headers, body


def test_events_streams_and_calls_that_wait_are_direct() -> None:
    assert set(create_app(Settings()).direct_routes.routes) == {
        ("POST", "/api/webhook/cli"),
        ("GET", "/api/sse"),
        ("HEAD", "/api/sse"),
        ("WEBSOCKET", "/api/rt"),
        ("POST", "/api/tasks/beat"),
        ("GET", "/api/asks/<ask_id>"),
        ("HEAD", "/api/asks/<ask_id>"),
    }


def test_a_direct_route_with_a_limit_that_quart_would_keep_is_refused() -> None:
    app = Quart(__name__)
    app.add_url_rule("/pages", view_func=direct(limited(PAGES)(needs(NOTHING)(never))))
    with pytest.raises(TypeError, match="/pages"):
        direct_routes(app)


async def never(request: HTTPRequest) -> Answer:
    raise AssertionError(request)


async def test_event_routes_answer_alike_with_and_without_the_table(relay: Relay) -> None:
    user = await relay.user()
    await send(user, BODIES["a duplicate"], JSON)
    for kind, bodies in ((JSON, BODIES), (NDJSON, BATCHES)):
        for name, body in bodies.items():
            table, quart = await both_ways(lambda: send(user, body, kind))  # noqa: B023
            assert (name, gist(table)) == (name, gist(quart))


async def test_a_body_of_unknown_length_is_bounded_alike(relay: Relay) -> None:
    user = await relay.user()

    async def chunks(size: int) -> AsyncIterator[bytes]:
        yield envelope().ljust(size)

    for most, kind in ((MAX_BODY_BYTES, JSON), (MAX_BATCH_BODY_BYTES, NDJSON)):
        for size, status in ((most, 200), (most + 1, 413)):
            table, quart = await both_ways(lambda: send(user, chunks(size), kind))  # noqa: B023
            assert (table.status_code, quart.status_code) == (status, status)


@TRANSPORTS
async def test_stream_routes_answer_alike_with_and_without_the_table(
    relay: Relay, lines: Lines, transport: str
) -> None:
    user = await relay.user()
    cursor = (await user.publish(3))[-1]["cursor"]
    token = bearer(user.session)
    more: tuple[str, ...] = ()
    for query, until in STARTS.items():
        asks = query.replace("CURSOR", cursor).replace("EPOCH", cursor.partition(".")[0])
        for more in ((), ("Last-Event-ID: " + cursor,), ("Sec-WebSocket-Protocol: relay.v1",)):
            marks = (
                b'"hello"' if more and more[0].startswith("Last") and transport == "sse" else until
            )
            table, quart = await both_ways(
                lambda: answered(relay, lines, transport, token, asks, *more, until=marks)  # noqa: B023
            )
            assert table == quart
            assert table[2], "nothing was counted"


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_an_ask_is_read_the_same_way(relay: Relay, method: str) -> None:
    user = await relay.user()
    ask_id = (await asked(user))["ask_id"]
    for path, status in (
        (f"/api/asks/{ask_id}", 200),
        (f"/api/asks/{ask_id}?wait_s=0", 200),
        (f"/api/asks/{ask_id}?wait_s=x", 400),
        (f"/api/asks/{user.user_id}", 404),
        ("/api/asks/<ask_id>", 404),
        (f"/api/asks/{ask_id}/", 404),
        (f"/api/asks/{ask_id}/more", 404),
        (f"/api/asks//{ask_id}", 404),
    ):
        for credential in (bearer(user.session), bearer(await user.hook()), {}):

            async def ask(path: str = path, headers: dict[str, str] = credential) -> Any:
                return whole(await relay.http.request(method, path, headers=headers))

            direct, by_quart = await both_ways(ask)
            assert direct == by_quart, path
            assert direct[0] == status or (direct[0] == 401 and not credential), path


async def test_a_beat_is_answered_the_same_way(relay: Relay) -> None:
    user = await relay.user()
    hook = bearer(await user.hook())
    for body, status in (
        ({"task_ids": ["t"]}, 200),
        ({"task_ids": ["t"], "wait_s": 0}, 200),
        ({"task_ids": []}, 422),
        ({"task_ids": ["a b"]}, 422),
        ({"task_ids": ["t"], "wait_s": 26}, 422),
        ([], 422),
    ):

        async def beat(body: Any = body) -> Any:
            return whole(await relay.http.post("/api/tasks/beat", json=body, headers=hook))

        direct, by_quart = await both_ways(beat)
        assert direct == by_quart
        assert direct[0] == status, body


def whole(answer: httpx.Response) -> tuple[Any, ...]:
    """An answer without what is its own; of a problem the request id is."""
    headers = {name: text for name, text in answer.headers.items() if name not in ONE_REQUESTS_OWN}
    body = answer.json() if answer.content else None
    if isinstance(body, dict):
        body.pop("request_id", None)
    return answer.status_code, headers, body
