"""The shortcut answers as the ordinary way does, and takes nothing that is not plain."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

import relay.app
from relay.db.journal import Journal
from relay.errors import DatabaseAway, DiskFull, Draining, InvalidToken, JournalFull
from relay.ingest.envelope import MAX_BATCH_BODY
from relay.ingest.ndjson import MAX_BATCH_EVENTS
from tests.e2e.test_ingestion import MAX_BODY, MAX_PAYLOAD, envelope
from tests.live import Relay, User, bearer, running_relay

# each with the same in unusual words, which the shortcut leaves alone
PLAIN = {"Content-Type": "application/json"}
ORDINARY = {"Content-Type": "application/json;charset=UTF-8"}
BATCH = {"Content-Type": "application/x-ndjson"}
ORDINARY_BATCH = {"Content-Type": "application/x-ndjson;charset=UTF-8"}
ONE_REQUESTS_OWN = {"x-request-id", "date", "ratelimit-remaining", "ratelimit-reset"}
ONE_EVENTS_OWN = {"id", "seq", "first_seq", "last_seq", "cursor", "request_id"}

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
    "too large a payload": envelope(payload='"' + "x" * MAX_PAYLOAD + '"'),
    "as large as may be": envelope().ljust(MAX_BODY),
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
    "as large as may be": envelope().ljust(MAX_BATCH_BODY),
}
FAILURES = (
    *(DiskFull(), JournalFull(), DatabaseAway(), Draining(), RuntimeError("unforeseen")),
    InvalidToken("The user is gone.", reason="revoked"),
)


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


async def send(user: User, body: bytes, headers: dict[str, str], **more: str) -> httpx.Response:
    given = {**bearer(await user.hook()), **headers, **more}
    Table.on = headers in (PLAIN, BATCH)
    return await user.relay.http.post("/api/webhook/cli", content=body, headers=given)


def gist(answer: httpx.Response) -> tuple[Any, ...]:
    """What two answers to the same thing have in common."""
    headers = {name: text for name, text in answer.headers.items() if name not in ONE_REQUESTS_OWN}
    body = {name: value for name, value in answer.json().items() if name not in ONE_EVENTS_OWN}
    if answer.status_code == 200:
        headers.pop("content-length")  # of two seqs
    return answer.status_code, headers, body


async def test_both_ways_answer_alike(relay: Relay) -> None:
    user = await relay.user()
    await send(user, envelope(), PLAIN)  # from now on its token is known
    await send(user, BODIES["a duplicate"], PLAIN)
    for name, body in BODIES.items():
        plain, ordinary = await send(user, body, PLAIN), await send(user, body, ORDINARY)
        assert (name, gist(plain)) == (name, gist(ordinary))
    for name, body in BATCHES.items():
        plain, ordinary = await send(user, body, BATCH), await send(user, body, ORDINARY_BATCH)
        assert (name, gist(plain)) == (name, gist(ordinary))


@pytest.mark.parametrize(("most", "kind"), [(MAX_BODY, PLAIN), (MAX_BATCH_BODY, BATCH)])
async def test_a_body_of_unsaid_length_may_not_be_larger(
    relay: Relay, most: int, kind: dict[str, str]
) -> None:
    user = await relay.user()
    await send(user, envelope(), PLAIN)

    async def chunks() -> AsyncIterator[bytes]:
        yield envelope().ljust(most + 1)

    headers = {**bearer(await user.hook()), **kind}
    answer = await relay.http.post("/api/webhook/cli", content=chunks(), headers=headers)
    assert answer.status_code == 413


@pytest.mark.parametrize("failure", FAILURES, ids=lambda failure: type(failure).__name__)
async def test_both_ways_fail_alike(
    relay: Relay, monkeypatch: pytest.MonkeyPatch, failure: Exception
) -> None:
    user = await relay.user()
    await send(user, envelope(), PLAIN)

    async def fail(*_: Any) -> None:
        raise failure

    monkeypatch.setattr(Journal, "append", fail)
    for way, unusual in ((PLAIN, ORDINARY), (BATCH, ORDINARY_BATCH)):
        plain, ordinary = await send(user, envelope(), way), await send(user, envelope(), unusual)
        assert gist(plain) == gist(ordinary)
        assert plain.status_code >= 400


@pytest.mark.usefixtures("one_moment")
async def test_both_ways_keep_the_limit(database_url: str) -> None:
    limits = {"RELAY_RATE_LIMITS": "on", "RELAY_RATE_EVENTS_PER_TOKEN": "8/h"}
    async with running_relay(database_url, CORS="https://app.example.com", **limits) as relay:
        user = await relay.user()
        answers = [await send(user, envelope(), way) for way in (PLAIN, PLAIN, ORDINARY, PLAIN)]
        left = [answer.headers["ratelimit-remaining"] for answer in answers]
        assert left == ["7", "6", "5", "4"]
        two = envelope() + b"\n" + envelope()
        answers = [await send(user, two, way) for way in (BATCH, ORDINARY_BATCH)]
        left = [answer.headers["ratelimit-remaining"] for answer in answers]
        assert left == ["2", "0"]
        plain, ordinary = (
            await send(user, envelope(), PLAIN),
            await send(user, envelope(), ORDINARY),
        )
    assert (plain.status_code, plain.headers["vary"]) == (429, "Origin")
    assert gist(plain) == gist(ordinary)


NOT_PLAIN = {
    "a page": {"Origin": "https://elsewhere.example"},
    "compressed": {"Content-Encoding": "gzip"},
    "another type": {"Content-Type": "text/plain"},
    "no bearer": {"Authorization": "Basic Zm9vOmJhcg=="},
    "a strange bearer": {"Authorization": "Bearer strange"},
}


@pytest.mark.parametrize("what", NOT_PLAIN)
async def test_what_is_not_plain_is_for_others_to_judge(relay: Relay, what: str) -> None:
    user = await relay.user()
    await send(user, envelope(), PLAIN)
    answer = await send(user, envelope(), PLAIN, **NOT_PLAIN[what])
    assert answer.status_code >= 400


async def test_doubled_headers_are_for_others_to_judge(relay: Relay) -> None:
    user = await relay.user()
    await send(user, envelope(), PLAIN)
    hook = bearer(await user.hook())
    for name, value in (*hook.items(), *PLAIN.items()):
        await relay.http.post(
            "/api/webhook/cli",
            content=envelope(),
            headers=[*hook.items(), *PLAIN.items(), (name, value)],
        )
        answer = await relay.http.post(
            "/api/webhook/cli",
            content=envelope(),
            headers=[(name, ""), *hook.items(), *PLAIN.items()],
        )
        assert answer.status_code >= 400


async def test_a_token_that_may_not_publish_or_must_sign_is_for_others_to_judge(
    relay: Relay,
) -> None:
    user = await relay.user()
    watching = (await user.token(scopes=["watch"]))["token"]
    signing = (await user.token(signed=True))["token"]
    for token, status in ((watching, 403), (signing, 401), (user.session, 403)):
        for _ in range(2):  # the second time memory knows it
            answer = await send(user, envelope(), PLAIN, **bearer(token))
            assert answer.status_code == status, answer.text


async def test_a_revoked_token_is_remembered_no_more(relay: Relay) -> None:
    user = await relay.user()
    token = await user.token()
    statuses = []
    for _ in range(2):
        answer = await send(user, envelope(), PLAIN, **bearer(token["token"]))
        statuses.append(answer.status_code)
    await user.call("POST", "/api/token/revoke", json={"token_id": token["token_id"]})
    statuses.append((await send(user, envelope(), PLAIN, **bearer(token["token"]))).status_code)
    assert statuses == [200, 200, 401]
